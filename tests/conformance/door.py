"""The one door: a bundle, an artifact and what is expected of them, verified by our code.

Both the adapter and the runner go through it. Nothing in here decides: it picks the
function of the package that answers the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations import grants, keyed, keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.trust import TrustRoot
from stemma_registry.trust import belief


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
    roots: Sequence[bytes]
    predicate: str | None
    name: str | None
    at: datetime


def by_trust_root(bundles: Sequence[bytes], artifact: bytes | Digest, asked: Asked) -> None:
    """Believe what bundles say about the artifact, as `stemma trust test` and the gate would.

    As many distinct principals must say it as the trust root asks for. Raises
    BadTrustRoot; BadBundle and SignatureRefused, for the first bundle that does not count.
    """
    trust, refusals, voices, needed = TrustRoot.parse(asked.trust), [], [], 1
    for raw in bundles:
        try:
            word = _word(raw, digest_of(artifact), trust, asked)
        except (BadBundle, SignatureRefused) as error:
            refusals.append(error)
        else:
            voices.append(word.voices)
            needed = max(needed, word.principals)
    if refusals and not voices:
        raise refusals[0]
    count = grants.distinct(voices)
    if count < needed:
        also = f" ({refusals[0]})" if refusals else ""
        raise SignatureRefused(f"{needed} distinct principals are asked for: {count}{also}")


def _word(raw: bytes, artifact: Digest, trust: TrustRoot, asked: Asked) -> belief.Word:
    """What one bundle says about the artifact, if it is believed."""
    roots = {Digest.of(root): root for root in asked.roots}
    found = belief.examine(raw, trust, roots, asked.at)
    if asked.predicate is not None and found.predicate_type != asked.predicate:
        raise SignatureRefused(f"it says {found.predicate_type}, not {asked.predicate}")
    statement = Bundle.parse(raw).statement()
    about = statement.subjects_about(artifact)
    words = list(zip(statement.subjects, found.words, strict=True))
    if not about:
        raise SignatureRefused("its statement is about other bytes")
    meant = [w for s, w in words if s in about and asked.name in (None, s.name)]
    if not meant:
        names = ", ".join(s.name or "no name" for s in about)
        raise SignatureRefused(f"said about {names}, not about {asked.name}")
    believed = [word for word in meant if not word.refusal]
    if not believed:
        raise SignatureRefused(meant[0].refusal)
    return max(believed, key=lambda word: word.principals)
