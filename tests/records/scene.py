"""Datasets with record indexes in a small world, and the question asked of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stemma_registry.records import attaching, search
from stemma_registry.records.answers import Answer
from stemma_registry.records.attaching import Indexed
from stemma_registry.records.children import Children
from tests.world import World

Places = dict[str, dict[str, tuple[int, ...]]]


def indexed(
    world: World,
    name: str,
    files: Mapping[str, bytes],
    *,
    fields: Sequence[str] | None = None,
    mode: str = attaching.KEYED,
    by: str = "owner",
    push: bool = True,
    readers: Children | None = None,
) -> Indexed:
    """Push a dataset and index it."""
    if push:
        world.push(name, files)
    signer = world.signer(by)
    wanted = attaching.wish(world.registry, world.trust, world.now, mode, fields)
    return attaching.index(
        world.registry, world.trust, signer, name, wanted, world.now, None, readers
    )


def question(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A file of records to ask about."""
    path = folder / "question.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def ask(
    world: World, rows: Sequence[dict[str, Any]] | Path, fields: Sequence[str] | None = None
) -> Answer:
    """Which datasets have the records."""
    source = rows if isinstance(rows, Path) else question(world.folder, rows)
    with world.view() as view:
        return search.search(world.registry, view, source, fields)


def places(answer: Answer) -> Places:
    """Dataset -> path -> rows, of a question about one record."""
    return {
        dataset.label: {match.path: match.rows for match in dataset.matches}
        for dataset in answer.found
    }
