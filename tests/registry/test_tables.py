"""What the catalogue's tables keep: digests as bytes, found by their heads; words as letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from stemma_attestations.digest import Digest
from stemma_attestations.relations import RELATIONS
from stemma_registry.catalogue import columns, nodes, query, tables
from stemma_registry.catalogue.nodes import Nodes
from tests.postgres import SQLITE_ONLY
from tests.world import World


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """The catalogue of a registry with a few artifacts in it."""
    world = World(tmp_path)
    world.push("acme/a:1")
    world.push("acme/b:1", None, "derived-from=acme/a:1")
    with world.registry.catalogue.reading() as connection:
        yield connection


def test_digests_are_bytes_and_found_by_any_prefix(connection: Connection) -> None:
    values = connection.execute(text("SELECT value FROM node")).scalars().all()
    assert {len(value) for value in values} <= {20, 32}
    known = sorted(value.hex() for value in values if len(value) == 32)
    for value in known:
        for length in range(1, 65):
            found = nodes.by_prefix(connection, "sha256", value[:length], 99)
            expected = [other for other in known if other.startswith(value[:length])]
            assert [digest.value for _, digest in found] == expected


def test_digests_with_one_head_are_told_apart(tmp_path: Path) -> None:
    """Anybody can make two whose first eight bytes agree, with some patience."""
    engine = create_engine("sqlite://")
    tables.metadata.create_all(engine)
    twins = [Digest("sha256", "ab" * tables.HEAD + rest * 24) for rest in ("00", "01", "ff")]
    with engine.begin() as connection:
        ids = Nodes(connection).of(twins)
        assert len(set(ids)) == 3
        assert Nodes(connection).of(twins) == ids
        for twin, known in zip(twins, ids, strict=True):
            assert query.node_id(connection, twin) == known
        assert query.node_id(connection, Digest("sha256", "ab" * 8 + "02" * 24)) is None
        found = nodes.by_prefix(connection, "sha256", "ab" * 8, 9)
        assert [digest for _, digest in found] == twins


@SQLITE_ONLY
@pytest.mark.parametrize("table", ["node", "statement"])
def test_digests_are_found_by_the_index(connection: Connection, table: str) -> None:
    column = tables.node.c.value if table == "node" else tables.statement.c.bundle
    wanted = select(column).where(tables.is_one_of(column, ["ab" * 32, "cd" * 32]))
    compiled = wanted.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    asked = compiled.construct_params()
    values = tuple(
        tables.HexBytes().process_bind_param(asked[name], connection.dialect)
        for name in compiled.positiontup or ()
    )
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values).all()
    assert f"USING INDEX ix_{table}_head" in str(plan)
    assert "SCAN" not in str(plan)


@pytest.mark.parametrize("word", ["sha256", "s", "=s", "", "=", "urn:other", "trained-on"])
def test_a_coded_text_comes_back(word: str) -> None:
    kind, dialect = tables.Coded(), sqlite_dialect()
    stored = kind.process_bind_param(word, dialect)
    assert kind.process_result_value(stored, dialect) == word
    assert stored != word


def test_every_code_is_of_one_text() -> None:
    assert len(columns._TEXTS) == len(columns.CODES)
    assert all(len(code) == 1 and code != "=" for code in columns._TEXTS)
    assert set(columns.CODES) >= set(RELATIONS)
