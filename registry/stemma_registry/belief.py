"""Would this bundle be believed, for what, and why not?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations import keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.names import subject_name
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot, described


@dataclass(frozen=True)
class Word:
    """What a statement says about one subject; `refusal` is empty where it is believed.

    `principals` is how many distinct ones must say so before it counts for a yes.
    """

    subject: str
    refusal: str
    principals: int


@dataclass(frozen=True)
class Belief:
    """A bundle whose signature verifies, and what it is worth under a trust root."""

    by: str
    principal: str | None
    predicate_type: str
    signed: datetime | None
    words: tuple[Word, ...]

    @property
    def believed(self) -> bool:
        """Whether all of it is."""
        return bool(self.words) and not any(word.refusal for word in self.words)


@dataclass(frozen=True)
class Verified:
    """Whoever signed a statement, as far as a trust root can tell."""

    id: str
    certified: Certified | None
    statement: Statement
    signed: datetime | None


def examine(raw: bytes, trust: TrustRoot, roots: Mapping[Digest, bytes], now: datetime) -> Belief:
    """Verify a bundle under a trust root, and ask what it may say.

    `roots` are the Sigstore trusted roots at hand. Raises BadBundle, and
    SignatureRefused where no signature verifies.
    """
    found = identify(raw, trust, roots)
    known, statement = trust.introducing(found.certified), found.statement
    kind, words = statement.predicate_type, []
    for subject in statement.subjects:
        name = subject_name(subject.name)
        label = subject.name or next((digest.short for digest in subject.digests), "nothing")
        about = name.name if name else None
        may = known.authorises(found.id, kind, about, now, found.signed)
        refusal = "" if may else known.refusal(found.id, kind, label, found.signed)
        words.append(Word(label, refusal, known.needed(kind, about)))
    return Belief(described(found), known.principal(found.id), kind, found.signed, tuple(words))


def identify(raw: bytes, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Verified:
    """Verify a bundle with whatever key or identity of a trust root signed it.

    Whether that one may say so is another question. Raises BadBundle, SignatureRefused.
    """
    bundle = Bundle.parse(raw)
    return _by_certificate(bundle, trust, roots) if bundle.certificate else _by_key(bundle, trust)


def _by_key(bundle: Bundle, trust: TrustRoot) -> Verified:
    key = trust.key(bundle.hint)
    if key is None:
        raise SignatureRefused(f"key {bundle.hint:.12} is not in the trust root")
    return Verified(key.id, None, bundle.verify(key), None)


def _by_certificate(bundle: Bundle, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Verified:
    reasons = []
    for digest in trust.roots:
        if digest not in roots:
            reasons.append(f"the trusted root {digest.short} is not on this machine")
            continue
        try:
            found = keyless.verify(bundle.raw, roots[digest], pin=digest)
        except SignatureRefused as error:
            reasons.append(str(error))
            continue
        who = Certified(digest, found.identity)
        return Verified(who.id, who, found.statement, found.times[0])
    text = "; ".join(dict.fromkeys(reasons))
    raise SignatureRefused(text or "it is keyless, and the trust root lists no identity")
