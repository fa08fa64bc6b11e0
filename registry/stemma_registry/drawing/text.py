"""Text of others, made safe for the formats that it goes into."""

from __future__ import annotations

import unicodedata

_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Cs")


def visible(text: str) -> str:
    """`text` with everything that is not seen (controls, turns of direction) written out.

    Names and reasons come from anywhere: what cannot be seen could make one read like another.
    Lone surrogates are written out too, so that the rest can be encoded.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
