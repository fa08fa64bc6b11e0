"""in-toto's own metadata, through its library: which key signed a link.

The library is imported when a link or layout is looked at. Whatever it raises is a
refusal: nothing of it comes out of here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from stemma_attestations.errors import BadKey, NotVerified, SignatureRefused
from stemma_attestations.foreign import Link, Piece
from stemma_attestations.keys import PublicKey


def metadata_of(document: Mapping[str, Any]) -> Any:
    """The library's view of a metablock or an envelope that was parsed strictly.

    Raises NotVerified.
    """
    from in_toto.models.metadata import Metadata  # type: ignore[import-untyped]

    try:
        return Metadata.from_dict(copy.deepcopy(dict(document)))  # it changes what it is given
    except Exception as error:  # the library's errors have no common root
        raise NotVerified(f"not in-toto metadata: {reason(error)}") from error


def signed_by(link: Link, key: PublicKey) -> bool:
    """Whether one of the signatures of a classic link is the key's."""
    signatures = link.metadata.get("signatures")
    if not isinstance(signatures, list):
        return False
    try:
        message: bytes = metadata_of(link.metadata).signed.signable_bytes
    except Exception:  # noqa: BLE001 - whatever cannot be read is not signed
        return False
    return any(_verifies(key, item, message) for item in signatures)


def _verifies(key: PublicKey, signature: object, message: bytes) -> bool:
    try:
        key.verify(bytes.fromhex(str(dict(signature)["sig"])), message)  # type: ignore[call-overload]
    except (SignatureRefused, BadKey, ValueError, TypeError, KeyError):
        return False
    return True


def signers(piece: Piece, keys: Mapping[str, PublicKey]) -> list[tuple[bytes, PublicKey]]:
    """The signatures of a piece that verify, each with its key (of `keys`, by their ids)."""
    if piece.link is not None and piece.envelope is None:
        return [(b"", key) for key in keys.values() if signed_by(piece.link, key)]
    if piece.envelope is None:
        return []
    found, message = [], piece.envelope.signed_bytes
    for signature in piece.envelope.signatures:
        for key in keys.values():
            try:
                key.verify(signature.sig, message)
            except SignatureRefused:
                continue
            found.append((signature.sig, key))
            break
    return found


def reason(error: BaseException) -> str:
    """An error of a library in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text:.200}" if text else type(error).__name__
