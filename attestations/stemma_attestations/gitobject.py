"""Git objects as bytes: their names, and what commits, tags and trees say.

Formats: https://git-scm.com/docs/git-hash-object, git-mktree, gitformat-signature.
A repository is of one object format, SHA-1 or SHA-256; ids are lower-case hex.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stemma_attestations.errors import Malformed

ObjectFormat = Literal["sha1", "sha256"]
DIGITS: Mapping[str, int] = {"sha1": 40, "sha256": 64}

TREE, BLOB, EXECUTABLE, LINK, SUBMODULE = "40000", "100644", "100755", "120000", "160000"
_MODES = frozenset({TREE, BLOB, EXECUTABLE, LINK, SUBMODULE, "100664"})
# The header that holds a commit's signature, of both object formats: neither is signed over.
_SIGNATURES = ("gpgsig", "gpgsig-sha256")
_TAG_SIGNATURE = re.compile(
    rb"^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SSH SIGNATURE|SIGNED MESSAGE)-----$", re.MULTILINE
)
_WHO = re.compile(rb"(?P<who>[^\n\x00]*?) (?P<seconds>-?[0-9]{1,18}) [+-][0-9]{4}\Z")


class BadObject(Malformed):
    """Bytes that are no Git object of their kind, or not the one they were read as."""


@dataclass(frozen=True)
class Signed:
    """What was signed, byte for byte, and the armoured signature over it."""

    payload: bytes
    signature: bytes


@dataclass(frozen=True)
class Commit:
    """A commit; `author` and `committer` as they stand, `time` the committer's, Unix seconds."""

    tree: str
    parents: tuple[str, ...]
    author: str
    committer: str
    time: int
    message: str
    signed: Signed | None


@dataclass(frozen=True)
class Tag:
    """An annotated tag; `kind` is of what it points to."""

    object: str
    kind: str
    name: str
    tagger: str
    time: int | None
    message: str
    signed: Signed | None


@dataclass(frozen=True)
class TreeEntry:
    """One entry of a tree. A name is bytes: nothing says that it is UTF-8."""

    mode: str
    name: bytes
    id: str


def identify(kind: str, data: bytes, object_format: ObjectFormat) -> str:
    """The id of an object of that kind with those bytes."""
    name = hashlib.new(object_format, usedforsecurity=object_format != "sha1")
    name.update(b"%s %d\x00" % (kind.encode(), len(data)))
    name.update(data)
    return name.hexdigest()


def commit(data: bytes) -> Commit:
    """Read a commit. Raises BadObject."""
    headers, body = _headers(data)
    found = _single(headers, ("tree", "author", "committer"))
    parents = tuple(_id(value) for key, value in headers if key == "parent")
    who, time = _who(found["committer"])
    return Commit(
        tree=_id(found["tree"]),
        parents=parents,
        author=_who(found["author"])[0],
        committer=who,
        time=time,
        message=body.decode(errors="replace"),
        signed=_signed_commit(data, headers),
    )


def tag(data: bytes) -> Tag:
    """Read an annotated tag. Raises BadObject."""
    headers, body = _headers(data)
    found = _single(headers, ("object", "type", "tag"))
    taggers = [value for key, value in headers if key == "tagger"]
    who, time = _who(taggers[0]) if taggers else ("", None)
    signed = None
    starts = [match.start() for match in _TAG_SIGNATURE.finditer(body)]
    if starts:
        cut = len(data) - len(body) + starts[-1]
        signed = Signed(data[:cut], data[cut:])
        body = body[: starts[-1]]
    return Tag(
        object=_id(found["object"]),
        kind=found["type"].decode(errors="replace"),
        name=found["tag"].decode(errors="replace"),
        tagger=who,
        time=time,
        message=body.decode(errors="replace"),
        signed=signed,
    )


def tree(data: bytes, object_format: ObjectFormat) -> tuple[TreeEntry, ...]:
    """Read a tree: its entries as they stand, which is Git's order. Raises BadObject."""
    width = DIGITS[object_format] // 2
    entries, at = [], 0
    while at < len(data):
        space, end = data.find(b" ", at, at + 8), data.find(b"\x00", at)
        if space < 0 or end < space or end + 1 + width > len(data):
            raise BadObject("a tree that ends within an entry")
        mode, name = data[at:space].decode(errors="replace"), data[space + 1 : end]
        if mode not in _MODES or not name or b"/" in name:
            raise BadObject("a tree with an entry that Git does not write")
        entries.append(TreeEntry(mode, name, data[end + 1 : end + 1 + width].hex()))
        at = end + 1 + width
    if len({entry.name for entry in entries}) < len(entries):
        raise BadObject("a tree that holds a name twice")
    return tuple(entries)


def _headers(data: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers in their order, continuation lines joined by line breaks, and the message."""
    head, blank, body = data.partition(b"\n\n")
    if not blank:
        head = head.removesuffix(b"\n")
    if b"\x00" in head:
        raise BadObject("an object with a NUL in its header")
    headers: list[tuple[str, bytes]] = []
    for line in head.split(b"\n"):
        if line.startswith(b" ") and headers:
            key, value = headers[-1]
            headers[-1] = (key, value + b"\n" + line[1:])
            continue
        name, space, value = line.partition(b" ")
        if not space:
            raise BadObject("an object with a header that has no value")
        headers.append((name.decode(errors="replace"), value))
    return headers, body


def _single(headers: list[tuple[str, bytes]], names: tuple[str, ...]) -> dict[str, bytes]:
    """The values of headers that stand exactly once: twice would mean two things to two readers."""
    found: dict[str, bytes] = {}
    for name in names:
        values = [value for key, value in headers if key == name]
        if len(values) != 1:
            raise BadObject(f"an object with {len(values)} {name} headers")
        found[name] = values[0]
    return found


def _signed_commit(data: bytes, headers: list[tuple[str, bytes]]) -> Signed | None:
    signatures = [value for key, value in headers if key in _SIGNATURES]
    if not signatures:
        return None
    if len(signatures) > 1:
        raise BadObject("a commit with more than one signature")
    head, blank, body = data.partition(b"\n\n")
    kept, inside = [], False
    for line in head.split(b"\n"):
        if not (inside and line.startswith(b" ")):
            inside = line.split(b" ")[0].decode(errors="replace") in _SIGNATURES
        if not inside:
            kept.append(line)
    return Signed(b"\n".join(kept) + blank + body, signatures[0])


def _who(value: bytes) -> tuple[str, int]:
    match = _WHO.match(value)
    if match is None:
        raise BadObject("an object without a time")
    return match["who"].decode(errors="replace"), int(match["seconds"])


def _id(value: bytes) -> str:
    text = value.decode(errors="replace")
    if len(text) not in DIGITS.values() or not re.fullmatch(r"[0-9a-f]+", text):
        raise BadObject("an object that refers to no id")
    return text
