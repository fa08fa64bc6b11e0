"""ONNX models and TensorFlow graphs, as far as a walk over protocol buffers shows.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto ,
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/saved_model.proto .
Of ONNX the operators' domains and the files of external data are read, in subgraphs and functions
too. Of TensorFlow names of operations are searched for: that is a search for bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stemma_registry.formats.findings import Look, Stop
from stemma_registry.formats.searching import search
from stemma_registry.formats.sources import Cursor, Source

MAX_FIELDS = 2_000_000
MAX_TEXT = 4_096
MAX_NESTING = 24
# Operations of a TensorFlow graph that reach out of it.
OPERATIONS = tuple(
    name.encode()
    for name in """ReadFile WriteFile MatchingFiles PyFunc PyFuncStateless EagerPyFunc
    DecodeProtoV2 ImmutableConst""".split()  # noqa: SIM905 - quoted words are harder to read
)
_OWN_DOMAINS = {
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
}
_ONNX_FIELDS = frozenset((*range(1, 9), 14, 20, 25, 26))
# ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, StringStringEntryProto,
# SparseTensorProto, FunctionProto: field -> the message in it.
_ONNX = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "function": {7: "node", 11: "attribute"},
    "entry": {},
}


@dataclass(frozen=True)
class Field:
    """A field: its number, and where its bytes are; a number's are none."""

    number: int
    start: int
    size: int
    value: int


class Malformed(ValueError):
    """Not a protocol buffer."""


def fields(source: Source, start: int, end: int) -> Iterator[Field]:
    """The fields between two positions. Raises Malformed, EOFError."""
    cursor = Cursor(source, start)
    while cursor.position < end:
        tag = _varint(cursor)
        number, wire = tag >> 3, tag & 7
        if not number or wire not in (0, 1, 2, 5):
            raise Malformed(f"no field at byte {cursor.position}")
        value = _varint(cursor) if wire in (0, 2) else 0
        size = {0: 0, 1: 8, 2: value, 5: 4}[wire]
        at = cursor.position
        if at + size > end:
            raise Malformed(f"a field at byte {at} that is longer than what it is in")
        yield Field(number, at, size if wire == 2 else -1, value if wire == 0 else 0)
        cursor.skip(size)


def _varint(cursor: Cursor) -> int:
    value = 0
    for place in range(10):
        byte = cursor.take(1)[0]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value
    raise Malformed("a number that does not end")


def kind_of(source: Source) -> str | None:
    """`onnx` or `savedmodel`, or None: told by the fields at the top."""
    if source.read_at(0, 1) != b"\x08" or source.size < 4:
        return None
    numbers: list[int] = []
    try:
        for field in fields(source, 0, source.size):
            numbers.append(field.number)
            if field.number not in _ONNX_FIELDS or len(numbers) > 10_000:
                return None
    except (Malformed, EOFError):
        return None
    if 7 in numbers:
        return "onnx"
    return "savedmodel" if set(numbers) == {1, 2} and numbers[0] == 1 else None


def look_onnx(look: Look, source: Source) -> None:
    """Walk a model for operators of other domains and files outside its directory."""
    try:
        _Walk(look, source).message("model", 0, source.size, 0)
    except Malformed as error:
        look.add("protobuf-malformed", str(error))
    except EOFError:
        look.add("protobuf-malformed", "it ends early")


def look_savedmodel(look: Look, source: Source) -> None:
    """Search a graph for operations that reach out of it."""
    look.add("savedmodel-graph", "a TensorFlow graph is a program")
    for word in search(look.budget, source, OPERATIONS):
        look.add("savedmodel-operation", f"{word.decode()} (by a search for bytes)")


class _Walk:
    def __init__(self, look: Look, source: Source) -> None:
        self.look, self.source, self.count = look, source, 0

    def message(self, kind: str, start: int, end: int, depth: int) -> None:
        if depth > MAX_NESTING:
            raise Stop("too-deep", f"messages nested deeper than {MAX_NESTING}")
        inner, entry = _ONNX[kind], dict[int, str]()
        for field in fields(self.source, start, end):
            self.count += 1
            if self.count > MAX_FIELDS:
                raise Stop("too-much", f"more than {MAX_FIELDS} fields")
            if field.number in inner and field.size >= 0:
                below = inner[field.number]
                self.message(below, field.start, field.start + field.size, depth + 1)
            elif kind == "node" and field.number == 7:
                self.domain(self.text(field))
            elif kind == "entry" and field.number in (1, 2):
                entry[field.number] = self.text(field)
        if entry.get(1) == "location":
            self.location(entry.get(2, ""))

    def text(self, field: Field) -> str:
        if not 0 <= field.size <= MAX_TEXT:
            raise Malformed(f"a text of {field.size} bytes")
        return self.source.read_at(field.start, field.size).decode("utf-8", "replace")

    def domain(self, name: str) -> None:
        if name not in _OWN_DOMAINS:
            self.look.add("onnx-operator", f"operators of {name!r:.80}")

    def location(self, path: str) -> None:
        parts = path.replace("\\", "/").split("/")
        if path.startswith(("/", "\\")) or ".." in parts or ":" in path:
            self.look.add("onnx-external-path", f"external data at {path!r:.120}")
