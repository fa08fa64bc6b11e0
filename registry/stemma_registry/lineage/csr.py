"""The downward edges of a whole catalogue as a few arrays in a file: for traces of half a million.

The file lies beside the catalogue, and is worth nothing by itself: whoever finds it stale,
damaged or of another catalogue reads the database, and makes it anew. It begins with MAGIC
and a line of JSON: of which catalogue it is (`made`), up to which entry, where each array
lies, and the SHA-256 of all of them. Needs numpy; without it there is no such file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from stemma_registry.catalogue import bulk

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MAGIC = b"stemma-lineage-1\n"
SUFFIX = ".lineage"
AT_ONCE = 100_000  # rows
ALIGNED = 64  # bytes
_EDGES = "SELECT input_id, output_id, statement_id, relation FROM edge"
_ARRAYS = ("first", "to", "statement", "relation", "blob", "holder", "owner", "file")
_DELTA = (
    "SELECT DISTINCT e.input_id, e.output_id, e.statement_id, e.relation FROM subject s "
    "JOIN edge e ON e.output_id = s.node_id AND e.statement_id = s.statement_id "
    "WHERE s.statement_id > :last"
)
# A file that something was made from directly, and the artifacts it is a file of.
_USED = (
    "SELECT DISTINCT m.artifact_id, m.blob_id FROM manifest_entry m "
    "WHERE EXISTS (SELECT 1 FROM edge WHERE edge.input_id = m.blob_id)"
)


@dataclass(frozen=True)
class Layer:
    """Edges by their input: those of node i are `to[first[i]:first[i + 1]]`.

    `relation` are places in `words`, as the catalogue codes them. `blob` (sorted) is a file of
    `holder`; `owner` (sorted) has `file`, which was used by itself.
    """

    words: tuple[str, ...]
    arrays: Mapping[str, Array]

    @property
    def edges(self) -> int:
        """How many."""
        return len(self.arrays["to"])

    def below(self, nodes: Array) -> tuple[Array, Array, Array, Array]:
        """The edges out of `nodes`: input, output, statement, relation."""
        import numpy as np

        first = self.arrays["first"]
        known = nodes[nodes < len(first) - 1]
        starts = first[known]
        counts = first[known + 1] - starts
        before = np.cumsum(counts) - counts
        at = np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
        names = ("to", "statement", "relation")
        to, statement, relation = (self.arrays[name][at] for name in names)
        return np.repeat(known, counts), to, statement, relation

    def held(self, blobs: Array) -> tuple[Array, Array]:
        """What has one of `blobs` as a file: blob, artifact."""
        return _matching(self.arrays["blob"], self.arrays["holder"], blobs)

    def used(self, artifacts: Array) -> tuple[Array, Array]:
        """The files of `artifacts` that were used by themselves: artifact, blob."""
        return _matching(self.arrays["owner"], self.arrays["file"], artifacts)


@dataclass(frozen=True)
class Standing:
    """What a connection sees: which catalogue, up to which entry and statement."""

    made: str
    n: int
    statement: int
    nodes: int


def standing(connection: Connection) -> Standing:
    """Of the state that the connection sees."""
    ((made, n),) = bulk.ask(connection, "SELECT made, n FROM state") or [(b"", -1)]
    ((statement,),) = bulk.ask(connection, "SELECT max(id) FROM statement")
    ((nodes,),) = bulk.ask(connection, "SELECT max(id) FROM node")
    return Standing(bytes(made or b"").hex(), n, statement or 0, nodes or 0)


def layers(connection: Connection, path: Path, least: int, share: float) -> list[Layer] | None:
    """Everything, from the file at `path` and what came since; None where that is not worth it.

    The file is made where the catalogue has `least` nodes, and made anew where more than
    `share` of the edges came since.
    """
    try:
        import numpy  # noqa: F401 - whether it is there
    except ImportError:
        return None
    now = standing(connection)
    if not now.made or now.nodes < least:
        return None
    found = _read(path, now)
    if found is not None:
        since, base = found
        if since == now:
            return [base]
        delta = _since(connection, since, now)
        if delta.edges <= share * base.edges:
            return [base, delta]
    whole = _whole(connection, now)
    _write(path, now, whole)
    return [whole]


def _matching(keys: Array, values: Array, wanted: Array) -> tuple[Array, Array]:
    import numpy as np

    if not len(keys) or not len(wanted):
        return keys[:0], values[:0]
    low, high = (np.searchsorted(keys, wanted, side) for side in ("left", "right"))
    counts = high - low
    at = np.repeat(low - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
    return np.repeat(wanted, counts), values[at]


def _whole(connection: Connection, now: Standing) -> Layer:
    held = bulk.chunks(connection, "SELECT blob_id, artifact_id FROM manifest_entry", AT_ONCE)
    used = bulk.chunks(connection, _USED, AT_ONCE)
    return _layer(now.nodes, bulk.chunks(connection, _EDGES, AT_ONCE), held, used)


def _since(connection: Connection, since: Standing, now: Standing) -> Layer:
    """What came between two states: by the statements, and by the artifacts of later entries."""
    edges = bulk.chunks(connection, _DELTA, AT_ONCE, last=since.statement)
    new = "m.artifact_id IN (SELECT id FROM artifact WHERE n > :n)"
    held = bulk.chunks(
        connection,
        f"SELECT m.blob_id, m.artifact_id FROM manifest_entry m WHERE {new}",  # noqa: S608
        AT_ONCE,
        n=since.n,
    )
    # A file of an old artifact may be used by itself only now.
    later = (
        "m.blob_id IN (SELECT e.input_id FROM subject s JOIN edge e ON e.output_id = s.node_id "
        "AND e.statement_id = s.statement_id WHERE s.statement_id > :last)"
    )
    used = bulk.chunks(
        connection, f"{_USED} AND ({new} OR {later})", AT_ONCE, n=since.n, last=since.statement
    )
    return _layer(now.nodes, edges, held, used)


def _layer(
    nodes: int,
    edges: Iterator[Sequence[tuple[Any, ...]]],
    held: Iterator[Sequence[tuple[Any, ...]]],
    used: Iterator[Sequence[tuple[Any, ...]]],
) -> Layer:
    import numpy as np

    words: dict[str, int] = {}
    found: list[list[Array]] = [[np.empty(0, np.int32)] for _ in range(4)]
    for rows in edges:
        source, output, statement, relation = zip(*rows, strict=True)
        coded = [words.setdefault(word, len(words)) for word in relation]
        for part, values in zip(found, (source, output, statement, coded), strict=True):
            part.append(np.array(values, np.int32))
    sources, to, statements, relations = (np.concatenate(part) for part in found)
    order = np.lexsort((statements, relations, to, sources))
    counts = np.bincount(sources, minlength=nodes + 1)
    arrays = {
        "first": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "to": to[order],
        "statement": statements[order],
        "relation": relations[order],
    }
    arrays["blob"], arrays["holder"] = _pairs(held)
    arrays["owner"], arrays["file"] = _pairs(used)
    return Layer(tuple(words), arrays)


def _pairs(rows: Iterator[Sequence[tuple[Any, ...]]]) -> tuple[Array, Array]:
    import numpy as np

    parts = [np.array(part, np.int32).reshape(-1, 2) for part in rows]
    both = np.unique(np.concatenate([np.empty((0, 2), np.int32), *parts]), axis=0)
    return both[:, 0].copy(), both[:, 1].copy()


def _read(path: Path, now: Standing) -> tuple[Standing, Layer] | None:
    """The file, if it is whole and of this catalogue, as it was or is."""
    import numpy as np

    try:
        data = np.memmap(path, np.uint8, "r")
        raw = bytes(data[: 1 << 16])
        head, _, _ = raw.removeprefix(MAGIC).partition(b"\n")
        header = json.loads(head)
        since = Standing(**header["of"])
        body = data[len(MAGIC) + len(head) + 1 :]
        if not raw.startswith(MAGIC) or since.made != now.made or since.n > now.n:
            return None
        if hashlib.sha256(body.data).hexdigest() != header["sha256"]:
            return None
        arrays, at = {}, 0
        for name in _ARRAYS:
            kind, count = header["arrays"][name]
            size = count * np.dtype(kind).itemsize
            arrays[name] = body[at : at + size].view(kind)
            at += size
        return since, Layer(tuple(header["words"]), arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, now: Standing, layer: Layer) -> None:
    """Put it in place whole; a home that nobody can write to has none."""
    parts = [layer.arrays[name] for name in _ARRAYS]
    state = hashlib.sha256()
    for part in parts:
        state.update(part.data)
    header = {
        "of": vars(now),
        "words": layer.words,
        "arrays": {
            name: [layer.arrays[name].dtype.str, len(layer.arrays[name])] for name in _ARRAYS
        },
        "sha256": state.hexdigest(),
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with open(fd, "wb") as out:
                out.write(_padded(json.dumps(header).encode()))
                for part in parts:
                    out.write(part.data)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise


def _padded(header: bytes) -> bytes:
    """So that every array begins where its numbers like to lie."""
    return MAGIC + header + b" " * (-(len(MAGIC) + len(header) + 1) % ALIGNED) + b"\n"
