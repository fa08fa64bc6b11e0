"""`python -m benchmarks.lineage`: lineage at size, on both databases, beside a floor.

The floor is the same question as one hand-written recursive query in the raw driver on the
same database, which knows neither signers nor names. A line gives medians (and the 95th of
a hundred) of both, taken in turn, and their ratio. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import graph, heavy, pushes
from benchmarks.graph import Graph
from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.trust import TrustRoot
from stemma_registry import custody, signing
from stemma_registry.catalogue import bulk, query, statuses
from stemma_registry.config import Home
from stemma_registry.lineage import paths, status, trace
from stemma_registry.registry import (
    Registry,
    Snapshot,
    initialise,
    open_registry,
    rebuild,
    snapshot,
)
from stemma_registry.signing import Signer
from stemma_registry.trust import file as trust_file

STOPPED = 20  # quarantines that are there, of nodes with little below them
# Both databases understand these; `:node` is where they start.
CHECK = """
WITH RECURSIVE up(id) AS (
 SELECT CAST(:node AS bigint)
 UNION SELECT e.input_id FROM up JOIN edge e ON e.output_id = up.id
) SELECT 1 FROM up WHERE EXISTS (SELECT 1 FROM halt WHERE halt.node_id = up.id) LIMIT 1
"""
DOWN = """
WITH RECURSIVE down(id) AS (
 SELECT CAST(:node AS bigint)
 UNION SELECT e.output_id FROM down JOIN edge e ON e.input_id = down.id
) SELECT e.input_id, e.output_id, e.relation, s.bundle
FROM down JOIN edge e ON e.input_id = down.id JOIN statement s ON s.id = e.statement_id
"""
UP = """
WITH RECURSIVE up(id) AS (
 SELECT CAST(:node AS bigint)
 UNION SELECT e.input_id FROM up JOIN edge e ON e.output_id = up.id
) SELECT id FROM up
"""


@dataclass(frozen=True)
class Place:
    """A registry that was filled with a graph, and who may speak in it."""

    folder: Path
    shape: Graph
    home: Home
    trust: TrustRoot
    signer: Signer

    @property
    def location(self) -> str:
        """The registry's."""
        return str(self.folder / "registry")


