"""The frozen table of tensors of v0.1: made again byte for byte."""

from __future__ import annotations

from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.predicates import tensors
from stemma_attestations.statement import Statement
from stemma_attestations.tensor_table import Table
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.tensors import making
from tests.building import FIXTURES


def test_a_frozen_table_is_made_again() -> None:
    raw = (FIXTURES / "tensors/model.safetensors").read_bytes()
    frozen = (FIXTURES / "tensors/table.json").read_bytes()
    statement = Statement.parse((FIXTURES / "statements/tensors.json").read_bytes())
    store = MemoryStore()
    manifest = Manifest.of([Entry("model.safetensors", len(raw), put_bytes(store, raw))])
    made = making.from_store(store, manifest)
    assert made.table is not None
    assert made.table.raw == frozen
    assert [one.raw for one in made.statement(statement.subjects[0])] == [statement.raw]
    table = Table.parse(frozen)
    assert table.artifact == manifest.digest
    assert [one.name for file in table.files for one in file.tensors] == [
        "layer.0.weight",
        "layer.0.bias",
    ]
    assert tensors.parse(statement.predicate).table == table.digest
