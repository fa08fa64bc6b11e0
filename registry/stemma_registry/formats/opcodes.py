"""Reading a pickle's opcodes one by one, as `pickletools` lists them, without their ballast.

Long arguments are passed over. What a value is, is kept only where it may matter.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from typing import Final

from stemma_registry.formats.sources import Cursor

KEPT_TEXT = 256  # bytes of a text that is kept; a longer one names nothing that is allowed
LINE = 64 * 1024
_WHOLE = re.compile(rb"[\s0-9A-Za-z_+-]+\Z")
_REAL = re.compile(rb"[\s0-9A-Za-z_.+-]+\Z")


class Fails(Exception):
    """An unpickler would fail here."""


class Unknown:
    """A value that is not kept."""

    def __repr__(self) -> str:
        return "?"


UNKNOWN: Final = Unknown()
# An argument: a number, a text, two lines, or what is not kept.
Argument = int | str | tuple[str | Unknown, str | Unknown] | Unknown | None
_OPCODES = {ord(code.code): code for code in pickletools.opcodes}
# How many bytes say how many bytes follow.
_COUNTED = {
    "string1": 1,
    "bytes1": 1,
    "unicodestring1": 1,
    "long1": 1,
    "string4": 4,
    "bytes4": 4,
    "unicodestring4": 4,
    "long4": 4,
    "bytes8": 8,
    "bytearray8": 8,
    "unicodestring8": 8,
}
_SIGNED = frozenset({"int4", "string4", "long4"})


@dataclass(frozen=True, slots=True)
class Op:
    """An opcode: its name in `pickletools`, its argument and where it is."""

    name: str
    arg: Argument
    at: int


def read(cursor: Cursor) -> Op:
    """The next opcode. Raises Fails, EOFError."""
    at = cursor.position
    code = _OPCODES.get(cursor.take(1)[0])
    if code is None:
        raise Fails("no opcode")
    if code.arg is None:
        return Op(code.name, None, at)
    return Op(code.name, _argument(cursor, code.arg.name), at)


def _argument(cursor: Cursor, kind: str) -> Argument:
    if kind in _COUNTED:
        return _counted(cursor, kind)
    if kind in ("uint1", "uint2", "uint4", "uint8", "int4"):
        width = int(kind[-1])
        return int.from_bytes(cursor.take(width), "little", signed=kind in _SIGNED)
    if kind == "float8":
        cursor.take(8)
        return UNKNOWN
    if kind == "stringnl_noescape_pair":
        return _name(cursor.line(LINE)), _name(cursor.line(LINE))
    line = cursor.line(LINE)
    return UNKNOWN if line is None else _line(line, kind)


def _counted(cursor: Cursor, kind: str) -> Argument:
    width = _COUNTED[kind]
    count = int.from_bytes(cursor.take(width), "little", signed=kind in _SIGNED)
    if count < 0:
        raise Fails("a negative length")
    if count > KEPT_TEXT or kind.startswith("byte"):
        cursor.skip(count)
        return UNKNOWN
    data = cursor.take(count)
    if kind.startswith("long"):
        return int.from_bytes(data, "little", signed=True)
    if kind.startswith("string"):
        return _text(data) if data.isascii() else UNKNOWN
    return _text(data)


def _line(line: bytes, kind: str) -> Argument:
    if kind == "floatnl":
        if not _REAL.match(line):
            raise Fails("not a number")
        return UNKNOWN
    if kind.startswith("decimalnl"):
        return _number(line)
    if kind == "stringnl":
        # Only these quotes, as unpicklers have it; escapes are not resolved, so no name is made.
        line = line.rstrip()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b'"', b"'"):
            raise Fails("a string without quotes")
        plain = line[1:-1]
        return UNKNOWN if b"\\" in plain or not plain.isascii() else _text(plain)
    if kind == "unicodestringnl":  # raw-unicode-escape: Latin-1 but for the escapes
        return UNKNOWN if b"\\" in line else line.decode("latin-1")
    return _text(line)


def _name(line: bytes | None) -> str | Unknown:
    return UNKNOWN if line is None else _text(line)


def _number(line: bytes) -> Argument:
    if not _WHOLE.match(line):
        raise Fails("not a number")
    try:
        return int(line.decode("ascii").rstrip("L"), 10)
    except ValueError:
        return UNKNOWN


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Fails("text that is not UTF-8") from error