def main() -> None:
    """Make the graph, project it, and put the questions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lineage")
    parser.add_argument("--edges", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--work", type=Path, help="where it is made, or was before")
    parser.add_argument("--runs", type=int, default=300, help="random questions of each kind")
    parser.add_argument("--no-postgresql", action="store_true")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        work = chosen.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = filled(work, graph.make(chosen.edges, chosen.seed))
        pushes.measure(work, say)
        _measure(place, place.home, "SQLite", chosen.runs)
        if not chosen.no_postgresql:
            from tests import postgres

            server = Home(place.home.path, postgres.url())
            _measure(place, server, "PostgreSQL", chosen.runs)


def filled(work: Path, shape: Graph) -> Place:
    """A registry with the graph in it; the one that is there, where one is."""
    home = Home(work / "home")
    made = home.key.exists()
    if not made:
        pem, public = signing.new_key("ecdsa-p256", None)
        signing.write_key(home.key, pem, public)
        trust_file.add(home.trust, "bench", public)
    trust = TrustRoot.parse(home.trust.read_bytes())
    place = Place(work, shape, home, trust, signing.load_signer(f"key:{home.key}", lambda: None))
    if not made:
        begin = time.perf_counter()
        registry = initialise(place.location, home)
        count = graph.fill(registry.store, place.signer, shape)
        say(f"{len(shape.source)} edges, {shape.nodes} nodes, {count} signed statements")
        say(f"written and signed in {time.perf_counter() - begin:.0f} s")
        registry.close()
    return place


def _measure(place: Place, home: Home, label: str, runs: int) -> None:
    begin, cpu = time.perf_counter(), time.process_time()
    registry, _ = rebuild(place.location, home)
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    edges = len(place.shape.source)
    say(f"\n{label}: load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    say(f"projected: {edges / wall:,.0f} edges/s ({edges / cpu:,.0f} for each second of CPU)")
    if label == "SQLite":
        size = sum(p.stat().st_size for p in registry.catalogue.path.parent.glob("*.sqlite3*"))
        say(f"size: {size / edges:.0f} bytes an edge, with nodes, names and statements")
        say(f"bare inserts: {_bare(place):,.0f} edges/s into the same table and index")
    with contextlib.closing(registry):
        stop_some(registry, place)
        begin = time.perf_counter()
        other = open_registry(place.location, home)
        with snapshot(other, place.trust, datetime.now(UTC)) as view:
            status.view(view, 1, None)
        say(f"opened and asked for the first time: {ms(time.perf_counter() - begin)}")
        other.close()
        with snapshot(registry, place.trust, datetime.now(UTC)) as view, _floor(registry) as raw:
            _questions(view, raw, place.shape, runs, place.folder / f"{label}.lineage")


def _bare(place: Place) -> float:
    """Rows of four numbers into a table like ours, in the order in which they come."""
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        raw = sqlite3.connect(Path(folder) / "bare")
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA cache_size=-200000")
        raw.execute(
            "CREATE TABLE edge (input_id, output_id, relation, statement_id, PRIMARY KEY "
            "(input_id, output_id, relation, statement_id)) WITHOUT ROWID"
        )
        raw.execute("CREATE INDEX back ON edge (output_id, input_id, relation, statement_id)")
        columns = (place.shape.source, place.shape.output, place.shape.relation)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        begin = time.perf_counter()
        for start in range(0, len(rows), 10_000):
            part = rows[start : start + 10_000]
            raw.executemany("INSERT INTO edge VALUES (?, ?, ?, 1)", part)
            raw.commit()
        took = time.perf_counter() - begin
        raw.close()
    return len(rows) / took


def stop_some(registry: Registry, place: Place) -> None:
    """Quarantine some nodes that few things come from, so that most questions find nothing."""
    now, dice = datetime.now(UTC), random.Random(place.shape.seed)
    with snapshot(registry, place.trust, now) as view:
        if statuses.statuses(view.connection, "quarantine"):
            return
    last = place.shape.nodes
    for node in dice.sample(range(last // 2, last), STOPPED):
        with snapshot(registry, place.trust, now) as view:
            seen = custody.preview(view, f"sha256:{place.shape.digest(node)}", place.signer)
        custody.quarantine(
            registry, place.trust, place.signer, seen.targets, "benchmark", datetime.now(UTC)
        )


Ask = Callable[[str, int], Sequence[Sequence[object]]]


@contextlib.contextmanager
def _floor(registry: Registry) -> Iterator[Ask]:
    """The raw driver on the same database, on a connection of its own."""
    if registry.catalogue.database.embedded:
        raw = sqlite3.connect(registry.catalogue.path)
        raw.execute("PRAGMA cache_size=-200000")
        yield lambda sql, node: raw.execute(sql, {"node": node}).fetchall()
        raw.close()
        return
    with registry.catalogue.reading() as connection:
        yield lambda sql, node: bulk.ask(connection, sql, node=node)


def _questions(view: Snapshot, raw: Ask, shape: Graph, runs: int, beside: Path) -> None:
    gc.freeze()  # what the benchmark holds is not looked through while somebody is timed
    dice = random.Random(shape.seed + 1)
    nodes = [node_of(view, shape, n) for n in dice.choices(range(shape.nodes), k=runs)]
    sizes = sorted(len(raw(UP, node)) - 1 for node, _ in nodes)
    of = [percentile(sizes, share) for share in (50, 95)]
    say(f"ancestors: {of[0]:.0f} / {of[1]:.0f} / {sizes[-1]} (p50/p95/max)")
    _pair(
        "check, random nodes",
        nodes,
        lambda node, name: status.view(view, node, name),
        lambda node: raw(CHECK, node),
    )
    wide = sorted(wide_nodes(shape), reverse=True)
    most = wide[: max(1, len(wide) // 2)]
    many = [node_of(view, shape, n) for _, n in most]
    _pair(
        f"check, {most[-1][0]:,} to {most[0][0]:,} ancestors",
        many * 6,
        lambda node, name: status.view(view, node, name),
        lambda node: raw(CHECK, node),
    )
    down = [pair for pair in nodes if 50 <= len({row[1] for row in raw(DOWN, pair[0])}) <= 200]  # type: ignore[index]
    _pair(
        "downstream with evidence, 50 to 200 nodes",
        down[:40],
        lambda node, _: trace.trace(view, node, trace.Direction.DOWN),
        lambda node: raw(DOWN, node),
    )
    _pair(
        "upstream with evidence",
        nodes[:40],
        lambda node, _: trace.trace(view, node, trace.Direction.UP),
        lambda node: raw(UP, node),
    )
    ways = [
        (node, max(up, key=lambda one: hash((node, one))))
        for node, _ in nodes[:80]
        if (up := [row[0] for row in raw(UP, node) if row[0] != node])  # type: ignore[index]
    ]
    above = dict(ways)
    _pair(
        "ways from an ancestor, with evidence",
        [pair for pair in nodes[:80] if pair[0] in above],
        lambda node, _: paths.between(view, above[node], node),
        lambda node: raw(UP, node),
    )
    heavy.measure(view, raw, node_of(view, shape, 0)[0], beside, say)
    say(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def node_of(view: Snapshot, shape: Graph, number: int) -> tuple[int, NameVersion]:
    """The row and the name of a node."""
    found = query.node_id(view.connection, Digest("sha256", shape.digest(number)))
    if found is None:
        raise RuntimeError(f"node {number} is not in the catalogue")
    return found, NameVersion.parse(shape.name(number))


def wide_nodes(shape: Graph) -> Iterator[tuple[int, int]]:
    """The nodes that were merged from more than fifty, with how much is above them."""
    import numpy as np

    first = np.searchsorted(shape.output, np.arange(shape.nodes + 1))
    for node in np.flatnonzero(np.diff(first) > 50).tolist():
        met, rest = {node}, [node]
        while rest:
            here = rest.pop()
            for parent in shape.source[first[here] : first[here + 1]].tolist():
                if parent not in met:
                    met.add(parent)
                    rest.append(parent)
        yield len(met) - 1, node


def _pair(
    what: str,
    asked: Sequence[tuple[int, NameVersion]],
    ours: Callable[[int, NameVersion], object],
    floor: Callable[[int], object],
) -> None:
    times: list[tuple[float, float]] = []
    for number, (node, name) in enumerate([*asked[:5], *asked]):
        # Whoever comes second finds the pages in the processor's own memory: each by turns.
        if number % 2:
            theirs = _seconds(partial(floor, node))
            mine = _seconds(partial(ours, node, name))
        else:
            mine = _seconds(partial(ours, node, name))
            theirs = _seconds(partial(floor, node))
        if number >= 5:
            times.append((mine, theirs))
    if not times:
        say(f"{what}: none in this graph")
        return
    our, their = (sorted(column) for column in zip(*times, strict=True))
    ratio = percentile(our, 50) / percentile(their, 50)
    say(
        f"{what}: {ms(percentile(our, 50))} / {ms(percentile(our, 95))} (p50/p95), "
        f"floor {ms(percentile(their, 50))} / {ms(percentile(their, 95))}, ratio {ratio:.2f}"
    )


def percentile(ordered: Sequence[float], share: int) -> float:
    """The value below which `share` percent are."""
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def ms(seconds: float) -> str:
    """Milliseconds, as text."""
    return f"{seconds * 1000:.3g} ms"


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
