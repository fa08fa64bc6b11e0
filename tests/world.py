"""A small world for tests: a registry in memory, signers, a Git checkout, and short verbs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pygit2
from cryptography.hazmat.primitives import serialization

from stemma_attestations.errors import StemmaError
from stemma_attestations.names import NameVersion
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Verdict
from stemma_cli import exits
from stemma_registry import custody, gate, signing
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.catalogue.catalogue import Catalogue, drop
from stemma_registry.catalogue.database import Database
from stemma_registry.config import Home
from stemma_registry.ledger.entry import INIT, Event
from stemma_registry.ledger.log import Head, append
from stemma_registry.measures import lifting
from stemma_registry.publish import Published, Push, publish
from stemma_registry.registry import Registry, Snapshot, snapshot
from stemma_registry.signing import KeySigner, keyfile
from stemma_registry.trust import file as trust_file
from tests import postgres


def commit_all(folder: Path, message: str = "work") -> str:
    """Commit everything in `folder` (a Git checkout, made if it is none); the commit's id."""
    if (folder / ".git").exists():
        repository = pygit2.Repository(str(folder))
    else:
        repository = pygit2.init_repository(str(folder), initial_head="main")
    repository.index.add_all()
    repository.index.write()
    who = pygit2.Signature("Test", "test@example.org", 1_700_000_000, 0)
    parents = [] if repository.head_is_unborn else [repository.head.target]
    tree = repository.index.write_tree()
    return str(repository.create_commit("HEAD", who, who, message, tree, parents))


def new_signer() -> KeySigner:
    """A fresh ECDSA key."""
    pem, _ = signing.new_key("ecdsa-p256", None)
    return keyfile.from_private(serialization.load_pem_private_key(pem, None))


class World:
    """One registry. `owner` is trusted for everything; more signers by `trust_also`."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.folder = folder
        self.store: Store = MemoryStore() if store is None else store
        self.home = Home(folder / "home")
        self.catalogue_path = folder / "catalogue.sqlite3"
        self.trust_path = folder / "trust.yaml"
        append(self.store, Head(), lambda: [Event(INIT)], Head)
        self.registry = self._open()
        self.signers: dict[str, KeySigner] = {}
        self.trust: TrustRoot = trust_file.NOBODY
        self.trust_also("owner")
        self.checkout = folder / "checkout"
        self.checkout.mkdir()
        (self.checkout / "train.py").write_text("print('training')\n")
        self.commit = commit_all(self.checkout)
        self.now = datetime.now(UTC)
        self.count = 0

    def _open(self) -> Registry:
        catalogue = Catalogue.open(self.place(), self.store)
        postgres.OPENED.append(catalogue)
        return Registry(self.store, catalogue, self.home)

    def place(self) -> Database:
        """Where the catalogue is."""
        if postgres.wanted():
            return postgres.place(self.catalogue_path)
        return Database(self.catalogue_path)

    def signer(self, name: str) -> KeySigner:
        """The key of that name, made at the first call, trusted by nobody."""
        return self.signers.setdefault(name, new_signer())

    def trust_also(
        self, name: str, names: Sequence[str] = ("**",), predicates: Sequence[str] = ("*",)
    ) -> None:
        """Trust a signer for patterns of names and for predicate types."""
        public = self.signer(name).public
        self.trust = trust_file.add(self.trust_path, name, public, predicates, names)

    def directory(self, files: Mapping[str, bytes]) -> Path:
        """A fresh directory with these files."""
        self.count += 1
        root = self.folder / f"d{self.count}"
        for path, data in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        return root

    def push(
        self,
        name: str,
        files: Mapping[str, bytes] | None = None,
        *inputs: str,
        kind: str = "dataset",
        by: str = "owner",
        **options: object,
    ) -> Published:
        """Push files (the name itself by default); inputs are RELATION=REF."""
        files = {"data.txt": name.encode()} if files is None else files
        pairs = [(i.partition("=")[0], i.partition("=")[2]) for i in inputs]
        parameters = options.pop("parameters", {})
        job = Push(
            directory=self.directory(files),
            name=NameVersion.parse(name),
            kind=kind,
            inputs=pairs,
            parameters=parameters,  # type: ignore[arg-type]
            working_directory=self.checkout,
            **options,  # type: ignore[arg-type]
        )
        return publish(self.registry, self.trust, self.signer(by), job, self.now)

    @contextmanager
    def elsewhere(self, path: Path) -> Iterator[Registry]:
        """The same ledger in somebody else's catalogue."""
        with closing(Catalogue.open(path, self.store)) as catalogue:
            yield Registry(self.store, catalogue, self.home)

    def view(self) -> AbstractContextManager[Snapshot]:
        """A snapshot at the head."""
        return snapshot(self.registry, self.trust, self.now)

    def verify(self, reference: str) -> Verdict:
        """The gate's verdict on a reference; raises what the gate raises."""
        with self.view() as view:
            return gate.verify_reference(self.registry, view, reference)

    def code(self, reference: str) -> int:
        """The exit code that `stemma verify REFERENCE` would have."""
        try:
            self.verify(reference)
        except StemmaError as error:
            return exits.code_of(error)
        return 0

    def preview(self, reference: str, by: str = "owner", **options: object) -> custody.Preview:
        """What a quarantine would do."""
        with self.view() as view:
            return custody.preview(view, reference, self.signer(by), **options)  # type: ignore[arg-type]

    def quarantine(self, reference: str, by: str = "owner", **options: object) -> str:
        """Quarantine with the default targets; the digest of the quarantine."""
        seen = self.preview(reference, by, **options)
        digest, _ = custody.quarantine(
            self.registry, self.trust, self.signer(by), seen.targets, "bad", self.now
        )
        return str(digest)

    def release(self, reference: str, by: str = "owner") -> lifting.Released:
        """Release."""
        return lifting.release(
            self.registry, self.trust, self.signer(by), reference, "good again", self.now
        )

    def rebuild(self) -> None:
        """Throw the catalogue away and project the ledger again."""
        if not self.place().embedded:
            self.registry.catalogue.empty()
        self.registry.catalogue.close()
        drop(self.catalogue_path)
        self.registry = self._open()
