"""A registry with a status feed, and a gate that has pinned its root."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.ngclient.fetcher import FetcherInterface

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import status as predicate
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store
from stemma_registry.config import Home
from stemma_registry.registry import Registry
from stemma_registry.signing import KeySigner
from stemma_registry.status import gather, offline, pinning, publish, reader
from stemma_registry.status.documents import CUSTODY, Custody
from stemma_registry.status.metadata import Keys, Lifetimes
from stemma_registry.status.publish import Published
from stemma_registry.status.reader import Status
from stemma_registry.status.source import FromStore
from tests.world import World, new_signer


def utc() -> datetime:
    return datetime.now(UTC)


class FeedScene:
    """Three root keys of which two sign, an online key, and a timestamp key of its own."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.folder = folder
        self.world = World(folder, store)
        self.store = self.world.store
        self.roots = [new_signer() for _ in range(3)]
        self.keys = Keys(new_signer(), new_signer())
        self.root = self.initialise()

    def initialise(self) -> bytes:
        online = self.keys.online
        assert online is not None
        publics = (online.public, self.keys.timestamp.public)
        return offline.initialise(self.store, self.roots, 2, publics, utc(), Lifetimes())

    def publish(
        self,
        keys: Keys | None = None,
        always: bool = False,
        at: datetime | None = None,
        change: Mapping[str, bytes] | None = None,
        registry: Registry | None = None,
        lifetimes: Lifetimes | None = None,
    ) -> Published:
        """Publish, perhaps with another clock, or with targets that the ledger does not say."""
        contents = functools.partial(
            gather.contents, registry or self.world.registry, self.world.trust
        )
        return publish.publish(
            self.store,
            keys or self.keys,
            lambda now, before: (
                {**contents(self.world.now, {}), **change}
                if change
                else contents(self.world.now, before)
            ),
            lifetimes,
            always,
            (lambda: at) if at else utc,
        )

    def pin(self, gate: str = "gate", root: bytes | None = None) -> pinning.Pin:
        """The feed as a gate knows it; the same gate remembers."""
        home = Home(self.folder / gate)
        return pinning.pin(home, self.store.location, "somewhere", root or self.root)

    def fetch(
        self,
        gate: str = "gate",
        source: FetcherInterface | None = None,
        now: datetime | None = None,
        max_age: timedelta | None = None,
        trust: TrustRoot | None = None,
        root: bytes | None = None,
    ) -> Status:
        """What a gate reads."""
        place = source or FromStore(self.store)
        trust = self.world.trust if trust is None else trust
        return reader.fetch(self.pin(gate, root), place, trust, {}, now or utc(), max_age)

    def custody(self) -> Custody:
        """What the feed says of custody now."""
        return Custody.parse(publish.load(self.store).files[CUSTODY])


def quarantine(signer: KeySigner, *targets: tuple[Digest, str], nonce: str = "1") -> bytes:
    """A signed quarantine that no ledger holds."""
    subjects = [ResourceDescriptor(name=name, digests=(digest,)) for digest, name in targets]
    said = predicate.build_quarantine("bad", "2026-11-21T12:00:00Z", nonce)
    return signer.sign(Statement.build(subjects, predicate.TYPE, said)).raw


def release(signer: KeySigner, statements: Sequence[Digest], name: str) -> bytes:
    """A signed release that no ledger holds."""
    subjects = [ResourceDescriptor(name=name, digests=(Digest.of(b"x"),))]
    said = predicate.build_release("fine", "2026-11-21T12:00:00Z", list(statements))
    return signer.sign(Statement.build(subjects, predicate.TYPE, said)).raw


def stopped(status: Status) -> list[str]:
    """The labels of what a feed stops."""
    return sorted(target.label for said in status.custody.believed for target in said.targets)
