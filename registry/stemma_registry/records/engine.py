"""Reading the files of others, in a process of its own: what the child does.

A file can be made to take all memory there is, or to crash the library that reads it. So that
happens here, and whatever ends this process is a note, never a failed push.

One question a line on standard input, one answer a line on standard output; JSON both. What
is large is in files, beside the question's `out`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stemma_registry.config import LIMITS
from stemma_registry.records import near, runs
from stemma_registry.records.readers import COLUMNS, Chunk, Form, Reader, Unreadable, groups

TOO_LARGE = 77  # the exit code where more memory was needed than there may be
_WATCH_SECONDS = 0.05


def main() -> None:
    """Answer until there are no more questions."""
    _limit()
    for line in sys.stdin:
        try:
            said = _answer(json.loads(line))
        except Unreadable as error:
            said = {"wrong": str(error)}
        except MemoryError:
            os._exit(TOO_LARGE)
        except BaseException as error:  # noqa: BLE001 - a panic of a library is no Exception
            said = {"wrong": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def watch() -> None:
        while _resident() <= LIMITS.record_memory:
            pause.wait(_WATCH_SECONDS)
        os._exit(TOO_LARGE)

    pause = threading.Event()
    threading.Thread(target=watch, daemon=True).start()


def _resident() -> int:
    """Bytes of memory that this process holds, or has held at most."""
    import resource

    try:
        # Not `getrusage`: there Linux counts what the parent held before this program began.
        with open("/proc/self/statm", "rb") as source:
            return int(source.read().split()[1]) * resource.getpagesize()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    form = Form.parse(question["form"])
    with _opened(question["path"], form) as source:
        if question["do"] == "groups":
            return {"groups": groups(source)}
        reader = Reader(
            source,
            os.fstat(source.fileno()).st_size,
            form,
            question["fields"],
            tuple(question["groups"]) if question.get("groups") else None,
        )
        make = _index if question["do"] == "index" else _rows
        said = make(reader, question)
        return {**said, "read": reader.read, "unread": reader.unread}


def _opened(path: str, form: Form) -> Any:
    """A file to read; what Arrow reads it opens itself, so that no byte goes through Python."""
    if form.format not in COLUMNS:
        return open(path, "rb")
    import pyarrow as pa

    return pa.OSFile(path)


def _index(reader: Reader, question: dict[str, Any]) -> dict[str, Any]:
    """The runs of a file, written to `out`: their first rows, counts and the two files of each."""
    found = []
    make = _of_bands if question.get("near") else _of_records
    hashed_by = make(bytes.fromhex(question["block"]))
    for number, (hashed, rows) in enumerate(_parts(reader, hashed_by)):
        first, packed, body = runs.build(hashed, rows)
        names = [f"{question['out']}.{number}.{kind}" for kind in ("filter", "hashes")]
        for name, data in zip(names, (packed, body), strict=True):
            with open(name, "wb") as out:
                out.write(data)
        found.append([first, len(hashed), *names])
    return {"runs": found}


def _of_records(block: bytes) -> Callable[[Chunk], Iterator[tuple[Any, Any]]]:
    """The hashes of records and their rows."""

    def hashed(chunk: Chunk) -> Iterator[tuple[Any, Any]]:
        yield runs.hashes(chunk.messages, block), _numbers(chunk.rows)

    return hashed


def _of_bands(block: bytes) -> Callable[[Chunk], Iterator[tuple[Any, Any]]]:
    """The bands of the texts of records, BANDS of each, and their rows."""
    import numpy as np

    seeds = near.Seeds.of(block)

    def hashed(chunk: Chunk) -> Iterator[tuple[Any, Any]]:
        places, bands = near.bands([near.text(message) for message in chunk.messages], seeds)
        if len(places):
            rows = _numbers(chunk.rows)[places]
            yield bands.ravel(), np.repeat(rows, near.BANDS)

    return hashed


def _numbers(rows: Sequence[int]) -> Any:
    """Rows as an array (numpy): of a range that is not made number by number."""
    import numpy as np

    if isinstance(rows, range):
        return np.arange(rows.start, rows.stop)
    return np.asarray(rows, np.int64)


def _parts(
    reader: Reader, hashed_by: Callable[[Chunk], Iterator[tuple[Any, Any]]]
) -> Iterator[tuple[Any, Any]]:
    """Hashes and their rows, as many as are sorted together."""
    held: list[tuple[Any, Any]] = []
    count = 0
    for hashed, rows in (pair for chunk in reader.chunks() for pair in hashed_by(chunk)):
        spread = held and int(rows[-1]) - int(held[0][1][0]) >= 1 << 32
        if held and (spread or count + len(rows) > LIMITS.record_run):
            yield _joined(held)
            held, count = [], 0
        if int(rows[-1]) - int(rows[0]) >= 1 << 32:
            raise Unreadable("its records are too far from each other")
        held.append((hashed, rows))
        count += len(rows)
    if held:
        yield _joined(held)


def _joined(held: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    import numpy as np

    both = np.concatenate([h for h, _ in held]), np.concatenate([r for _, r in held])
    held.clear()
    return both


def _rows(reader: Reader, question: dict[str, Any]) -> dict[str, Any]:
    """Records as they are hashed, written to `out`: row, length, bytes. All, or some rows."""
    wanted = None if question["rows"] is None else set(question["rows"])
    if wanted and reader.form.format == "parquet":
        reader.groups = _around(groups(reader.source), wanted)
    last = max(wanted, default=0) if wanted is not None else None
    count, most, room = 0, question["most"], question.get("room")
    with open(question["out"], "wb") as out:
        for chunk in reader.chunks():
            for row, message in _picked(chunk, wanted):
                if count >= most or (room is not None and out.tell() >= room):
                    return {"count": count, "more": True}
                out.write(row.to_bytes(8, "little") + len(message).to_bytes(4, "little") + message)
                count += 1
            if last is not None and chunk.rows[-1] >= last:
                break
    return {"count": count, "more": False}


def _picked(chunk: Chunk, wanted: set[int] | None) -> Iterator[tuple[int, bytes]]:
    pairs = zip(chunk.rows, chunk.messages, strict=True)
    return ((row, message) for row, message in pairs if wanted is None or row in wanted)


def _around(sizes: list[int], wanted: set[int]) -> tuple[int, int]:
    """The row groups, from and up to, that hold the rows."""
    low, high, row, found = min(wanted), max(wanted), 1, []
    for number, size in enumerate(sizes):
        if low < row + size and high >= row:
            found.append(number)
        row += size
    return (found[0], found[-1] + 1) if found else (0, 0)
