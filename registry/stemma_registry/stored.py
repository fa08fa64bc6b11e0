"""Statements as the store holds them: a bundle, and the key that lies beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadBundle, BadDigest, Undecided
from stemma_attestations.request import Evidence
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue.climb import Spoken
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged

T = TypeVar("T")


def evidence(store: Store, bundle: Digest) -> Evidence:
    """A bundle and its key. Raises Undecided where the bundle is lost or damaged."""
    try:
        raw = get_bytes(store, bundle, LIMITS.small_object_bytes)
    except (BlobMissing, Damaged) as error:
        raise Undecided(f"a statement is lost or damaged in the store: {error}") from error
    return Evidence(bundle, raw, _key(store, raw))


def evidence_about(store: Store, trust: TrustRoot, facts: Iterable[Fact]) -> list[Evidence]:
    """The statements that `facts` are of, in that order, as far as `heard` goes."""

    def read(bundle: Digest) -> tuple[int, Evidence]:
        item = evidence(store, bundle)
        return len(item.raw), item

    facts = list(facts)
    found = dict(heard(trust, facts, read))
    order = dict.fromkeys(fact.bundle for fact in facts)
    return [found[bundle] for bundle in order if bundle in found]


def heard(
    trust: TrustRoot,
    facts: Iterable[Fact | Spoken],
    read: Callable[[Digest], tuple[int, T]],
) -> Iterator[tuple[Digest, T]]:
    """What `read` makes of each bundle, with the bundle's size: listed signers' first.

    Of others only so much that strangers cannot make a verdict long: they are shown as
    reasons and make nothing pass. Raises Undecided for too much by listed signers.
    """
    standing: dict[Digest, bool] = {}
    for fact in facts:
        if not standing.get(fact.bundle):
            standing[fact.bundle] = fact.signer is not None and any(trust.entries(fact.signer))
    room = LIMITS.listed_bytes
    for bundle in (one for one, known in standing.items() if known):
        size, item = read(bundle)
        room -= size
        if room < 0:
            raise Undecided(
                f"more than {LIMITS.listed_bytes} bytes of statements about one thing; "
                "the limit is a named one"
            )
        yield bundle, item
    room = LIMITS.others_bytes
    others = (one for one, known in standing.items() if not known)
    for bundle in itertools.islice(others, LIMITS.others):
        if room <= 0:
            return
        size, item = read(bundle)
        room -= size
        yield bundle, item


def _key(store: Store, raw: bytes) -> bytes | None:
    """The public key that a bundle's hint names, where it is stored."""
    try:
        digest = sha256(Bundle.parse(raw).hint)
        return get_bytes(store, digest, LIMITS.key_bytes)
    except (BadBundle, BadDigest, BlobMissing, Damaged):
        return None  # the recipe then says that the key is not known
