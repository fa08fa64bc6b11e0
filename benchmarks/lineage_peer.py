"""`python -m benchmarks.lineage_peer`: the questions of lineage beside Google's ML Metadata.

The same graph is put into both; both are asked for everything above the same random nodes,
in the same minutes. The peer answers with nodes and events: it has no signatures, no
evidence, and nothing like a quarantine. It has to find as many ancestors as we do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import graph, lineage
from benchmarks.peers import Peers
from stemma_registry.lineage import status, trace
from stemma_registry.registry import open_registry, snapshot

LIST = Path(__file__).with_name("lineage_peers.txt")
STORE = Path(__file__).with_name("mlmd_store.py")
NODES = 40
Taken = list[tuple[float, float]]


def main() -> None:
    """Fill both, ask both, print both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lineage_peer")
    parser.add_argument("--edges", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--peers", type=Path, default=Path(".venv-lineage-peers"))
    chosen = parser.parse_args()
    shape = graph.make(chosen.edges, chosen.seed)
    nodes = random.Random(chosen.seed + 1).sample(range(shape.nodes), NODES)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        counts, taken = _ours(work, shape, nodes)
        peer = _peer(Peers.made(chosen.peers.resolve(), work, LIST), work, shape, nodes)
    found = [int(count) for count, _, _ in peer["answers"]]
    if found != counts:
        raise SystemExit("the peer found other ancestors than we did")
    theirs = [(wall, cpu) for _, wall, cpu in peer["answers"]]
    lineage.say(f"{len(shape.source):,} edges; ancestors: {statistics.median(counts):.0f} (p50)")
    lineage.say(
        f"ML Metadata: filled in {peer['filled']:.0f} s, "
        f"{peer['bytes'] / len(shape.source):.0f} bytes an edge"
    )
    _line("ML Metadata, everything above", theirs, theirs)
    for what, times in taken.items():
        _line(what, times, theirs)


def _ours(work: Path, shape: graph.Graph, nodes: list[int]) -> tuple[list[int], dict[str, Taken]]:
    place = lineage.filled(work, shape)
    with (
        contextlib.closing(open_registry(place.location, place.home)) as registry,
        snapshot(registry, place.trust, datetime.now(UTC)) as view,
    ):
        asked = [lineage.node_of(view, shape, number) for number in nodes]
        up = trace.Direction.UP
        counts = [len(trace.trace(view, one, up).nodes) - 1 for one, _ in asked]
        return counts, {
            "ours, with every statement, signer and name": [
                _timed(trace.trace, view, one, up) for one, _ in asked
            ],
            "ours, is any of them stopped?": [
                _timed(status.view, view, one, name) for one, name in asked
            ],
        }


def _peer(peers: Peers, work: Path, shape: graph.Graph, nodes: list[int]) -> dict[str, list]:
    edges = [list(pair) for pair in zip(shape.source.tolist(), shape.output.tolist(), strict=True)]
    asked = work / "graph.json"
    asked.write_text(json.dumps({"nodes": shape.nodes, "edges": edges, "ask": nodes}))
    command = [str(peers.bin / "python"), str(STORE), str(asked)]
    ran = subprocess.run(
        command, env=peers.environment, cwd=work, capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


def _timed(ask: Callable[..., object], *arguments: object) -> tuple[float, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    ask(*arguments)
    return time.perf_counter() - begin, time.process_time() - cpu


def _line(what: str, times: Taken, peer: Taken) -> None:
    wall, cpu = (sorted(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a[0] / b[0] for a, b in zip(times, peer, strict=True))
    last = len(wall) * 95 // 100
    lineage.say(
        f"{what}: {wall[len(wall) // 2] * 1000:.3g} / {wall[last] * 1000:.3g} ms (p50/p95; "
        f"CPU {cpu[len(cpu) // 2] * 1000:.3g} / {cpu[last] * 1000:.3g}), {ratio:.3f} of the peer"
    )


if __name__ == "__main__":
    main()
