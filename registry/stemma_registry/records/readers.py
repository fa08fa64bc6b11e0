"""Reading records out of files: a chunk at a time, whatever is in them.

A file that cannot be read raises Unreadable; a row that cannot be is counted, and left out.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from stemma_registry.config import LIMITS
from stemma_registry.records import canonical

CHUNK_ROWS = 16_384
CHUNK_BYTES = 16 * 1024 * 1024
_AT_ONCE = 512  # records that are bytes at the same time
_FORMATS = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "csv": "csv",
    "tsv": "tsv",
    "txt": "text",
    "text": "text",
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "ipc": "arrow",
    "feather": "arrow",
}
COLUMNS = frozenset({"parquet", "arrow"})
_PACKED = {"gz": "gzip", "zst": "zstd", "zstd": "zstd"}
# What the names of files of records end with, in small letters.
_TEXTS = [name for name, known in _FORMATS.items() if known not in COLUMNS]
ENDINGS = (
    *(f".{name}" for name in _FORMATS),
    *(f".{name}.{last}" for name in _TEXTS for last in _PACKED),
)
_NAME = re.compile(r"[^/]\.([A-Za-z]+)(?:\.([A-Za-z]+))?\Z")
_BOM = b"\xef\xbb\xbf"
_LINE = "text"  # the field that a line of plain text is


class Unreadable(ValueError):
    """A file that has no records that could be read."""


@dataclass(frozen=True)
class Form:
    """What a file is, by its name: `packed` is gzip, zstd or empty."""

    format: str
    packed: str = ""

    @classmethod
    def of(cls, path: str) -> Form | None:
        """The form of a file that may have records."""
        match = _NAME.search(path.lower())
        if match is None:
            return None
        last, packed = match[2] or match[1], ""
        if match[2] in _PACKED:
            last, packed = match[1], _PACKED[match[2]]
        known = _FORMATS.get(last)
        if known is None or (packed and known in COLUMNS):
            return None
        return cls(known, packed)

    def __str__(self) -> str:
        return f"{self.format}+{self.packed}" if self.packed else self.format

    @classmethod
    def parse(cls, text: str) -> Form:
        """From what `str` makes of one."""
        known, _, packed = text.partition("+")
        return cls(known, packed)


@dataclass(frozen=True)
class Chunk:
    """Canonical records and the rows, from 1, that they are of, in order."""

    rows: Sequence[int]
    messages: Iterable[bytes]


@dataclass
class Reader:
    """One file that is read once. `groups` are row groups of Parquet: from, and up to."""

    source: BinaryIO
    size: int
    form: Form
    fields: Collection[str] | None = None
    groups: tuple[int, int] | None = None
    unread: int = 0
    read: int = field(default=0)

    def chunks(self) -> Iterator[Chunk]:
        """All records that say something. Raises Unreadable."""
        if self.form.format in COLUMNS:
            yield from self._of_columns()
            return
        rows: list[int] = []
        found: list[bytes] = []
        held = 0
        for row, record in self._of_lines():
            message = self._message(record)
            if message is None:
                continue
            rows.append(row)
            found.append(message)
            held += len(message)
            if len(rows) >= CHUNK_ROWS or held >= CHUNK_BYTES:
                yield Chunk(rows, found)
                rows, found, held = [], [], 0
        if rows:
            yield Chunk(rows, found)

    def _message(self, record: dict[str, Any]) -> bytes | None:
        try:
            message = canonical.record(record, self.fields)
        except (ValueError, TypeError, RecursionError):
            self.unread += 1
            return None
        self.read += 1
        return message or None

    def _of_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if self.form.format in {"csv", "tsv"}:
            yield from self._of_table()
            return
        make = _of_json if self.form.format == "jsonl" else _of_text
        for number, line in enumerate(self._lines(), 1):
            if not line.strip():
                continue
            try:
                record = make(line.decode())
            except (ValueError, RecursionError):
                self.unread += 1
                continue
            yield number, record

    def _of_table(self) -> Iterator[tuple[int, dict[str, Any]]]:
        csv.field_size_limit(LIMITS.record_bytes)
        lines = (line.decode("utf-8", "surrogateescape") for line in self._lines(keep=True))
        table = csv.reader(lines, delimiter="\t" if self.form.format == "tsv" else ",")
        header = self._row(table)
        if header is None:
            return
        names = [canonical.normal(name) for name in header]
        real = [name for name in names if name not in canonical.NO_DATA]
        if len(set(real)) < len(real):
            raise Unreadable("two of its columns have one name")
        number = 0
        while (row := self._row(table)) is not None:
            number += 1
            if len(row) > len(names) or _is_broken(row):
                self.unread += 1
                continue
            yield number, dict(zip(names, row, strict=False))

    def _row(self, table: Iterator[list[str]]) -> list[str] | None:
        """The next row that is not blank. A row that is none is counted."""
        while True:
            try:
                row = next(table, None)
            except csv.Error:
                self.unread += 1
                continue
            if row is None or row:
                return row

    def _lines(self, keep: bool = False) -> Iterator[bytes]:
        """Lines without (`keep`: with) their ends. Raises Unreadable for what has none."""
        most, room = LIMITS.record_bytes, self.size * LIMITS.record_expansion + LIMITS.record_room
        with _opened(self.source, self.form.packed) as stream:
            first = True
            while line := stream.readline(most + 1):
                room -= len(line)
                if len(line) > most:
                    raise Unreadable(f"it has a line of more than {most} bytes")
                if room < 0:
                    raise Unreadable(
                        f"it unpacks to more than {LIMITS.record_expansion} times its size"
                    )
                if first and line.startswith(_BOM):
                    line = line[len(_BOM) :]
                first = False
                yield line if keep else line.rstrip(b"\r\n")

    def _of_columns(self) -> Iterator[Chunk]:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from stemma_registry.records import columns

        row, room = 1, self.size * LIMITS.record_expansion + LIMITS.record_room
        batches = _parquet(self) if self.form.format == "parquet" else _arrow(self)
        try:
            for first, batch in batches:
                row = row if first is None else first
                made = columns.messages(batch, self.fields)
                room -= made.nbytes
                if room < 0:
                    raise Unreadable(
                        f"it unpacks to more than {LIMITS.record_expansion} times its size"
                    )
                rows: Sequence[int] = range(row, row + batch.num_rows)
                row += batch.num_rows
                self.read += batch.num_rows
                said = np.asarray(pc.binary_length(made)) > 0
                if not said.all():
                    rows = (np.flatnonzero(said) + rows[0]).tolist()
                    made = made.filter(pa.array(said))
                if rows:
                    yield Chunk(rows, _Few(made))
        except (pa.ArrowException, ValueError, TypeError, OSError, OverflowError) as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(" ".join(str(error).split())[:200]) from error


@dataclass(frozen=True)
class _Few:
    """Binary of Arrow as bytes, a few at a time: so they are used while a cache holds them."""

    array: Any

    def __iter__(self) -> Iterator[bytes]:
        starts = range(0, len(self.array), _AT_ONCE)
        lists = (self.array.slice(start, _AT_ONCE).to_pylist() for start in starts)
        return itertools.chain.from_iterable(lists)


def groups(source: BinaryIO) -> list[int]:
    """How many rows each row group of a Parquet file has. Raises Unreadable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        about = pq.ParquetFile(source).metadata
        return [about.row_group(number).num_rows for number in range(about.num_row_groups)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable(" ".join(str(error).split())[:200]) from error


def _parquet(reader: Reader) -> Iterator[tuple[int | None, Any]]:
    import pyarrow.parquet as pq

    # Read as it goes: a row group may be larger than the memory there is.
    file = pq.ParquetFile(reader.source, pre_buffer=False, buffer_size=64 * 1024)
    about = file.metadata
    first, last = reader.groups or (0, about.num_row_groups)
    wanted = _chosen(file.schema_arrow.names, reader.fields)
    row = 1 + sum(about.row_group(number).num_rows for number in range(first))
    for number in range(first, last):
        group = about.row_group(number)
        each = max(group.total_byte_size // max(group.num_rows, 1), 1)
        at_once = max(1, min(CHUNK_ROWS, CHUNK_BYTES // each))
        for batch in file.iter_batches(at_once, [number], columns=wanted, use_threads=False):
            yield row, batch
            row += batch.num_rows


def _chosen(names: Sequence[str], fields: Collection[str] | None) -> list[str] | None:
    if fields is None:
        return None
    wanted = {canonical.normal(name) for name in fields}
    return [name for name in names if canonical.normal(name) in wanted]


def _arrow(reader: Reader) -> Iterator[tuple[int | None, Any]]:
    import pyarrow as pa
    from pyarrow import ipc

    try:
        file = ipc.open_file(reader.source)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
    except pa.ArrowInvalid:
        reader.source.seek(0)
        batches = iter(ipc.open_stream(reader.source))
    for batch in batches:
        each = max(batch.nbytes // max(batch.num_rows, 1), 1)
        at_once = max(1, min(CHUNK_ROWS, CHUNK_BYTES // each))
        for start in range(0, batch.num_rows, at_once):
            yield None, batch.slice(start, at_once)


def _of_json(line: str) -> dict[str, Any]:
    read = canonical.load(line)
    return read if isinstance(read, dict) else {_LINE: read}


def _of_text(line: str) -> dict[str, Any]:
    return {_LINE: line}


def _is_broken(row: list[str]) -> bool:
    """Whether a cell has bytes that are not UTF-8."""
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return True
    return False


@contextlib.contextmanager
def _opened(source: BinaryIO, packed: str) -> Iterator[io.BufferedReader]:
    """What is in a file that may be packed. Raises Unreadable."""
    import zlib

    import zstandard

    stream: Any = source
    if packed == "gzip":
        stream = gzip.GzipFile(fileobj=source)
    elif packed == "zstd":
        opener = zstandard.ZstdDecompressor(max_window_size=LIMITS.record_window)
        stream = opener.stream_reader(source, read_across_frames=True, closefd=False)
    try:
        yield io.BufferedReader(stream, 1024 * 1024)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Unreadable(" ".join(str(error).split())[:200] or type(error).__name__) from error
