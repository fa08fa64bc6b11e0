"""A catalogue of any size in a few minutes: its rows are written straight into the tables.

What stands in them is what projection writes for the same graph (a test holds them against each
other at a small size), except that no statement is in a store: so questions can be measured
at sizes for which signing, storing and projecting would take an hour. SQLite only.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.graph import IN_A_STATEMENT, RELATIONS, Graph
from stemma_registry.catalogue import columns

AT_ONCE = 100_000  # rows
TIME = "2026-01-01T00:00:00Z"
_LINEAGE = columns.CODES["urn:stemma:lineage:v0.1"]
_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"


def fill(path: Path, shape: Graph, signer: str) -> None:
    """Write everything that the graph says into the empty catalogue at `path`.

    Node `i` of the graph has the id `i + 1`; `signer` (hex) signed every statement.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for pragma in ("synchronous=OFF", "cache_size=-400000", "foreign_keys=OFF"):
            raw.execute(f"PRAGMA {pragma}")
        indexes = raw.execute(_INDEXES).fetchall()
        raw.execute("BEGIN")
        for name, _ in indexes:
            raw.execute(f'DROP INDEX "{name}"')
        cuts = np.array(list(_cuts(shape)))
        _nodes(raw, shape)
        _statements(raw, shape, cuts, bytes.fromhex(signer))
        _edges(raw, shape, cuts)
        for _, sql in indexes:
            raw.execute(sql)
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _cuts(shape: Graph) -> Iterator[int]:
    """Where each statement begins among the edges, and where the last one ends."""
    yield 0
    last = 0
    for end in [*(np.flatnonzero(np.diff(shape.output)) + 1).tolist(), len(shape.output)]:
        if end - last >= IN_A_STATEMENT or end == len(shape.output):
            yield end
            last = end


def _nodes(raw: sqlite3.Connection, shape: Graph) -> None:
    rows = (
        (i + 1, "s", hashlib.sha256(f"{shape.seed}/{i}".encode()).digest())
        for i in range(shape.nodes)
    )
    raw.executemany("INSERT INTO node (id, scheme, value) VALUES (?, ?, ?)", rows)


def _statements(raw: sqlite3.Connection, shape: Graph, cuts: np.ndarray, signer: bytes) -> None:  # type: ignore[type-arg]
    said = (
        (n + 1, hashlib.sha256(f"statement {n}".encode()).digest(), _LINEAGE, signer, n, TIME)
        for n in range(len(cuts) - 1)
    )
    columns_ = "id, bundle, predicate_type, signer, n, time"
    raw.executemany(f"INSERT INTO statement ({columns_}) VALUES (?, ?, ?, ?, ?, ?)", said)
    about = (
        (n + 1, position, node + 1, shape.name(node).partition(":")[0], "1")
        for n, (low, high) in enumerate(itertools.pairwise(cuts.tolist()))
        for position, node in enumerate(np.unique(shape.output[low:high]).tolist())
    )
    columns_ = "statement_id, position, node_id, name, version"
    raw.executemany(f"INSERT INTO subject ({columns_}) VALUES (?, ?, ?, ?, ?)", about)


def _edges(raw: sqlite3.Connection, shape: Graph, cuts: np.ndarray) -> None:  # type: ignore[type-arg]
    codes = [columns.CODES[word] for word in RELATIONS]
    said = np.searchsorted(cuts, np.arange(len(shape.source)), side="right")
    by_name = np.argsort(np.argsort(codes))[shape.relation]
    order = np.lexsort((by_name, shape.source, shape.output))  # of the table's key
    names = "input_id, output_id, relation, statement_id, input_name"
    sql = f"INSERT INTO edge ({names}) VALUES (?, ?, ?, ?, ?)"
    for start in range(0, len(order), AT_ONCE):
        at = order[start : start + AT_ONCE]
        parts = (shape.source[at], shape.output[at], shape.relation[at], said[at])
        rows = [
            (source + 1, output + 1, codes[relation], statement, f"org-{source % 97}/item-{source}")
            for source, output, relation, statement in zip(
                *(p.tolist() for p in parts), strict=True
            )
        ]
        raw.executemany(sql, rows)
