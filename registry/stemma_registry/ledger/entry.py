"""One ledger entry. See docs/formats/ledger.md.

Entries hold digests only, never text about people: what a statement says lives
in a blob, which can be erased without breaking the chain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, Malformed
from stemma_attestations.times import parse_time
from stemma_registry.errors import LedgerBroken

FORMAT = "urn:stemma:ledger-entry:v0.1"
MAX_EVENTS = 10_000
# What this version understands. An unknown event that is marked critical stops every reader.
INIT, PUSH, STATUS = "init", "push", "status"
STAGE = "stage"  # what is at a stage from now on, and the verdict that it rests on
TRUST = "trust"  # keeps a trust root in the store, for those who pin its digest
# On the way out of the store; see docs/store.md.
CONDEMN, COLLECT, COLLECTED, ERASE = "condemn", "collect", "collected", "erase"
KNOWN = frozenset({INIT, PUSH, STATUS, STAGE, TRUST, CONDEMN, COLLECT, COLLECTED, ERASE})
_SHA256 = "sha256:"
_NONCE = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True)
class Event:
    """Something that happened, by digests.

    `artifacts` are manifests, `bundles` signed statements, `keys` the public
    keys (DER) that verify them, or a trust root. `blobs` are on their way out of the store: to
    be named there is no reference.
    """

    type: str
    artifacts: tuple[Digest, ...] = ()
    bundles: tuple[Digest, ...] = ()
    keys: tuple[Digest, ...] = ()
    critical: bool = True
    blobs: tuple[Digest, ...] = ()

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Every blob the event refers to directly."""
        return (*self.artifacts, *self.bundles, *self.keys)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, without empty lists."""
        document: dict[str, Any] = {"type": self.type, "critical": self.critical}
        for field in ("artifacts", "bundles", "keys", "blobs"):
            if digests := getattr(self, field):
                document[field] = [str(digest) for digest in digests]
        return document


@dataclass(frozen=True)
class LedgerEntry:
    """Entry `n` of the ledger.

    `previous` is the digest of entry n-1 (None for entry 0), `tree_root` the
    RFC 6962 root (hex) over the raw bytes of all entries before it.
    """

    n: int
    previous: Digest | None
    nonce: str
    time: str
    tree_root: str
    events: tuple[Event, ...]
    raw: bytes

    @classmethod
    def build(
        cls,
        n: int,
        previous: Digest | None,
        nonce: str,
        time: str,
        tree_root: str,
        events: Sequence[Event],
    ) -> LedgerEntry:
        """Write an entry as canonical JSON. Raises LedgerBroken."""
        document = {
            "format": FORMAT,
            "n": n,
            "previous": str(previous) if previous else None,
            "nonce": nonce,
            "time": time,
            "tree_root": tree_root,
            "events": [event.to_json() for event in events],
        }
        return cls.parse(canonical.dumps(document), n)

    @classmethod
    def parse(cls, raw: bytes, n: int) -> LedgerEntry:
        """Read entry `n` strictly. Raises LedgerBroken."""
        try:
            return _parse(raw, n)
        except (Malformed, KeyError, TypeError, AttributeError) as error:
            raise LedgerBroken(f"ledger entry {n}: {error}") from error

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of the entry's bytes."""
        return Digest.of(self.raw)


def _parse(raw: bytes, n: int) -> LedgerEntry:
    document = json_strict.load_object(raw)
    if document.get("format") != FORMAT:
        raise LedgerBroken(
            f"ledger entry {n} has an unknown format {document.get('format')!r:.60}; "
            "it needs a newer version of stemma"
        )
    if type(document["n"]) is not int or document["n"] != n or not _NONCE.match(document["nonce"]):
        raise LedgerBroken(f"ledger entry {n} says it is entry {document['n']!r:.20}")
    if canonical.dumps(document) != raw:
        raise LedgerBroken(f"ledger entry {n} is not in its canonical form")
    events = document["events"]
    if not 1 <= len(events) <= MAX_EVENTS:
        raise LedgerBroken(f"ledger entry {n} holds {len(events)} events")
    parse_time(document["time"])
    Digest("sha256", document["tree_root"])
    previous = document["previous"]
    return LedgerEntry(
        n=n,
        previous=None if previous is None else _blob_name(previous),
        nonce=document["nonce"],
        time=document["time"],
        tree_root=document["tree_root"],
        events=tuple(_parse_event(event, n) for event in events),
        raw=raw,
    )


def _parse_event(obj: Any, n: int) -> Event:
    kind, critical = obj["type"], obj.get("critical", True)
    if kind not in KNOWN and critical is not False:
        raise LedgerBroken(
            f"ledger entry {n} holds an event {kind!r:.40} that must be understood; "
            "it needs a newer version of stemma"
        )
    return Event(
        type=str(kind),
        artifacts=_digests(obj, "artifacts"),
        bundles=_digests(obj, "bundles"),
        keys=_digests(obj, "keys"),
        critical=critical is not False,
        blobs=_digests(obj, "blobs"),
    )


def _digests(obj: Any, field: str) -> tuple[Digest, ...]:
    texts = obj.get(field, [])
    if not isinstance(texts, list):
        raise BadDigest(f"{field} is not a list")
    return tuple(_blob_name(text) for text in texts)


def _blob_name(text: str) -> Digest:
    if text.startswith(_SHA256):
        return Digest("sha256", text[len(_SHA256) :])
    digest = Digest.parse(text)
    if digest.algorithm != "sha256":
        raise BadDigest(f"entries and blobs are named by SHA-256, not {digest.algorithm}")
    return digest
