"""The one door: a bundle, an artifact and what is expected of them, verified by our code.

Both the adapter and the runner go through it. Nothing in here decides: it picks the
function of the package that answers the question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations import keyed, keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.trust import TrustRoot
from stemma_registry import belief


def digest_of(artifact: bytes | Digest) -> Digest:
    """The SHA-256 of an artifact that is given as its bytes or as that."""
    return artifact if isinstance(artifact, Digest) else Digest.of(artifact)


def by_identity(
    raw: bytes, artifact: bytes | Digest, root: bytes, identity: str, issuer: str
) -> None:
    """Verify a keyless bundle by exactly that identity. Raises SignatureRefused."""
    found = keyless.verify_artifact(raw, digest_of(artifact), root).identity
    if found.subject != identity or found.issuer != issuer:
        raise SignatureRefused(f"signed by {found}, not by {identity} (by {issuer})")


def by_key(raw: bytes, artifact: bytes | Digest, key: bytes, root: bytes) -> None:
    """Verify a bundle with a key, and the log entry it may have.

    Raises BadKey, SignatureRefused.
    """
    keyed.verify_artifact(raw, artifact, PublicKey.parse(key), root)


@dataclass(frozen=True)
class Asked:
    """What a trust root is asked: whether this is believed, about what, and when."""

    trust: bytes
    roots: Iterable[bytes]
    predicate: str | None
    name: str | None
    at: datetime


def by_trust_root(raw: bytes, artifact: bytes | Digest, asked: Asked) -> None:
    """Believe a statement about the artifact, as `stemma trust test` would.

    Raises BadTrustRoot, BadBundle, SignatureRefused.
    """
    trust = TrustRoot.parse(asked.trust)
    roots = {Digest.of(root): root for root in asked.roots}
    found = belief.examine(raw, trust, roots, asked.at)
    if asked.predicate is not None and found.predicate_type != asked.predicate:
        raise SignatureRefused(f"it says {found.predicate_type}, not {asked.predicate}")
    statement = Bundle.parse(raw).statement()
    about = statement.subjects_about(digest_of(artifact))
    words = list(zip(statement.subjects, found.words, strict=True))
    if not about:
        raise SignatureRefused("its statement is about other bytes")
    meant = [w for s, w in words if s in about and asked.name in (None, s.name)]
    if not meant:
        names = ", ".join(s.name or "no name" for s in about)
        raise SignatureRefused(f"said about {names}, not about {asked.name}")
    if all(word.refusal for word in meant):
        raise SignatureRefused(meant[0].refusal)
