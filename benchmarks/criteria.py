"""`python -m benchmarks.criteria`: the check where somebody has criteria, or something is stopped.

On the graph of `benchmarks.lineage`, in one SQLite catalogue to which one case after another is
added: criteria by a stranger; some that were released; some in force that meet nothing; and at
last two quarantines that most of the widest nodes descend from. Milliseconds of CPU time, of
the public question; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import graph, lineage
from benchmarks.lineage import Place
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates.criterion import Criterion, Distrusted, Retired
from stemma_registry import custody, signing
from stemma_registry.catalogue import halts, query
from stemma_registry.config import LIMITS
from stemma_registry.lineage import status
from stemma_registry.measures import lifting
from stemma_registry.measures import signing as measures
from stemma_registry.measures.matching import packages
from stemma_registry.registry import Registry, Snapshot, open_registry, rebuild, snapshot
from stemma_registry.signing import Signer

CRITERIA: Sequence[Criterion] = (
    packages("pkg:pypi/unheard-of@2"),
    Distrusted(key="ab" * 32),
    Retired("nobody/here"),
)


def main() -> None:
    """Make the graph, and measure case after case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.criteria")
    parser.add_argument("--edges", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--runs", type=int, default=150, help="random nodes in each case")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = lineage.filled(Path(folder), graph.make(chosen.edges, chosen.seed))
        rebuild(place.location, place.home)[0].close()
        with contextlib.closing(open_registry(place.location, place.home)) as registry:
            lineage.stop_some(registry, place)
            for label, prepare in _cases(registry, place):
                prepare()
                with snapshot(registry, place.trust, datetime.now(UTC)) as view:
                    _measure(view, place, label, chosen.runs)


def _cases(registry: Registry, place: Place) -> Iterator[tuple[str, Callable[[], object]]]:
    """Labels, and what to do before: each case has what those before it had."""
    mine, trust = place.signer, place.trust

    def add(signer: Signer) -> list[str]:
        now = datetime.now(UTC)
        made = [
            measures.stop_matching(registry, trust, signer, of, "benchmark", now) for of in CRITERIA
        ]
        return [str(statement) for statement, _ in made]

    def release() -> None:
        for statement in add(mine):
            lifting.release(registry, trust, mine, statement, "benchmark", datetime.now(UTC))

    yield "nobody has criteria", lambda: None
    yield "a stranger's criteria", lambda: add(_stranger(place))
    yield "released ones, too", release
    yield "some in force, which meet nothing", lambda: add(mine)
    yield "two quarantines above the widest", lambda: _quarantine(registry, place)


def _stranger(place: Place) -> Signer:
    file = place.folder / "stranger.pem"
    signing.write_key(file, *signing.new_key("ecdsa-p256", None))
    return signing.load_signer(f"key:{file}", lambda: None)


def _widest(view: Snapshot, place: Place) -> list[tuple[int, NameVersion]]:
    wide = sorted(lineage.wide_nodes(place.shape), reverse=True)
    return [lineage.node_of(view, place.shape, node) for _, node in wide[: max(1, len(wide) // 2)]]


def _quarantine(registry: Registry, place: Place) -> None:
    """Stop two nodes that most of the widest descend from."""
    with snapshot(registry, place.trust, datetime.now(UTC)) as view:
        above = Counter[int]()
        wide = _widest(view, place)
        for node, _ in wide:
            above.update(halts.upstream(view.connection, node, LIMITS.ancestors))
        shared = sorted(node for node, count in above.items() if count > len(wide) // 2)
        chosen = random.Random(place.shape.seed).sample(shared, 2)
        digests = query.digests(view.connection, chosen).values()
        seen = [custody.preview(view, str(digest), place.signer) for digest in digests]
    for one in seen:
        custody.quarantine(
            registry, place.trust, place.signer, one.targets, "benchmark", datetime.now(UTC)
        )


def _measure(view: Snapshot, place: Place, label: str, runs: int) -> None:
    dice = random.Random(place.shape.seed + 1)
    some = dice.choices(range(place.shape.nodes), k=runs)
    nodes = [lineage.node_of(view, place.shape, node) for node in some]
    told = [_times(view, nodes), _times(view, _widest(view, place) * 6)]
    texts = (f"{lineage.ms(p50)} / {lineage.ms(p95)}" for p50, p95 in told)
    lineage.say(f"{label}: {', the widest '.join(texts)}")


def _times(view: Snapshot, asked: Sequence[tuple[int, NameVersion]]) -> tuple[float, float]:
    """Seconds of CPU for each question: the median, and the 95th of a hundred."""
    times = []
    for number, (node, name) in enumerate([*asked[:5], *asked]):
        begin = time.process_time()
        status.view(view, node, name)
        if number >= 5:
            times.append(time.process_time() - begin)
    times.sort()
    return lineage.percentile(times, 50), lineage.percentile(times, 95)


if __name__ == "__main__":
    main()
