"""The frozen record indexes of v0.1: made again byte for byte, and read again."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import record_index
from stemma_attestations.predicates.record_index import Run, Shard
from stemma_attestations.statement import Statement
from stemma_registry.records import canonical, engine, near, runs
from stemma_registry.records.keys import RecordKey
from stemma_registry.records.readers import Form, Reader
from tests.building import FIXTURES

FOLDER = FIXTURES / "records"
KEY = RecordKey.of(bytes(range(32)))


def built(is_near: bool) -> tuple[int, bytes, bytes]:
    """The run of the frozen file, by the code of today."""
    data, form = (FOLDER / "letters.jsonl").read_bytes(), Form("jsonl")
    reader = Reader(io.BytesIO(data), len(data), form, ["text"] if is_near else None)
    hashed_by = engine._of_bands if is_near else engine._of_records
    ((hashes, rows),) = engine._parts(reader, hashed_by(KEY.block))
    return runs.build(hashes, rows)


@pytest.mark.parametrize(("name", "is_near"), [("exact", False), ("near", True)])
def test_a_frozen_run_is_made_again(name: str, is_near: bool) -> None:
    first, packed, body = built(is_near)
    assert packed == (FOLDER / f"{name}.filter").read_bytes()
    assert body == (FOLDER / f"{name}.hashes").read_bytes()
    said = statement("record-index-near" if is_near else "record-index")
    (shard,) = said.shards
    entries = 4 * (near.BANDS if is_near else 1)
    run = Run(first, entries, Digest.of(packed), Digest.of(body))
    letters = Digest.of((FOLDER / "letters.jsonl").read_bytes())
    assert shard == Shard(letters, "jsonl", 4, 1, (run,))
    assert said.key == KEY.id == "217a1814d9bee889"
    assert said.canonical == (near.VERSION if is_near else canonical.VERSION)
    assert said.fields == (("text",) if is_near else None)


def statement(name: str) -> record_index.RecordIndex:
    raw = (FIXTURES / f"statements/{name}.json").read_bytes()
    return record_index.parse(Statement.parse(raw).predicate)


def test_the_frozen_runs_answer() -> None:
    asked: dict[str, Any] = json.loads('{"text": "It is late.  Go to bed now, please.", "id": 2.0}')
    message = canonical.record(asked)
    (run,) = statement("record-index").shards[0].runs
    body, packed = ((FOLDER / f"exact.{kind}").read_bytes() for kind in ("hashes", "filter"))
    wanted = runs.hashes([message], KEY.block)
    assert runs.likely(packed, wanted).all()
    assert runs.locate(run, body, wanted, 9) == [(0, [2], 1)]
    (run,) = statement("record-index-near").shards[0].runs
    bands = near.bands([near.text(message, ["text"])], near.Seeds.of(KEY.block))[1].ravel()
    body = (FOLDER / "near.hashes").read_bytes()
    rows = np.array([row for _, some, _ in runs.locate(run, body, bands, 9) for row in some])
    shared = {row: int((rows == row).sum()) for row in (1, 2, 3, 5)}
    assert shared[2] == near.BANDS
    assert shared[3] > 0
    assert shared[1] == shared[5] == 0
