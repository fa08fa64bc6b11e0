"""Statements as the store holds them: a bundle, and the key that lies beside it."""

from __future__ import annotations

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadBundle, BadDigest, Undecided
from stemma_attestations.request import Evidence
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged


def evidence(store: Store, bundle: Digest) -> Evidence:
    """A bundle and its key. Raises Undecided where the bundle is lost or damaged."""
    try:
        raw = get_bytes(store, bundle, LIMITS.small_object_bytes)
    except (BlobMissing, Damaged) as error:
        raise Undecided(f"a statement is lost or damaged in the store: {error}") from error
    return Evidence(bundle, raw, _key(store, raw))


def _key(store: Store, raw: bytes) -> bytes | None:
    """The public key that a bundle's hint names, where it is stored."""
    try:
        digest = sha256(Bundle.parse(raw).hint)
        return get_bytes(store, digest, LIMITS.small_object_bytes)
    except (BadBundle, BadDigest, BlobMissing, Damaged):
        return None  # the recipe then says that the key is not known
