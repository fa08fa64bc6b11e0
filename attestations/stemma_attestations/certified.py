"""Who made a keyless signature: an identity, and the trusted root that vouched for it."""

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
    authority that certifies anything.
    """

    root: Digest
    identity: Identity

    @property
    def id(self) -> str:
        """Hex SHA-256 of `encode`: what stands where a key's id does."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def voice(self) -> tuple[str, str, str]:
        """Who speaks, without what differs from run to run of one job."""
        return self.root.value, self.identity.issuer, self.identity.subject

    def encode(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return canonical.dumps(
            {
                "claims": dict(self.identity.claims),
                "issuer": self.identity.issuer,
                "root": self.root.value,
                "subject": self.identity.subject,
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> Certified:
        """The inverse of `encode`. Raises BadStatement."""
        try:
            found = json_strict.load_object(raw)
            if set(found) != _FIELDS:
                raise BadStatement("not the fields of an identity")
            claims, issuer, subject = found["claims"], found["issuer"], found["subject"]
            if not isinstance(issuer, str) or not isinstance(subject, str):
                raise BadStatement("issuer and subject are texts")
            if not isinstance(claims, dict) or not claims.keys() <= CLAIM_NAMES:
                raise BadStatement("unknown claims")
            if not all(isinstance(value, str) for value in claims.values()):
                raise BadStatement("claims are texts")
            identity = Identity(issuer, subject, tuple(sorted(claims.items())))
            return cls(sha256(found["root"]), identity)
        except Malformed as error:
            raise BadStatement(f"not an identity: {error}") from error
