"""Verify a bundle about one file with a key that the caller has, instead of a certificate."""

from __future__ import annotations

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.message import MessageBundle, is_message
from stemma_attestations.statement import Statement


def verify_artifact(raw: bytes, artifact: bytes | Digest, key: PublicKey) -> Statement | None:
    """Verify a bundle that is to be about these bytes, or the bytes with this SHA-256.

    They are the message that was signed (None is returned), or a subject of the statement.
    Raises SignatureRefused.
    """
    try:
        if is_message(raw):
            _message(MessageBundle.parse(raw), artifact, key)
            return None
        statement = Bundle.parse(raw).verify(key)
    except BadBundle as error:
        raise SignatureRefused(str(error)) from error
    if not statement.subjects_about(_digest(artifact)):
        raise SignatureRefused("its statement is about other bytes")
    return statement


def _message(bundle: MessageBundle, artifact: bytes | Digest, key: PublicKey) -> None:
    if bundle.certificate is not None:
        raise SignatureRefused("the bundle has a certificate: no key verifies it")
    if bundle.hint not in key.hints:
        raise SignatureRefused(f"the bundle names key {bundle.hint:.12}, not {key.id[:12]}")
    bundle.check_digest(_digest(artifact))
    key.verify_blob(bundle.signature, artifact)


def _digest(artifact: bytes | Digest) -> Digest:
    return artifact if isinstance(artifact, Digest) else Digest.of(artifact)
