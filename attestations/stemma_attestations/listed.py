"""A signer as a trust root lists it: whose, by which key or identity, and what it may say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadKey, BadName, BadTrustRoot, Malformed
from stemma_attestations.grants import Grant, only, parse_grant
from stemma_attestations.identity import IdentityPattern
from stemma_attestations.keys import PublicKey
from stemma_attestations.times import parse_time


@dataclass(frozen=True)
class Signer:
    """A key or an identity of a `principal` (one person or machine), and what it may say.

    Exactly one of `key` and `identity` is there; `root` is the digest of the
    Sigstore trusted root under which the identity must verify.
    """

    principal: str
    grants: tuple[Grant, ...]
    key: PublicKey | None = None
    identity: IdentityPattern | None = None
    root: Digest | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    revoked: datetime | None = None

    def valid_at(self, now: datetime, signed: datetime | None) -> bool:
        """Whether a signature counts that provably existed at `signed` (None: not known).

        The window [valid_from, valid_until) is of signing where that time is known;
        else of the question, and an identity, which lives minutes, does not count.
        """
        time = now if signed is None else signed
        if self.stands(signed) and (self.key is not None or signed is not None):
            after = self.valid_from is None or self.valid_from <= time
            return after and (self.valid_until is None or time < self.valid_until)
        return False

    def stands(self, signed: datetime | None) -> bool:
        """Whether it was not revoked, or only after the signature had provably existed."""
        return self.revoked is None or (signed is not None and signed < self.revoked)

    @property
    def label(self) -> str:
        """How it is recognised, for people."""
        if self.key is not None:
            return f"key {self.key.id[:12]}"
        return f"identity {self.identity.subject}" if self.identity else "nobody"


_FIELDS = {"principal", "key", "identity", "may", "valid_from", "valid_until", "revoked"}


def parse_signer(obj: object, number: int) -> Signer:
    """Read one of `signers`. Raises BadTrustRoot with the place of the mistake."""
    where = f"trust root: signer {number}"
    if not isinstance(obj, dict):
        raise BadTrustRoot(f"{where} is not a mapping")
    only(obj, _FIELDS, where)
    principal, key, may = obj.get("principal"), obj.get("key"), obj.get("may")
    if not isinstance(principal, str) or not principal.isprintable() or not principal:
        raise BadTrustRoot(f"{where} has no `principal`")
    if ("key" in obj) == ("identity" in obj):
        raise BadTrustRoot(f"{where} has a `key` or an `identity`, one of the two")
    if "key" in obj and not isinstance(key, str):
        raise BadTrustRoot(f"{where} has no `key` (a public key in PEM)")
    if not isinstance(may, list):
        raise BadTrustRoot(f"{where} has no `may` (a list of predicates and names)")
    try:
        root, pattern = _parse_identity(obj["identity"]) if "identity" in obj else (None, None)
        return Signer(
            principal=principal,
            grants=tuple(parse_grant(item, f"{where}: each of `may`") for item in may),
            key=PublicKey.parse(key.encode()) if isinstance(key, str) else None,
            identity=pattern,
            root=root,
            valid_from=_time(obj.get("valid_from")),
            valid_until=_time(obj.get("valid_until")),
            revoked=_time(obj.get("revoked")),
        )
    except (BadKey, BadName) as error:
        raise BadTrustRoot(f"{where}: {error}") from error
    except BadTrustRoot as error:
        known = str(error).startswith("trust root: ")
        raise error if known else BadTrustRoot(f"{where}: {error}") from error
    except Malformed as error:
        raise BadTrustRoot(f"{where}: {error}") from error


def _parse_identity(obj: object) -> tuple[Digest, IdentityPattern]:
    if not isinstance(obj, dict):
        raise BadTrustRoot("`identity` is {issuer, subject, root, claims}")
    only(obj, {"issuer", "subject", "root", "claims"}, "identity")
    issuer, subject, root = obj.get("issuer"), obj.get("subject"), obj.get("root")
    claims = obj.get("claims", {})
    if not isinstance(issuer, str) or not isinstance(subject, str):
        raise BadTrustRoot("an identity has `issuer` and `subject`")
    if not isinstance(root, str):
        raise BadTrustRoot("an identity has a `root` (the SHA-256 of a Sigstore trusted root)")
    if not isinstance(claims, dict) or not all(isinstance(v, str) for v in claims.values()):
        raise BadTrustRoot("`claims` are names and texts")
    return Digest.parse(root), IdentityPattern(issuer, subject, tuple(sorted(claims.items())))


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        return parse_time(value)
    raise BadTrustRoot("a time is written as 2026-01-31T12:00:00Z")
