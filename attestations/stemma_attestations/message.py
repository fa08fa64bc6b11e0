"""Sigstore bundles that sign a file itself: a message signature instead of an envelope.

What `cosign sign-blob` and `sigstore sign` write:
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
Such a signature says nothing about the bytes but that somebody signed them, so it is
no statement, and counts nowhere in the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stemma_attestations.bundle import Frame, refuse_second_spelling
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import unbase64
from stemma_attestations.errors import BadBundle, BadDigest, BadEnvelope, SignatureRefused

_ALGORITHM = "SHA2_256"


@dataclass(frozen=True)
class MessageBundle:
    """One signature over the bytes of a file, and what names the key that made it.

    `digest` is what the bundle says the file's digest is; nobody signs that field, and
    it may be missing. `hint`, `certificate` and `material` are as in `Bundle`.
    """

    raw: bytes
    signature: bytes
    digest: Digest | None
    hint: str
    certificate: bytes | None = None
    material: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, raw: bytes) -> MessageBundle:
        """Read a bundle. Raises BadBundle."""
        frame = Frame.read(raw)
        refuse_second_spelling(frame.document)
        signed = frame.document.get("messageSignature")
        if not isinstance(signed, dict) or "dsseEnvelope" in frame.document:
            raise BadBundle("not a bundle of one message signature and nothing else")
        try:
            signature = unbase64(signed.get("signature"), "signature")
            digest = _digest(signed.get("messageDigest"))
        except (BadEnvelope, BadDigest) as error:
            raise BadBundle(f"message signature: {error}") from error
        return cls(raw, signature, digest, frame.hint, frame.certificate, frame.material)

    def check_digest(self, artifact: Digest) -> None:
        """Refuse a bundle that says of itself that it is of other bytes.

        Raises SignatureRefused.
        """
        if artifact.algorithm != "sha256":
            raise SignatureRefused(f"a message signature is over a sha256, not {artifact.short}")
        if self.digest is not None and self.digest != artifact:
            raise SignatureRefused(
                f"the bundle is of other bytes: {self.digest.short}, not {artifact.short}"
            )


def _digest(value: Any) -> Digest | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("algorithm") != _ALGORITHM:
        raise BadBundle(f"a message's digest is by {_ALGORITHM}")
    return Digest("sha256", unbase64(value.get("digest"), "digest").hex())


def is_message(raw: bytes) -> bool:
    """Whether a bundle holds a message signature. Raises BadBundle."""
    return "messageSignature" in Frame.read(raw).document
