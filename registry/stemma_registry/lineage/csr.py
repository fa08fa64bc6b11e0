"""The downward edges of a whole catalogue as a few arrays in a file: for traces of half a million.

The file lies beside the catalogue, and is worth nothing by itself: whoever finds it stale,
damaged or of another catalogue reads the database, and makes it anew. It begins with MAGIC
and a line of JSON: of which catalogue it is (`made`), up to which entry, where each array
lies, and the SHA-256 of each of them. Needs numpy; without it there is no such file.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from stemma_attestations.predicates import imported, spdx
from stemma_registry import files
from stemma_registry.catalogue import bulk, columns, linked
from stemma_registry.catalogue import tables as t

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MAGIC = b"stemma-lineage-2\n"
SUFFIX = ".lineage"
AT_ONCE = 100_000  # rows
ALIGNED = 64  # bytes
SHA256 = "s"  # as the catalogue codes the scheme
_MOST = 2**29 - 1  # nodes and statements: `strides` puts a node, its worth and a place into 64 bits
NAMED = "o"  # as it codes the mark of an edge
# By a name only: then an edge is a claim, whoever signed it.
_NAMED = f"CASE WHEN mark = '{NAMED}' THEN 1 ELSE 0 END"
_EDGES = f"SELECT input_id, output_id, statement_id, relation, {_NAMED} FROM edge"  # noqa: S608
_NODES = "SELECT id, scheme, value FROM node WHERE id > :last ORDER BY id"
_ARRAYS = {
    "first": "<i8",
    "to": "<i4",
    "statement": "<i4",
    "relation": "<i4",
    "named": "|u1",
    "blob": "<i4",
    "holder": "<i4",
    "owner": "<i4",
    "file": "<i4",
    "plain": "|u1",
    "value": "|u1",
}
WIDTH = 32  # bytes of a SHA-256
# An edge leads from or to a subject of the statement that says it; what is the same thing is
# so in both directions. Statements of these types speak of others, too.
_FREE = (spdx.TYPE, imported.TYPE, linked.TYPE)
_DELTA = " UNION ".join(
    f"SELECT e.input_id, e.output_id, e.statement_id, e.relation, {_NAMED} FROM subject s "  # noqa: S608
    f"JOIN edge e ON e.{end} = s.node_id AND e.statement_id = s.statement_id "
    "WHERE s.statement_id > :last"
    for end in ("output_id", "input_id")
)
# A file that something was made from directly, and the artifacts it is a file of.
_USED = (
    "SELECT DISTINCT m.artifact_id, m.blob_id FROM manifest_entry m "
    "WHERE EXISTS (SELECT 1 FROM edge WHERE edge.input_id = m.blob_id)"
)


@dataclass(frozen=True)
class Layer:
    """Edges by their input: those of node i are `to[first[i]:first[i + 1]]`.

    They are in the order of the output, the relation and the statement. `relation` are places
    in `words`, as the catalogue codes them, in the order of what they mean. `blob` (sorted) is a
    file of `holder`; `owner` (sorted) has `file`, which was used by itself. Of the nodes from
    `low` on, `value` are the digests of those that are `plain`: known by their SHA-256.
    """

    words: tuple[str, ...]
    arrays: Mapping[str, Array]
    low: int = 0

    @property
    def edges(self) -> int:
        """How many."""
        return len(self.arrays["to"])

    def below(self, nodes: Array) -> tuple[Array, ...]:
        """The edges out of `nodes`: input, output, statement, relation, whether by a name."""
        import numpy as np

        first = self.arrays["first"]
        known = nodes[nodes < len(first) - 1]
        starts = first[known]
        counts = first[known + 1] - starts
        before = np.cumsum(counts) - counts
        at = np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
        names = ("to", "statement", "relation", "named")
        return np.repeat(known, counts), *(self.arrays[name][at] for name in names)

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


def is_possible(connection: Connection, least: int) -> bool:
    """Whether there may be such a file: numpy is there, and the catalogue has `least` nodes.

    And the connection sees the catalogue of today.
    """
    if bulk.looks_back(connection) or importlib.util.find_spec("numpy") is None:
        return False
    now = standing(connection)
    return bool(now.made) and least <= now.nodes <= _MOST and now.statement <= _MOST


def layers(connection: Connection, path: Path, share: float) -> list[Layer] | None:
    """Everything, from the file at `path` and what came since; None where it should be made.

    That is where it is not whole, and where more than `share` of the edges came since.
    """
    now = standing(connection)
    found = _read(path, now)
    if found is None:
        return None
    since, base = found
    if since == now:
        return [base]
    delta = _since(connection, since, now)
    return [base, delta] if delta is not None and delta.edges <= share * base.edges else None


def make(connection: Connection, path: Path) -> None:
    """Write the file anew. Where it cannot be written there is none."""
    now = standing(connection)
    _write(path, now, _whole(connection, now))


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
    edges = bulk.chunks(connection, _EDGES, AT_ONCE)
    return _layer(connection, Standing("", -1, 0, -1), now, edges, held, used)


def _since(connection: Connection, since: Standing, now: Standing) -> Layer | None:
    """What came between two states: by the statements, and by the artifacts of later entries.

    None where that cannot be told without looking at every edge.
    """
    coded = t.statement.c.predicate_type.type.process_bind_param  # type: ignore[attr-defined]
    free = [coded(one, connection.dialect) for one in _FREE]
    marks, values = bulk.places(free)
    untold = (
        "SELECT 1 FROM statement WHERE id > :last "  # noqa: S608 - places only
        f"AND predicate_type IN ({marks}) LIMIT 1"
    )
    if bulk.ask(connection, untold, last=since.statement, **values):
        return None
    edges = bulk.chunks(connection, _DELTA, AT_ONCE, last=since.statement)
    new = "m.artifact_id IN (SELECT id FROM artifact WHERE n > :n)"
    held = bulk.chunks(
        connection,
        f"SELECT m.blob_id, m.artifact_id FROM manifest_entry m WHERE {new}",  # noqa: S608
        AT_ONCE,
        n=since.n,
    )
    # A file of an old artifact may be used by itself only now.
    later = f"m.blob_id IN (SELECT input_id FROM ({_DELTA}) AS delta)"  # noqa: S608 - ours
    used = bulk.chunks(
        connection, f"{_USED} AND ({new} OR {later})", AT_ONCE, n=since.n, last=since.statement
    )
    return _layer(connection, since, now, edges, held, used)


def _layer(
    connection: Connection,
    since: Standing,
    now: Standing,
    edges: Iterator[Sequence[tuple[Any, ...]]],
    held: Iterator[Sequence[tuple[Any, ...]]],
    used: Iterator[Sequence[tuple[Any, ...]]],
) -> Layer:
    import numpy as np

    words: dict[str, int] = {}
    found: list[list[Array]] = [[np.empty(0, np.int32)] for _ in range(5)]
    for rows in edges:
        source, output, statement, relation, named = zip(*rows, strict=True)
        coded = [words.setdefault(word, len(words)) for word in relation]
        for part, values in zip(found, (source, output, statement, coded, named), strict=True):
            part.append(np.array(values, np.int32))
    sources, to, statements, relations, names = (np.concatenate(part) for part in found)
    ordered = sorted(words, key=columns.word)
    if words:
        relations = np.array([ordered.index(word) for word in words], np.int32)[relations]
    order = np.lexsort((statements, relations, to, sources))
    counts = np.bincount(sources, minlength=now.nodes + 1)
    arrays = {
        "first": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "to": to[order],
        "statement": statements[order],
        "relation": relations[order],
        "named": names[order].astype(np.uint8),
    }
    arrays["blob"], arrays["holder"] = _pairs(held)
    arrays["owner"], arrays["file"] = _pairs(used)
    arrays["plain"], arrays["value"] = _digests(connection, since.nodes, now.nodes)
    return Layer(tuple(ordered), arrays, since.nodes + 1)


def _digests(connection: Connection, last: int, nodes: int) -> tuple[Array, Array]:
    """Which nodes behind `last` are known by their SHA-256, and what it is."""
    import numpy as np

    plain = np.zeros(nodes - last, np.uint8)
    value = np.zeros((nodes - last, WIDTH), np.uint8)
    for rows in bulk.chunks(connection, _NODES, AT_ONCE, last=last):
        some = [(i, v) for i, scheme, v in rows if scheme == SHA256 and len(v) == WIDTH]
        if some and some[-1][0] <= nodes:
            at = np.array([i for i, _ in some], np.int64) - last - 1
            plain[at] = 1
            value[at] = np.frombuffer(b"".join(v for _, v in some), np.uint8).reshape(-1, WIDTH)
    return plain, value.reshape(-1)


def _pairs(rows: Iterator[Sequence[tuple[Any, ...]]]) -> tuple[Array, Array]:
    import numpy as np

    parts = [np.array(part, np.int32).reshape(-1, 2) for part in rows]
    both = np.unique(np.concatenate([np.empty((0, 2), np.int32), *parts]), axis=0)
    return both[:, 0].copy(), both[:, 1].copy()


def _read(path: Path, now: Standing) -> tuple[Standing, Layer] | None:
    """The file, if it is whole and of this catalogue, as it was or is."""
    import numpy as np

    if files.written_by_others(path) is not None:
        return None
    try:
        data = np.memmap(path, np.uint8, "r").view(np.ndarray)
        raw = bytes(data[: 1 << 16])
        head, _, _ = raw.removeprefix(MAGIC).partition(b"\n")
        header = json.loads(head)
        since = Standing(**header["of"])
        body = data[len(MAGIC) + len(head) + 1 :]
        if not raw.startswith(MAGIC) or since.made != now.made or since.n > now.n:
            return None
        parts, sums, at = {}, {}, 0
        for name, kind in _ARRAYS.items():
            count, sums[name] = header["arrays"][name]
            size = count * np.dtype(kind).itemsize
            parts[name] = body[at : at + size]
            at += size + -size % ALIGNED
        with ThreadPoolExecutor(max_workers=2) as pool:  # which hashes without the lock
            right = pool.map(lambda name: _sum(parts[name]) == sums[name], parts)
            if not all(right):
                return None
        arrays = {name: part.view(_ARRAYS[name]) for name, part in parts.items()}
        return since, Layer(tuple(header["words"]), arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, now: Standing, layer: Layer) -> None:
    """Put it in place whole; a home that nobody can write to has none."""
    parts = [layer.arrays[name].astype(kind, copy=False) for name, kind in _ARRAYS.items()]
    header = {
        "of": vars(now),
        "words": layer.words,
        "arrays": {
            name: [len(part), _sum(part)] for name, part in zip(_ARRAYS, parts, strict=True)
        },
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with open(fd, "wb") as out:
                out.write(_padded(json.dumps(header).encode()))
                for part in parts:
                    out.write(part.tobytes())
                    out.write(b"\0" * (-part.nbytes % ALIGNED))
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise


def _sum(part: Array) -> str:
    return hashlib.sha256(part.data).hexdigest()


def _padded(header: bytes) -> bytes:
    """So that every array begins where its numbers like to lie."""
    return MAGIC + header + b" " * (-(len(MAGIC) + len(header) + 1) % ALIGNED) + b"\n"
