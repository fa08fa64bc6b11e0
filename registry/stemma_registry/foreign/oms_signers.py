"""Who signs a model, and who is believed to have signed one: keys, certificates, identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.predicates import signature
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot, described
from stemma_registry.errors import Refused
from stemma_registry.signing import KeyHolder, Signer

SCHEME = "ecdsa-sha2-nistp256"  # of what model_signing reads, the one that we have


@dataclass(frozen=True)
class Believed:
    """A statement whose signature verifies.

    `signer` is for people, `signed` a trusted time at which the signature existed, where
    one is known.
    """

    statement: Statement
    signer: str
    signed: datetime | None = None


# Checks the signature of a bundle's bytes, by whatever the caller believes. Raises
# SignatureRefused.
Believe = Callable[[bytes], Believed]
# Signs a statement: the bundle's bytes, and who signed, for people. Raises Refused, NotFound,
# Unavailable, SignatureRefused.
Seal = Callable[[Statement], tuple[bytes, str]]


def with_key(signer: KeyHolder) -> Seal:
    """Sign as `model_signing sign key` does. Raises Refused for another kind of key."""
    _check_scheme(signer)

    def seal(statement: Statement) -> tuple[bytes, str]:
        raw = signature.bundle(signer.sign(statement), signer.public)
        return raw, by_key(signer.public)(raw).signer  # as everybody else will read it

    return seal


def with_certificate(signer: KeyHolder, chain: Sequence[bytes], now: datetime) -> Seal:
    """Sign as `model_signing sign certificate` does; `chain` is DER, the signer's own first.

    Raises Refused for another kind of key.
    """
    from stemma_attestations import certificates

    _check_scheme(signer)
    certificates.check(chain, signer.public, now)

    def seal(statement: Statement) -> tuple[bytes, str]:
        raw = certificates.bundle(signer.sign(statement), chain)
        return raw, certificates.described(chain[0])

    return seal


def with_identity(signer: Signer) -> Seal:
    """Sign as `model_signing sign sigstore` does: keyless."""

    def seal(statement: Statement) -> tuple[bytes, str]:
        return signer.sign(statement).raw, described(signer)

    return seal


def _check_scheme(signer: KeyHolder) -> None:
    if signer.public.scheme != SCHEME:
        raise Refused(
            f"a model signature is made by an ECDSA P-256 key, not {signer.public.scheme}"
        )


def by_key(key: PublicKey) -> Believe:
    """Believe what this key signed."""

    def believe(raw: bytes) -> Believed:
        try:
            return Believed(Bundle.parse(raw).verify(key), f"key {key.id[:12]}")
        except BadBundle as error:
            raise SignatureRefused(str(error)) from error

    return believe


def by_certificate(
    pinned: Sequence[bytes], now: datetime, trusted_root: bytes | None = None
) -> Believe:
    """Believe whom a root among these certificates (DER) vouches for.

    The timestamp authorities of a Sigstore trusted root say when it was signed.
    """
    from stemma_attestations import certificates

    def believe(raw: bytes) -> Believed:
        found = certificates.verify(raw, pinned, now, trusted_root)
        return Believed(found.statement, found.signer, found.signed)

    return believe


def by_identity(subject: str, issuer: str, root: bytes) -> Believe:
    """Believe exactly this identity, under the Sigstore trusted root with these bytes."""
    from stemma_attestations import keyless

    def believe(raw: bytes) -> Believed:
        found = keyless.verify(raw, root)
        for what, is_, asked in (
            ("issuer", found.identity.issuer, issuer),
            ("subject", found.identity.subject, subject),
        ):
            if is_ != asked:
                raise SignatureRefused(
                    f"somebody else signed it: the {what} is {is_!a:.200}, not {asked!a:.200}"
                )
        return Believed(found.statement, f"identity {found.identity}", found.times[0])

    return believe


def by_trust(
    trust: TrustRoot, roots: Mapping[Digest, bytes], name: str | None, now: datetime
) -> Believe:
    """Believe whoever may say so of the model `name` (None: of everything).

    `roots` are the Sigstore trusted roots at hand.
    """
    from stemma_registry.trust import belief

    def believe(raw: bytes) -> Believed:
        try:
            found = belief.identify(raw, trust, roots)
        except BadBundle as error:
            raise SignatureRefused(
                f"no key or identity of the trust root can have signed it: {error}"
            ) from error
        known, kind = trust.introducing(found.certified), found.statement.predicate_type
        subject = name or "a model without a name"
        if not known.authorises(found.id, kind, name, now, found.signed):
            raise SignatureRefused(known.refusal(found.id, kind, subject, found.signed))
        if (count := _needed(trust, kind, name)) > 1:
            raise SignatureRefused(
                f"{count} principals must say so of {subject}, and a model signature has one signer"
            )
        who = f"{known.principal(found.id)} ({described(found)})"
        return Believed(found.statement, who, known.since(found.id, found.signed))

    return believe


def _needed(trust: TrustRoot, kind: str, name: str | None) -> int:
    """How many principals must say it; of what has no name, as many as of any name."""
    if name is not None:
        return trust.needed(kind, name)
    counts = (t.principals for t in trust.thresholds if {kind, "*"} & set(t.about.predicates))
    return max(counts, default=1)
