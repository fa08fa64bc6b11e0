"""The part of the ledger that a dossier carries: held against its head, and projected.

The catalogue's own projection makes the rows, from the entries as they are in the ledger
but for what the dossier does not hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from stemma_attestations import json_strict
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import (
    BadBundle,
    BadDigest,
    BadStatement,
    Malformed,
    SignatureRefused,
)
from stemma_attestations.predicates import checkpoint
from stemma_attestations.predicates.dossier import Role
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.held import Held
from stemma_registry.catalogue.project import Projector
from stemma_registry.dossier import proofs
from stemma_registry.dossier.container import Content
from stemma_registry.errors import BadDossier, LedgerBroken
from stemma_registry.ledger.entry import KNOWN, PUSH, Event, LedgerEntry

Entries = Mapping[int, LedgerEntry]


def read(content: Content, trust: TrustRoot) -> Entries:
    """The ledger entries in their order, each proved to lie below the head. Raises BadDossier."""
    entries = {entry.n: entry for entry in map(_entry, content.all(Role.ENTRY).values())}
    said = content.said
    head, raw = entries.get(said.n), content.one(Role.PROOFS)
    if len(entries) != len(said.of(Role.ENTRY)) or head is None or raw is None:
        raise BadDossier("its ledger entries are not those that it should have")
    if head.digest != said.entry or head.tree_root != said.tree_root:
        raise BadDossier(f"its ledger entry {said.n} is not the head that is signed")
    proofs.check(head, entries, raw)
    _check_checkpoint(content, entries, trust)
    _check_carried(content, entries)
    return dict(sorted(entries.items()))


def project(
    catalogue: Catalogue, store: Store, content: Content, entries: Entries, held: Held
) -> None:
    """Write the rows of everything that the dossier holds. Raises LedgerBroken, Unavailable."""
    members = {member.digest: member.role for member in content.said.members}
    with catalogue.writing() as connection:
        projector = Projector(connection, store, held)
        for entry in entries.values():
            events = tuple(_kept(event, members, content) for event in entry.events)
            projector.project(replace(entry, events=events))


def _entry(raw: bytes) -> LedgerEntry:
    try:
        n = json_strict.load_object(raw).get("n")
        return LedgerEntry.parse(raw, n if type(n) is int else -1)
    except (Malformed, LedgerBroken) as error:
        raise BadDossier(f"a ledger entry in it: {error}") from error


def _kept(event: Event, members: Mapping[Digest, Role], content: Content) -> Event:
    """An event without what the dossier does not hold."""

    def those(digests: Collection[Digest], role: Role) -> tuple[Digest, ...]:
        return tuple(digest for digest in digests if members.get(digest) is role)

    if event.type not in KNOWN:
        return Event(PUSH)
    bundles = those(event.bundles, Role.STATEMENT)
    # A bundle may have come before its key.
    named = [hint for bundle in bundles if (hint := _hinted(content.blobs[bundle])) is not None]
    keys = dict.fromkeys(those((*event.keys, *named), Role.KEY))
    return Event(PUSH, those(event.artifacts, Role.MANIFEST), bundles, tuple(keys))


def _hinted(raw: bytes) -> Digest | None:
    try:
        return sha256(Bundle.parse(raw).hint)
    except (BadBundle, BadDigest):
        return None


def _check_carried(content: Content, entries: Entries) -> None:
    """Make sure that everything that should be projected is in an entry."""
    known = {one for entry in entries.values() for event in entry.events for one in event.digests}
    for role in (Role.MANIFEST, Role.STATEMENT):
        for member in content.said.of(role):
            if member.digest not in known:
                raise BadDossier(
                    f"none of its ledger entries holds the {role} {member.digest.short}"
                )


def _check_checkpoint(content: Content, entries: Entries, trust: TrustRoot) -> None:
    """Hold the ledger against the head that somebody who is believed has signed beside it."""
    raw = content.one(Role.CHECKPOINT)
    if raw is None:
        return
    try:
        bundle = Bundle.parse(raw)
        key = trust.key(bundle.hint)
        if key is None or not trust.has_authorised(key.id, checkpoint.TYPE, checkpoint.SUBJECT):
            return
        said = checkpoint.parse(bundle.verify(key))
    except (BadBundle, BadStatement, SignatureRefused):
        return  # one that is not believed can neither stop a reader nor help one
    entry = entries.get(said.n)
    if entry is None or entry.digest != said.entry:
        raise BadDossier(f"its ledger is not the one whose entry {said.n} a checkpoint names")
