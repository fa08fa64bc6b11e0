"""Who made a keyless signature: an identity, and the trusted roots that vouched for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.identity import CLAIM_NAMES, Identity

_FIELDS = {"claims", "issuer", "root", "subject"}


@dataclass(frozen=True)
class Certified:
    """An identity that was verified under the trusted root with this digest.

    The same identity under another root is somebody else: anybody can run an
    authority that certifies anything. One signature may verify under several: an
    instance's old root, and the one that took its place. `others` are the further ones.
    """

    root: Digest
    identity: Identity
    others: tuple[Digest, ...] = ()

    @property
    def roots(self) -> tuple[Digest, ...]:
        """Every root under which it was verified."""
        return (self.root, *self.others)

    @property
    def id(self) -> str:
        """Hex SHA-256 of `encode`: what stands where a key's id does."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def voice(self) -> tuple[str, str, str]:
        """Who speaks, without what differs from run to run of one job."""
        return self.root.value, self.identity.issuer, self.identity.subject

    @property
    def voices(self) -> tuple[tuple[str, str, str], ...]:
        """The same, under each of its roots."""
        said = self.identity.issuer, self.identity.subject
        return tuple((root.value, *said) for root in self.roots)

    def encode(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        document: dict[str, object] = {
            "claims": dict(self.identity.claims),
            "issuer": self.identity.issuer,
            "root": self.root.value,
            "subject": self.identity.subject,
        }
        if self.others:
            document["others"] = [root.value for root in self.others]
        return canonical.dumps(document)

    @classmethod
    def parse(cls, raw: bytes) -> Certified:
        """The inverse of `encode`. Raises BadStatement."""
        try:
            found = json_strict.load_object(raw)
            others = found.pop("others", [])
            if set(found) != _FIELDS or not isinstance(others, list):
                raise BadStatement("not the fields of an identity")
            claims, issuer, subject = found["claims"], found["issuer"], found["subject"]
            if not isinstance(issuer, str) or not isinstance(subject, str):
                raise BadStatement("issuer and subject are texts")
            if not isinstance(claims, dict) or not claims.keys() <= CLAIM_NAMES:
                raise BadStatement("unknown claims")
            if not all(isinstance(value, str) for value in claims.values()):
                raise BadStatement("claims are texts")
            identity = Identity(issuer, subject, tuple(sorted(claims.items())))
            return cls(sha256(found["root"]), identity, tuple(sha256(one) for one in others))
        except Malformed as error:
            raise BadStatement(f"not an identity: {error}") from error
