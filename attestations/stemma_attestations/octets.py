"""Reading the length-prefixed bytes of SSH and OpenPGP; past the end is an error, never a guess."""

from __future__ import annotations

import base64
import binascii
import re

from stemma_attestations.errors import Malformed

_ARMOUR = re.compile(
    rb"-----BEGIN (?P<label>[A-Z ]{1,40})-----\r?\n"
    rb"(?:[A-Za-z-]+: [^\n]*\n)*(?:[ \t\r]*\n)?"
    rb"(?P<body>[A-Za-z0-9+/=\r\n]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n"
    rb"-----END (?P=label)-----"
)


class Octets:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """How many are still there."""
        return len(self._data) - self._at

    @property
    def at(self) -> int:
        """How many were taken."""
        return self._at

    def take(self, count: int) -> bytes:
        """So many bytes. Raises Malformed where there are fewer."""
        if count < 0 or count > self.left:
            raise Malformed("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, count: int) -> int:
        """An unsigned number of so many bytes, the most significant first."""
        return int.from_bytes(self.take(count))

    def text(self) -> bytes:
        """SSH's `string`: four bytes of length, and so many bytes (RFC 4251, section 5)."""
        return self.take(self.number(4))

    def whole(self) -> bytes:
        """An OpenPGP `MPI`: its length in bits, and its bytes (RFC 9580, section 3.2)."""
        return self.take((self.number(2) + 7) // 8)

    def end(self) -> None:
        """Raises Malformed where anything is left."""
        if self.left:
            raise Malformed("it goes on after its end")


def armoured(data: bytes, label: str) -> bytes:
    """The bytes in an armour of that label, which must be all there is. Raises Malformed."""
    match = _ARMOUR.fullmatch(data.strip())
    if match is None or match["label"].decode() != label:
        raise Malformed(f"not one {label.lower()} in its armour")
    try:
        return base64.b64decode(b"".join(match["body"].split()), validate=True)
    except binascii.Error as error:
        raise Malformed(f"the {label.lower()} is not base64") from error
