"""A registry with a model and what it was made from, and a machine that has only a dossier."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from stemma_attestations.errors import StemmaError
from stemma_attestations.names import NameVersion
from stemma_attestations.policy import BUILTIN, Policy
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Verdict
from stemma_cli import exits
from stemma_registry import gate
from stemma_registry.config import Home
from stemma_registry.dossier import container, making
from stemma_registry.dossier.container import HEADER, Content
from stemma_registry.dossier.opening import Asked, Machine, opened
from stemma_registry.gate import Terms
from stemma_registry.policy_source import SHIPPED
from tests.world import World

WEEK = timedelta(days=7)
FILES = {"w.bin": b"weights", "config.json": b"{}"}


@dataclass
class Parts:
    """A dossier file, taken apart."""

    bundle: bytes
    members: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, raw: bytes) -> Parts:
        content = parse(raw)
        return cls(content.bundle.raw, list(content.blobs.values()))

    def join(self) -> bytes:
        return HEADER + b"%d\n" % len(self.bundle) + self.bundle + b"".join(self.members)


class DossierScene:
    """`acme/model:1` was trained on `acme/data:1`; `owner` says everything."""

    def __init__(self, folder: Path, world: World | None = None) -> None:
        self.folder = folder
        self.world = World(folder) if world is None else world
        self.world.push("acme/data:1")
        self.world.push("acme/other:1")
        self.push("acme/model:1")
        self.gate = Home(folder / "gate")
        self.count = 0

    def push(self, name: str, data: str = "acme/data:1") -> None:
        files = {**FILES, "name.txt": name.encode()}
        self.world.push(name, files, f"trained-on={data}", kind="model")

    def directory(self, name: str = "acme/model:1") -> Path:
        return self.world.directory({**FILES, "name.txt": name.encode()})

    def make(
        self,
        ref: str = "acme/model:1",
        by: str = "owner",
        lasts: timedelta = WEEK,
        terms: Terms | None = None,
        policy: bytes | None = None,
        at: datetime | None = None,
    ) -> Path:
        """A dossier in a file."""
        world = self.world
        world.home.path.mkdir(exist_ok=True)
        shutil.copyfile(world.trust_path, world.home.trust)
        self.count += 1
        path = self.folder / f"{self.count}.dossier"
        wanted = making.Wanted(ref, lasts, terms or Terms(), policy or SHIPPED["builtin"])
        now = at or world.now
        making.make(world.registry, world.trust, world.signer(by), wanted, path, now)
        return path

    def verify(
        self,
        path: Path,
        root: Path | None = None,
        *,
        expected: str | None = None,
        policy: Policy | None = BUILTIN,
        now: datetime | None = None,
        trust: TrustRoot | None = None,
        stage: str | None = None,
        max_age: timedelta | None = None,
        stale_ok: str | None = None,
        home: Home | None = None,
    ) -> Verdict:
        """What a machine makes of it that has no registry; raises what the gate raises."""
        believed = self.world.trust if trust is None else trust
        name = NameVersion.parse(expected) if expected else None
        location = self.world.store.location
        machine = Machine(
            home or self.gate, lambda: location, now or self.world.now, lambda _: believed
        )
        where = self.directory() if root is None else root
        asked = Asked(where, name, policy, stage, max_age, stale_ok)
        with opened(path, container.read(path), machine, asked) as held:
            return gate.judge(held.registry, held.view, held.subject, held.terms)

    def code(self, path: Path, root: Path | None = None, **options: object) -> int:
        """The exit code that `stemma verify DIR --dossier FILE` would have."""
        try:
            self.verify(path, root, **options)  # type: ignore[arg-type]
        except StemmaError as error:
            return exits.code_of(error)
        return 0

    def changed(self, raw: bytes, **options: object) -> int:
        """The same for a file of these bytes."""
        path = self.folder / "changed.dossier"
        path.write_bytes(raw)
        return self.code(path, **options)  # type: ignore[arg-type]


def parse(raw: bytes) -> Content:
    """A file's content. Raises BadDossier."""
    return container.parse(io.BytesIO(raw))
