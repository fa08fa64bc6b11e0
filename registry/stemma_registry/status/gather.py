"""What the feed says: the ledger's head, every act of custody, waivers, trust root and policy.

*Every* quarantine is in it, also those that were released, with their releases:
whoever saw one stand must be able to see, however late, who lifted it. What
counts is decided by the reader, under a trust root of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadBundle
from stemma_attestations.predicates import status as predicate
from stemma_attestations.trust import TrustRoot
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files, policy_source
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import acts, statuses
from stemma_registry.catalogue.acts import UNKNOWN
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import BlobMissing, Damaged, LedgerBroken, NotFound, Refused
from stemma_registry.ledger import heads
from stemma_registry.ledger.log import read_entry
from stemma_registry.registry import Registry, Snapshot, snapshot
from stemma_registry.status.documents import (
    CUSTODY,
    CUSTODY_FORMAT,
    HEAD,
    POLICY,
    TRUST_ROOT,
    WAIVERS,
    WAIVERS_FORMAT,
    BadFeed,
    Custody,
    FeedHead,
)
from stemma_registry.trust import source as trust_source


def contents(
    registry: Registry, trust: TrustRoot, now: datetime, before: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The target files, by name, at the ledger's head. `before` are those of the feed so far.

    Raises LedgerBroken where the ledger is behind the feed, Refused where a file
    would be too large, Unavailable.
    """
    with snapshot(registry, trust, now) as view:
        found = {
            HEAD: _head(registry.store, view, before.get(HEAD)).encode(),
            CUSTODY: _custody(registry.store, view, before.get(CUSTODY)).encode(),
        }
        waived = _waivers(registry.store, view, before.get(WAIVERS))
    if waived.bundles:
        found[WAIVERS] = waived.encode(WAIVERS_FORMAT)
    texts = {TRUST_ROOT: trust_root(registry, trust), POLICY: _policy(registry.home)}
    found |= {name: raw for name, raw in texts.items() if raw is not None}
    for name, data in found.items():
        if len(data) > LIMITS.feed_target_bytes:
            raise Refused(f"{name} of the feed would have {len(data)} bytes, which nobody reads")
    return found


def trust_root(registry: Registry, trust: TrustRoot) -> bytes | None:
    """The bytes of the trust root in force, where the home or the registry has them."""
    named = trust_source.told(registry.home)
    for path in (registry.home.trust, named.path if named else None):
        with contextlib.suppress(NotFound):
            raw = files.read(path, "trust root", MAX_BYTES) if path is not None else b""
            if Digest.of(raw) == trust.digest:
                return raw
    with contextlib.suppress(BlobMissing):
        return get_bytes(registry.store, trust.digest, MAX_BYTES)
    return None


def _head(store: Store, view: Snapshot, before: bytes | None) -> FeedHead:
    entry = read_entry(store, view.n)
    if entry is None:
        raise LedgerBroken(f"ledger entry {view.n} is not there any more")
    _follows(store, view, before)
    checkpoint = key = None
    signed = heads.read_checkpoint(store, view.trust)
    if signed is not None and signed.n <= view.n:
        try:
            checkpoint = store.read(heads.CHECKPOINT)
            listed = view.trust.key(Bundle.parse(checkpoint).hint)
            key = listed.der if listed else None
        except (NotFound, BadBundle):
            checkpoint = None  # another took its place a moment ago
    return FeedHead(view.n, entry.digest, entry.tree_root, entry.time, checkpoint, key)


def _follows(store: Store, view: Snapshot, before: bytes | None) -> None:
    """Make sure that the ledger goes on from where the feed saw it."""
    if before is None:
        return
    try:
        seen = FeedHead.parse(before)
    except BadFeed:
        return  # nothing that a publisher of ours has signed
    entry = read_entry(store, seen.n) if seen.n <= view.n else None
    if entry is None or entry.digest != seen.entry:
        raise LedgerBroken(
            f"the ledger does not hold entry {seen.n} as the feed says: it was rewound or "
            "replaced, and nothing is published"
        )


def _policy(home: Home) -> bytes | None:
    """The policy that the publisher's configuration names, as it is."""
    return policy_source.chosen_bytes(None, home) if policy_source.is_chosen(home) else None


def _waivers(store: Store, view: Snapshot, before: bytes | None) -> Custody:
    heard = (row.fact for row in acts.waivers(view.connection) if _is_heard(view.trust, row.fact))
    facts = {fact.bundle: fact for fact in heard}
    return _read(store, view.trust, facts, _known(before, WAIVERS_FORMAT))


def _custody(store: Store, view: Snapshot, before: bytes | None) -> Custody:
    facts: dict[Digest, Fact] = {}
    for action in (predicate.QUARANTINE, predicate.MATCHING, predicate.RELEASE, UNKNOWN):
        for row in statuses.statuses(view.connection, action):
            if _is_heard(view.trust, row.fact):
                facts.setdefault(row.fact.bundle, row.fact)
    return _read(store, view.trust, facts, _known(before, CUSTODY_FORMAT))


def _read(
    store: Store, trust: TrustRoot, facts: Mapping[Digest, Fact], known: Mapping[Digest, bytes]
) -> Custody:
    """The bundles of these, and the keys of signers that the trust root does not list."""
    order = sorted(facts.values(), key=lambda fact: (fact.n, fact.bundle))
    signers = {fact.signer for fact in order if fact.signer and not trust.who(fact.signer)}
    wanted = [fact.bundle for fact in order] + [sha256(signer) for signer in sorted(signers)]

    def read(digest: Digest) -> bytes:
        found = known.get(digest)
        return get_bytes(store, digest, LIMITS.small_object_bytes) if found is None else found

    try:
        data = dict(ahead(read, wanted, LIMITS.transfers))
    except (BlobMissing, Damaged) as error:
        raise LedgerBroken(f"a status statement or its key is lost: {error}") from error
    bundles = [data[fact.bundle] for fact in order]
    return Custody.of(bundles, [data[sha256(signer)] for signer in signers])


def _is_heard(trust: TrustRoot, fact: Fact) -> bool:
    """Whether a statement is passed on: strangers could fill the feed until nobody reads it."""
    if fact.signer is None:
        return False
    return not trust.signers or trust.principal(fact.signer) is not None


def _known(before: bytes | None, kind: str) -> dict[Digest, bytes]:
    """What need not be read again, by its digest."""
    if before is None:
        return {}
    try:
        custody = Custody.parse(before, kind)
    except BadFeed:
        return {}
    return {Digest.of(data): data for data in (*custody.bundles, *custody.keys)}
