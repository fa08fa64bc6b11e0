"""`python -m benchmarks.heavy`: everything below one node as JSONL, with the arrays and without.

The catalogue is written straight into the tables (`straight`). The floor is the best that we
know to do by hand: on SQLite a walk level by level in a temporary table that keeps parent and
statement, on PostgreSQL a recursive query and DISTINCT ON; then one query in the order of the
lines, which are written in Python: `printf` in the database took longer. It knows one signer,
whom everybody believes, and no files; of this graph it writes the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import graph, straight
from stemma_attestations.trust import TrustRoot
from stemma_registry import signing
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.catalogue import bulk, columns
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import Home
from stemma_registry.lineage import csr, descent
from stemma_registry.registry import Snapshot
from stemma_registry.trust import file as trust_file

SIGNER = "bench"
AT_ONCE = 10_000  # lines
# Relations: a colon in a query would be a value's.
_WORDS = ", ".join(
    f"('{code}', '{word}')" for word, code in columns.CODES.items() if ":" not in word
)
_WORD = "(SELECT text FROM word WHERE code = {}.relation)"
_STEP = f"""
INSERT INTO reach SELECT e.output_id, :node, e.input_id, e.relation, e.statement_id
FROM front f CROSS JOIN edge e ON e.input_id = f.node WHERE true
ON CONFLICT (node) DO UPDATE SET relation = excluded.relation, statement = excluded.statement
WHERE depth = excluded.depth AND parent = excluded.parent
AND {_WORD.format("excluded")} < {_WORD.format("reach")}
"""
_LINES = """
SELECT n.value, r.depth, p.value, w.text, s.bundle, h.node_id IS NOT NULL AS halted
FROM reach r JOIN node n ON n.id = r.node JOIN node p ON p.id = r.parent
JOIN statement s ON s.id = r.statement JOIN word w ON w.code = r.relation
LEFT JOIN halt h ON h.node_id = r.node AND h.inside = 0
ORDER BY r.depth, w.text, halted, n.value
"""
_SERVER = f"""
WITH RECURSIVE word(code, text) AS (VALUES {_WORDS}), down(node, depth) AS (
 SELECT CAST(:node AS bigint), 0
 UNION SELECT e.output_id, d.depth + 1 FROM down d JOIN edge e ON e.input_id = d.node
), reach AS (
 SELECT DISTINCT ON (e.output_id) e.output_id AS node, d.depth + 1 AS depth,
 e.input_id AS parent, e.relation, e.statement_id AS statement
 FROM down d JOIN edge e ON e.input_id = d.node JOIN word w ON w.code = e.relation
 ORDER BY e.output_id, d.depth, e.input_id, w.text COLLATE "C", e.statement_id
) {_LINES.replace("w.text, halted", 'w.text COLLATE "C", halted')}
"""
Ask = Callable[[str, int], Iterable[Sequence[object]]]


def floor(raw: Ask, start: int, *, embedded: bool) -> Iterator[bytes]:
    """The lines, by hand: `raw` puts a query with `:node` in it."""
    if embedded:
        _reach(raw, start)
    rows = iter(raw(_LINES if embedded else _SERVER, start))
    while some := list(itertools.islice(rows, AT_ONCE)):
        yield "".join(map(_line, some)).encode()
    if embedded:
        for table in ("reach", "front", "word"):
            raw(f"DROP TABLE temp.{table}", 0)
        raw("COMMIT", 0)


def _line(row: Sequence[object]) -> str:
    value, depth, parent, relation, bundle, halted = row
    return (
        f'{{"type":"node","digest":"sha256:{value.hex()}","depth":{depth},'  # type: ignore[attr-defined]
        f'"from":"sha256:{parent.hex()}","relation":"{relation}",'  # type: ignore[attr-defined]
        f'"assurance":"attested","signer":"{SIGNER}","bundle":"sha256:{bundle.hex()}",'  # type: ignore[attr-defined]
        f'"quarantined":{"true" if halted else "false"}}}\n'
    )


def _reach(raw: Ask, start: int) -> None:
    raw("CREATE TEMP TABLE word (code TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID", 0)
    raw(
        "CREATE TEMP TABLE reach (node INTEGER PRIMARY KEY, depth INT, parent INT, "
        "relation TEXT, statement INT)",
        0,
    )
    raw("CREATE TEMP TABLE front (node INTEGER PRIMARY KEY)", 0)
    raw(f"INSERT INTO word VALUES {_WORDS}", 0)
    raw("INSERT INTO reach VALUES (:node, 0, 0, '', 0)", start)
    raw("INSERT INTO front VALUES (:node)", start)
    depth = 0
    while True:
        depth += 1
        raw(_STEP, depth)
        raw("DELETE FROM front", 0)
        raw("INSERT INTO front SELECT node FROM reach WHERE depth = :node", depth)
        if not [*raw("SELECT 1 FROM front LIMIT 1", 0)]:
            return


def measure(view: Snapshot, raw: Ask, start: int, beside: Path, say: Callable[[str], None]) -> None:
    """Everything below a node with the arrays, without, and by hand, in turn."""
    embedded = view.connection.dialect.name == "sqlite"

    def lines(sidecar: Path | None) -> Iterator[bytes]:
        return (block.lines for block in descent.blocks(view, start, sidecar=sidecar))

    ways: list[Callable[[], Iterator[bytes]]] = [
        lambda: lines(beside),
        lambda: lines(None),
        lambda: floor(raw, start, embedded=embedded),
    ]
    first, cpu = _took(lambda: csr.make(view.connection, beside))
    soon, _ = _took(lambda: next(lines(beside)))
    if len({_sum(way()) for way in ways}) != 1:
        raise RuntimeError("the ways do not write the same lines")
    rounds = [[_took(lambda way=way: sum(map(len, way()))) for way in ways] for _ in range(5)]  # type: ignore[misc]
    count = sum(block.nodes for block in descent.blocks(view, start, sidecar=beside))
    say(
        f"{count:,} descendants as JSONL, the same bytes (with the arrays the first lines after "
        f"{soon * 1000:.0f} ms; they are made in {first:.2g} s, {cpu:.2g} of CPU, "
        f"{beside.stat().st_size >> 20} MiB):"
    )
    for what, at in (("with the arrays", 0), ("without", 1), ("by hand", 2)):
        wall, busy = (statistics.median(one[at][i] for one in rounds) for i in (0, 1))
        ratios = [statistics.median(r[at][i] / r[2][i] for r in rounds) for i in (0, 1)]
        ours = f"CPU {busy:.3g} s" + ("" if embedded else " without the server's")
        say(f"  {what}: {wall:.3g} s, {ours}; ratio {ratios[0]:.2f} and {ratios[1]:.2f}")


def _sum(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def _took(work: Callable[[], object]) -> tuple[float, float]:
    """By the wall, and of CPU."""
    begin, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - cpu


def main() -> None:
    """Write a catalogue, and ask what is below its first dataset."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heavy")
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        pem, public = signing.new_key("ecdsa-p256", None)
        signing.write_key(home.key, pem, public)
        trust_file.add(home.trust, SIGNER, public)
        catalogue = Catalogue.open(Path(folder) / "graph.sqlite3", MemoryStore())
        shape = graph.make(chosen.edges, chosen.seed)
        straight.fill(catalogue.path, shape, public.id)
        with catalogue.writing() as connection:  # arrays are of one catalogue
            columns_ = "id, n, peaks, before, roots, made"
            bulk.run(
                connection, f"INSERT INTO state ({columns_}) VALUES (1, 0, x'', x'', x'', x'01')"
            )
        print(f"{len(shape.source):,} edges", flush=True)
        trust = TrustRoot.parse(home.trust.read_bytes())
        with catalogue.reading() as connection, catalogue.reading() as other:

            def raw(sql: str, node: int) -> Iterable[Sequence[object]]:
                if sql == "COMMIT":
                    return ()
                if sql.lstrip().startswith("SELECT"):
                    return (
                        row for part in bulk.chunks(other, sql, AT_ONCE, node=node) for row in part
                    )
                bulk.run(other, sql, node=node)
                return ()

            view = Snapshot(connection, 0, trust, datetime.now(UTC))
            measure(view, raw, 1, Path(folder) / "arrays", print)
        catalogue.close()


if __name__ == "__main__":
    main()
