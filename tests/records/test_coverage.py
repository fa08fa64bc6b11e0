"""What the doctor counts: who has no record index, and who no tensor digests."""

from __future__ import annotations

from pathlib import Path

from stemma_registry.care.coverage import coverage
from tests.records.scene import indexed
from tests.world import World


def test_what_cannot_be_found_by_its_contents_is_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.view() as view:
        assert str(coverage(view.connection)) == "all of 0 datasets and 0 models"
    indexed(world, "data/a:1", {"x.jsonl": b'{"a": 1}\n'})
    with world.view() as view:
        assert str(coverage(view.connection)) == "all of 1 dataset and 0 models"
    world.push("data/b:1", {"x.jsonl": b'{"a": 2}\n'})
    world.push("data/b:2", {"x.jsonl": b'{"a": 2}\n'})  # the same bytes are one dataset
    world.push("models/m:1", {"weights": b"weights"}, kind="model")
    with world.view() as view:
        seen = coverage(view.connection)
    assert (seen.datasets, seen.no_records, seen.models, seen.no_tensors) == (2, 1, 1, 1)
    assert str(seen) == (
        "1 of 2 datasets without a record index (`stemma index --missing`); "
        "1 of 1 model without tensor digests"
    )
