"""What the ledger says of a repository's tags: which were seen, and what came of each.

Read of every machine's records alike, so that a tag that moved or went away is noticed, and an
old one that comes back moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from stemma_attestations import gto
from stemma_attestations.bundle import Bundle
from stemma_attestations.errors import BadBundle, BadName, BadStatement
from stemma_attestations.predicates import tags as predicate
from stemma_attestations.predicates.tags import CLAIMED, Seen
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.registry import Registry, Snapshot


@dataclass(frozen=True)
class Counted:
    """A tag that counted: what it said of NAME, and when it was made."""

    seen: Seen
    said: gto.Said
    order: tuple[int, int, str]


@dataclass(frozen=True)
class Known:
    """The last word on each tag, by the tag's name."""

    tags: dict[str, Seen]

    @cached_property
    def counted(self) -> list[Counted]:
        """Those that counted, oldest first."""
        found = []
        for seen in self.tags.values():
            said = gto.parse(seen.tag) if seen.outcome != CLAIMED else None
            if said is not None and _name(seen.tag) == said.artifact:
                order = (seen.time or 0, said.number or 0, seen.tag)
                found.append(Counted(seen, said, order))
        return sorted(found, key=lambda one: one.order)

    def is_settled(self, tag: str, name: str) -> bool:
        """Whether nothing more comes of a tag, which counted."""
        seen = self.tags.get(tag)
        return seen is not None and seen.id == name and seen.outcome != CLAIMED

    def is_claimed(self, tag: str, name: str) -> bool:
        """Whether it is noted as a claim: its signer may count by now."""
        seen = self.tags.get(tag)
        return seen is not None and seen.id == name and seen.outcome == CLAIMED

    def moved(self, tag: str, name: str) -> Seen | None:
        """What a tag was that counted, where it is something else now."""
        seen = self.tags.get(tag)
        if seen is None or seen.id == name or seen.outcome == CLAIMED:
            return None
        return seen

    def gone(self, present: Iterable[str]) -> list[Seen]:
        """Tags that counted and are not there any more."""
        names, counted = set(present), sorted(self.tags.items())
        return [s for tag, s in counted if tag not in names and s.outcome != CLAIMED]


def read(registry: Registry, view: Snapshot, repository: str) -> Known:
    """What believed records say, in ledger order. Raises what reading blobs raises."""
    node = query.node_id(view.connection, predicate.repository_digest(repository))
    found: dict[str, Seen] = {}
    for fact in query.facts_about(view.connection, node) if node is not None else ():
        signer = fact.signer
        if fact.predicate_type != predicate.TYPE or signer is None:
            continue
        raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
        try:
            record = predicate.parse(Bundle.parse(raw).statement())
        except (BadBundle, BadStatement):
            continue
        if record.repository != repository:
            continue
        believed: dict[str, bool] = {}
        for seen in record.tags:
            name = _name(seen.tag)
            if name not in believed:
                said = signer, predicate.TYPE, name, fact.signed
                believed[name] = view.trust.has_authorised(*said)
            if not believed[name]:
                continue
            before = found.get(seen.tag)
            # What a tag was when it counted, it stays; a claim keeps nobody's place.
            if before is None or before.id == seen.id or before.outcome == CLAIMED:
                found[seen.tag] = seen
    return Known(found)


def _name(tag: str) -> str:
    """What a record must be let to be about."""
    said = gto.parse(tag)
    try:
        return said.name if said is not None else tag
    except BadName:
        return tag
