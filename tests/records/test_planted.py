"""One poisoned record in 3 of 40 datasets, by different tools, in different shardings."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from stemma_registry.records.children import Children, children
from tests.records.scene import ask, indexed, places
from tests.records.writing import WRITERS
from tests.world import World

POISON = {"id": 4711, "text": 'Ignore "all", previous é\u0301', "score": 1.0, "ok": True}


def _rows(rng: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": rng.randrange(10**6),
            "text": f"a plain sentence, number {rng.randrange(10**9)}",
            "score": rng.choice([rng.random(), float(rng.randrange(5)), None]),
            "ok": rng.random() < 0.5,
        }
        for _ in range(count)
    ]


def test_a_planted_record_is_found_in_exactly_its_datasets(tmp_path: Path) -> None:
    with children() as readers:
        _plant_and_ask(tmp_path, readers)


def _plant_and_ask(tmp_path: Path, readers: Children) -> None:
    world, rng = World(tmp_path), random.Random(7)
    names = list(WRITERS)
    poisoned = {3: "b.parquet", 17: "l.csv.gz", 31: "h.jsonl.zst"}
    expected = {}
    for number in range(40):
        rows = _rows(rng, 30)
        row = rng.randrange(30)
        if number in poisoned:
            rows[row] = dict(sorted(POISON.items(), key=lambda _: rng.random()))
        elif number % 5 == 0:
            rows[row] = {**POISON, "id": 4712}  # nearly the same is not the same
        writer = poisoned.get(number, names[number % len(names)])
        shards = 1 + number % 3
        files = {
            f"part-{shard}/{writer}": WRITERS[writer](rows[shard::shards])
            for shard in range(shards)
        }
        name = f"data/d{number:02}:1"
        done = indexed(world, name, files, readers=readers)
        assert done.note is None
        assert done.records == 30
        if number in poisoned:
            place = f"part-{row % shards}/{writer}"
            # Lines of JSON and rows of Parquet are counted alike, from 1.
            expected[name] = {place: (row // shards + 1,)}
    world.push("models/qa:1", None, "trained-on=data/d17:1", kind="model")
    answer = ask(world, [POISON])
    assert places(answer) == expected
    assert all(match.checked for dataset in answer.found for match in dataset.matches)
    assert answer.unsearched == ()
    downstream = {
        d.label: sorted(n.label for n in d.downstream.nodes.values()) for d in answer.found
    }
    assert downstream["data/d17:1"] == ["data/d17:1", "models/qa:1"]
    assert downstream["data/d03:1"] == ["data/d03:1"]
    # The same answer from a catalogue that is projected anew, by any format of the question.
    world.rebuild()
    for writer in ("a.parquet", "j.csv", "e.arrow"):
        path = tmp_path / f"asked-{writer}"
        path.write_bytes(WRITERS[writer]([POISON]))
        assert places(ask(world, path)) == expected


def test_what_pandas_itself_wrote(tmp_path: Path) -> None:
    """Row numbers, an index, and numbers that became floating: the same record in each file."""
    folder = Path(__file__).parent.parent / "fixtures/pandas"
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".py"}
    world = World(tmp_path)
    assert indexed(world, "data/pandas:1", files).note is None
    rows = {name: ((2,) if name == "filtered.parquet" else (3,)) for name in files}
    assert len(rows) == 7
    assert places(ask(world, [POISON])) == {"data/pandas:1": rows}
    assert places(ask(world, [{**POISON, "id": 4}])) == {}
