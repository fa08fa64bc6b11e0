"""Google's ML Metadata with our graph in it. It runs in the peers' environment, alone.

`python mlmd_store.py GRAPH.json`: fills a store on SQLite, then asks for everything above
each node that is asked for, and prints a line of JSON: seconds of filling, bytes on disk,
and for each node its ancestors, seconds, and seconds of CPU.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

BATCH = 5_000


def main() -> None:
    """Fill and ask."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    base = Path(sys.argv[1]).with_suffix(".sqlite")
    base.unlink(missing_ok=True)
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(base)
    store = metadata_store.MetadataStore(config)
    begin = time.perf_counter()
    ids = _fill(store, asked["nodes"], asked["edges"])
    filled = time.perf_counter() - begin
    answers = [_above(store, ids[node]) for node in asked["ask"]]
    print(json.dumps({"filled": filled, "bytes": base.stat().st_size, "answers": answers}))


def _fill(
    store: metadata_store.MetadataStore, nodes: int, edges: list[list[int]]
) -> dict[int, int]:
    """An artifact for each node, an execution for each node that has parents."""
    thing = store.put_artifact_type(mlmd.ArtifactType(name="Thing"))
    work = store.put_execution_type(mlmd.ExecutionType(name="Work"))
    ids: dict[int, int] = {}
    for start in range(0, nodes, BATCH):
        numbers = range(start, min(start + BATCH, nodes))
        made = store.put_artifacts([mlmd.Artifact(type_id=thing, uri=str(n)) for n in numbers])
        ids.update(zip(numbers, made, strict=True))
    parents: dict[int, set[int]] = {}  # it has no relations: two to one parent are one
    for source, output in edges:
        parents.setdefault(output, set()).add(source)
    outputs = list(parents)
    for start in range(0, len(outputs), BATCH):
        part = outputs[start : start + BATCH]
        runs = store.put_executions([mlmd.Execution(type_id=work) for _ in part])
        store.put_events(
            [
                mlmd.Event(artifact_id=ids[node], execution_id=run, type=way)
                for output, run in zip(part, runs, strict=True)
                for node, way in [
                    (output, mlmd.Event.OUTPUT),
                    *((parent, mlmd.Event.INPUT) for parent in parents[output]),
                ]
            ]
        )
    return ids


def _above(store: metadata_store.MetadataStore, artifact: int) -> tuple[int, float, float]:
    options = mlmd.LineageSubgraphQueryOptions(
        starting_artifacts=mlmd.LineageSubgraphQueryOptions.StartingNodes(
            filter_query=f"id = {artifact}"
        ),
        max_num_hops=100,  # the most that it takes: fifty generations
        direction=mlmd.LineageSubgraphQueryOptions.UPSTREAM,
    )
    begin, cpu = time.perf_counter(), time.process_time()
    found = store.get_lineage_subgraph(options, ["artifacts", "events"])
    return len(found.artifacts) - 1, time.perf_counter() - begin, time.process_time() - cpu


if __name__ == "__main__":
    main()
