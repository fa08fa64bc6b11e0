"""The tensors of an artifact, file by file: canonical JSON. See docs/formats/tensors.md.

A tensor's digest is taken over its type, its shape and its bytes, and over nothing else: not
its name, nor the file, nor where in it. So a model that was sharded anew, packed into
another format or renamed has the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadJSON, BadTable

FORMAT = "urn:stemma:tensor-table:v0.1"
MAX_BYTES = 64 * 1024 * 1024
MAX_TENSORS = 250_000  # of one artifact
MAX_DIMENSIONS = 64
TINY = 1024  # bytes: a smaller tensor is in many models that have nothing to do with each other
_FIELDS = {"name", "dtype", "shape", "size", "sha256"}


@dataclass(frozen=True)
class Tensor:
    """One tensor; `size` in bytes. All items of a `constant` one are the same."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    digest: Digest
    constant: bool = False

    @property
    def tells(self) -> bool:
        """Whether two models that both have it have it from one another, or from a third."""
        return self.size >= TINY and not self.constant


@dataclass(frozen=True)
class TensorFile:
    """The tensors of one file, in the order of their bytes; `blob` is the file's digest."""

    blob: Digest
    format: str
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True)
class Table:
    """The tensors of an artifact; `raw` is the table as it is kept."""

    artifact: Digest
    files: tuple[TensorFile, ...]
    raw: bytes

    @classmethod
    def of(cls, artifact: Digest, files: Iterable[TensorFile]) -> Table:
        """A table. Raises BadTable for what cannot be one."""
        ordered = tuple(sorted(files, key=lambda file: file.blob))
        document = {
            "format": FORMAT,
            "artifact": str(artifact),
            "files": [
                {
                    "sha256": file.blob.value,
                    "format": file.format,
                    "tensors": [_json(one) for one in file.tensors],
                }
                for file in ordered
            ],
        }
        try:
            raw = canonical.dumps(document)
        except BadJSON as error:
            raise BadTable(str(error)) from error
        _check(ordered, len(raw))
        return cls(artifact, ordered, raw)

    @classmethod
    def parse(cls, raw: bytes) -> Table:
        """Read a table strictly. Raises BadTable."""
        try:
            document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
            if document["format"] != FORMAT or set(document) != {"format", "artifact", "files"}:
                raise BadTable("not a table of tensors, or of a newer version")
            files = tuple(_file(obj) for obj in document["files"])
            table = cls(Digest.parse(document["artifact"]), files, raw)
        except (BadJSON, BadDigest, KeyError, TypeError, AttributeError) as error:
            raise BadTable(f"a table of tensors: {error}") from error
        _check(files, len(raw))
        if table.artifact.algorithm != "sha256" or list(files) != sorted(
            files, key=lambda file: file.blob
        ):
            raise BadTable("a table of tensors is of an artifact, its files in order")
        return table

    @property
    def digest(self) -> Digest:
        """SHA-256 of its bytes."""
        return Digest.of(self.raw)

    @property
    def tensors(self) -> int:
        """How many it lists."""
        return sum(len(file.tensors) for file in self.files)

    @cached_property
    def telling(self) -> dict[Digest, int]:
        """Each tensor that tells something once, and its size in bytes."""
        return {one.digest: one.size for file in self.files for one in file.tensors if one.tells}


def prefix(dtype: str, shape: Sequence[int]) -> bytes:
    """What a tensor's bytes are hashed behind."""
    return f"urn:stemma:tensor:v0.1\n{dtype}\n{','.join(map(str, shape))}\n".encode("ascii")


def _json(one: Tensor) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": one.name,
        "dtype": one.dtype,
        "shape": list(one.shape),
        "size": one.size,
        "sha256": one.digest.value,
    }
    return {**document, "constant": True} if one.constant else document


def _file(obj: Any) -> TensorFile:
    if set(obj) != {"sha256", "format", "tensors"}:
        raise BadTable("a file of a table has sha256, format and tensors")
    tensors = tuple(_tensor(one) for one in obj["tensors"])
    return TensorFile(Digest("sha256", obj["sha256"]), _text(obj["format"]), tensors)


def _tensor(obj: Any) -> Tensor:
    if set(obj) - {"constant"} != _FIELDS or obj.get("constant", True) is not True:
        raise BadTable("a tensor has name, dtype, shape, size and sha256")
    shape, size = obj["shape"], obj["size"]
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise BadTable("a shape is a list of numbers")
    if not all(type(n) is int and n >= 0 for n in (*shape, size)):
        raise BadTable("shapes and sizes are numbers")
    return Tensor(
        _text(obj["name"]),
        _text(obj["dtype"]),
        tuple(shape),
        size,
        Digest("sha256", obj["sha256"]),
        "constant" in obj,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadTable("names, types and formats are texts")
    return value


def _check(files: Sequence[TensorFile], length: int) -> None:
    """The limits, and that the sizes can be added up."""
    if length > MAX_BYTES:
        raise BadTable(f"a table of {length} bytes; at most {MAX_BYTES}")
    count = sum(len(file.tensors) for file in files)
    if count > MAX_TENSORS:
        raise BadTable(f"{count} tensors; at most {MAX_TENSORS}")
    if sum(one.size for file in files for one in file.tensors) > json_strict.MAX_INTEGER:
        raise BadTable("more bytes of tensors than there can be")
    if len({file.blob for file in files}) != len(files):
        raise BadTable("a table lists a file twice")
    known: dict[Digest, int] = {}
    for file in files:
        for one in file.tensors:
            if known.setdefault(one.digest, one.size) != one.size:
                raise BadTable("a table says two sizes of one tensor")
