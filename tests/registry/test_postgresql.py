"""The catalogue on PostgreSQL: the same answers, one writer at a time, replicas that say so."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from stemma_attestations.errors import Undecided
from stemma_attestations.predicates import lineage
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_migrations import run
from stemma_registry import gate
from stemma_registry.catalogue import bulk, halts, query, tables
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.compare import differences
from stemma_registry.catalogue.database import Database, gather_statistics
from stemma_registry.errors import Unavailable
from stemma_registry.lineage import status
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry, snapshot
from tests import postgres
from tests.calling import caller
from tests.registry.test_scale import digest, say, stop
from tests.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A registry whose catalogue a server keeps."""
    monkeypatch.setenv("STEMMA_TEST_CATALOGUE", "postgresql")
    return World(tmp_path)


@pytest.fixture
def embedded(world: World, tmp_path: Path) -> Iterator[Registry]:
    """The same registry, seen through an SQLite file."""
    catalogue = Catalogue.open(tmp_path / "embedded.sqlite3", world.store)
    yield Registry(world.store, catalogue, world.home)
    catalogue.close()


def _history(world: World, seed: int) -> list[str]:
    """Pushes with several parents and circles, strangers, quarantines and releases."""
    dice, names, stops = random.Random(seed), [], []
    for i in range(25):
        parents = dice.sample(names, min(len(names), dice.randrange(4)))
        name, by = f"n{i}:1", dice.choice(("owner", "owner", "stranger"))
        world.push(name, None, *(f"derived-from={parent}" for parent in parents), by=by)
        names.append(name)
        if dice.random() < 0.2:
            again, parent = dice.choice(names), dice.choice(names)
            world.push(again, None, f"derived-from={parent}")
        if dice.random() < 0.2:
            stops.append(world.quarantine(dice.choice(names)))
        if stops and dice.random() < 0.1:
            world.release(stops.pop())
    return names


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_it_answers_as_sqlite_does(world: World, embedded: Registry, seed: int) -> None:
    names = _history(world, seed)
    with world.view() as ours, snapshot(embedded, world.trust, world.now) as theirs:
        assert [str(one) for one in differences(ours.connection, theirs.connection)] == []
        for name in names:
            answers = []
            for view in (ours, theirs):
                found = resolve(view, name)
                stops = status.view(view, found.node, found.name)
                down = trace(view, found.node, Direction.DOWN)
                shown = [(n.digest, n.label, n.depth, n.quarantined) for n in down.nodes.values()]
                above = query.digests(
                    view.connection, halts.upstream(view.connection, found.node, 10**6)
                )
                answers.append((stops, shown, len(down.edges), sorted(above.values())))
            assert answers[0] == answers[1], name
        assert any(world.code(name) == 11 for name in names)


def test_the_schema_is_that_of_the_tables(world: World) -> None:
    assert world.registry.catalogue.schema_differences() == []
    assert world.registry.catalogue.revision() == tables.REVISION == run.revisions()[-1]


def test_statistics_are_gathered_of_its_own_tables_alone(world: World) -> None:
    """Others have theirs on that server, and a lock for each is more than there is room for."""
    world.push("n/a:1")
    known = "SELECT reltuples >= 0 FROM pg_class WHERE oid = to_regclass(:name)"
    engine = create_engine(postgres.url().replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as other:
        other.execute(text("DROP TABLE IF EXISTS public.somebody_elses"))
        other.execute(text("CREATE TABLE public.somebody_elses AS SELECT 1 AS one"))
    gather_statistics(world.registry.catalogue.engine)
    with world.registry.catalogue.reading() as connection:
        found = [
            connection.execute(text(known), {"name": name}).scalar()
            for name in ("statement", "public.somebody_elses")
        ]
    with engine.begin() as other:
        other.execute(text("DROP TABLE public.somebody_elses"))
    engine.dispose()
    assert found == [True, False]


def test_what_was_just_written_is_seen_by_all(world: World) -> None:
    """A commit that waits for no disk is none to a server that tidies up before it is on one."""
    for one in range(20):
        say(world, [(one, one + 1, "trained-on")])
    world.registry.catalogue.catch_up()
    gather_statistics(world.registry.catalogue.engine)
    seen = "SELECT relpages > 0 AND relallvisible = relpages FROM pg_class WHERE oid = {}"
    with world.registry.catalogue.reading() as connection:
        for name in ("edge", "subject", "node"):
            assert connection.execute(text(seen.format(f"to_regclass('{name}')"))).scalar(), name


def test_no_question_reads_a_table_as_a_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the list is that it asks for, and however much one statement is about."""
    for start in range(0, 4_000, 400):
        say(world, [(i, i + 1, "trained-on") for i in range(start, start + 400)])
    for node in range(12):
        stop(world, [node])
    gather_statistics(world.registry.catalogue.engine)
    with world.view() as view:
        near, far = (query.node_id(view.connection, digest(node)) for node in (100, 2_500))
        assert near is not None
        assert far is not None
        asked = _noted(monkeypatch)
        assert len(trace(view, far, Direction.DOWN).nodes) == 1_501
        assert trace(view, near, Direction.UP).nodes
        assert len(status.view(view, near, None).stops) == 12
        plans = [
            [row[-1] for row in bulk.ask(view.connection, f"EXPLAIN {sql}", **values)]
            for sql, values in dict(asked).items()
        ]
    table = re.compile("Scan .*on (edge|subject|node)( |$)")
    found = [pair for plan in plans for pair in pairwise(plan) if table.search(pair[0])]
    assert {table.search(line)[1] for line, _ in found} == {"edge", "subject", "node"}  # type: ignore[index]
    assert [line for line, after in found if "Cond: " not in after] == []


def test_what_is_asked_again_and_again_is_planned_a_few_times(world: World) -> None:
    """Planning takes longer than finding a hundred rows."""
    say(world, [(i, i + 1, "trained-on") for i in range(50)])
    gather_statistics(world.registry.catalogue.engine)
    plans = "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements"
    with world.view() as view:
        start = query.node_id(view.connection, digest(10))
        assert start is not None
        for _ in range(20):
            trace(view, start, Direction.DOWN)
            status.view(view, start, None)
        found = [row for row in bulk.ask(view.connection, plans) if "bigint" in row[0]]
    assert len(found) >= 3
    assert [text for text, generic, custom in found if custom > 5 or generic < 10] == []


def test_row_ids_are_given_once_to_whoever_writes(world: World) -> None:
    world.push("a/d:1")
    given: list[int] = []
    for count in (3, 1, 500):
        with world.registry.catalogue.writing() as connection:
            new = list(bulk.ids(connection, tables.node, count, {}))
            ((highest,),) = bulk.ask(connection, "SELECT max(id) FROM node")
            assert len(new) == count
            assert min(new) > max([highest, *given])
            bulk.write(connection, tables.node, ("id", "scheme", "value"), [_row(new[0])])
        given += new
    assert given == sorted(set(given))


def _row(number: int) -> tuple[int, str, str]:
    return number, "sha256", f"{number:064x}"


def test_a_commit_waits_for_no_disk(world: World) -> None:
    with world.view() as view:
        assert bulk.ask(view.connection, "SHOW synchronous_commit") == [("off",)]


def _noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is asked from here on."""
    asked, ask = list[tuple[str, dict[str, Any]]](), bulk.ask

    def note(connection: Connection, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        asked.append((sql, values))
        return ask(connection, sql, **values)

    monkeypatch.setattr(bulk, "ask", note)
    return asked


def test_it_can_be_thrown_away(world: World) -> None:
    world.push("a/d:1")
    world.push("a/m:1", None, "trained-on=a/d:1", kind="model")
    world.quarantine("a/d:1")
    before = world.code("a/m:1")
    world.rebuild()
    assert (before, world.code("a/m:1")) == (11, 11)


def test_hostile_text_stops_no_projection(world: World) -> None:
    """NUL, which PostgreSQL refuses, and texts and paths longer than its indexes take."""
    folder = "x" * 250
    deep = "/".join([folder] * 16)
    world.push("a/d:1", {deep: b"deep", "plain": b"1"})
    with world.view() as view:
        target = resolve(view, "a/d:1").digest
    subject = ResourceDescriptor(
        name="a/d:1", digests=(target,), annotations={"path": "a\0b" * 2000}
    )
    edge = {"relation": "derived\0from" * 40, "name": "n\0", "digest": {"sha256": "0" * 64}}
    predicates = (
        (lineage.TYPE, {"edges": [{"output": {"sha256": target.value}, "inputs": [edge]}]}),
        ("urn:x\0" * 3000, {"a": "\0"}),
        ("https://slsa.dev/provenance/v1", {"buildDefinition": {"buildType": "\0" * 9}}),
        ("urn:stemma:status:v0.1", {"action": "qu\0" * 99, "reason": "\0", "issuedAt": "\0"}),
    )
    from stemma_registry.care.uploads import Uploads
    from stemma_registry.foreign.attest import signed_event
    from stemma_registry.registry import record

    for kind, predicate in predicates:
        statement = Statement.build([subject], kind, predicate)
        uploads = Uploads.begin(world.store, world.registry.catalogue)
        event = signed_event(uploads, world.signer("owner"), statement)
        record(
            world.registry,
            world.trust,
            world.signer("owner"),
            world.now,
            lambda e=event: [e],
            uploads,  # type: ignore[misc]
        )
    with world.view() as view:
        assert view.n == 5
        paths = {part.path for part in query.parts(view.connection, [resolve(view, "a/d:1").node])}
    assert paths == {deep, "plain"}
    assert world.code("a/d:1") == 14  # a status that nobody understands


_PROJECTOR = """
import sys
from pathlib import Path
from stemma_registry.blobs.local import LocalStore
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.database import Database
store = LocalStore(Path(sys.argv[1]))
catalogue = Catalogue.open(Database(Path(sys.argv[2]), sys.argv[3]), store)
print(catalogue.catch_up().n)
catalogue.close()
"""


def test_projectors_beside_each_other_make_one_catalogue(tmp_path: Path) -> None:
    """Six processes on an empty database: the schema is made once, each entry is projected once."""
    from stemma_registry.blobs.local import LocalStore

    (tmp_path / "store").mkdir()
    store = LocalStore(tmp_path / "store")
    world = World(tmp_path, store)
    for i in range(12):
        world.push(f"n{i}:1", None, *((f"derived-from=n{i - 1}:1",) if i else ()))
    place = postgres.place(tmp_path / "shared")
    arguments = [sys.executable, "-c", _PROJECTOR, str(tmp_path / "store"), str(place.path)]
    running = [
        subprocess.Popen([*arguments, postgres.url()], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = [process.communicate(timeout=120)[0].strip() for process in running]
    assert said == ["12"] * 6
    catalogue = Catalogue.open(place, store)
    with catalogue.reading() as theirs, world.view() as ours:
        assert [str(one) for one in differences(ours.connection, theirs)] == []
    catalogue.close()


def test_a_replica_answers_as_of_its_entry_and_decides_nothing(
    world: World, embedded: Registry
) -> None:
    world.push("a/d:1")
    world.push("a/m:1", None, "trained-on=a/d:1", kind="model")
    assert world.code("a/m:1") == 0
    place = _reader(world)
    replica = Registry(world.store, Catalogue.open(place, world.store), world.home)
    with snapshot(replica, world.trust, world.now) as view:
        assert gate.verify_reference(replica, view, "a/m:1").passed  # it is where the ledger is
    world.registry.catalogue.close()
    world.registry = embedded  # from here on nobody projects into the schema
    world.quarantine("a/d:1")
    with snapshot(replica, world.trust, world.now) as view:
        assert trace(view, resolve(view, "a/d:1").node, Direction.DOWN).entry == view.n == 2
        with pytest.raises(Undecided, match="read-only and at entry 2; the ledger goes on"):
            gate.verify_reference(replica, view, "a/m:1")
    world.registry = replica
    with pytest.raises(Unavailable, match="the ledger goes on"):
        world.push("a/e:1")
    replica.catalogue.close()


def _reader(world: World) -> Database:
    """The same schema as somebody sees it who may write nothing."""
    place = world.place()
    engine = create_engine(postgres.url().replace("postgresql:", "postgresql+psycopg:"))
    role = f"reader_{place.schema[7:15]}"
    with engine.begin() as connection:
        for command in (
            f"CREATE ROLE {role} LOGIN",
            f"ALTER ROLE {role} SET default_transaction_read_only = on",
            f"GRANT USAGE ON SCHEMA {place.schema} TO {role}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {place.schema} TO {role}",
        ):
            connection.execute(text(command))
    engine.dispose()
    return Database(place.path, postgres.url().replace("postgres:@", f"{role}:@"))


def test_the_command_line_on_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = caller(capsys)
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STEMMA_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("STEMMA_DATABASE_URL", postgres.url())
    for name in ("data", "model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    assert call("init")[0] == 0
    assert call("push", str(tmp_path / "data"), "a/d:1", "--kind", "dataset")[0] == 0
    pushed = call(
        "push", str(tmp_path / "model"), "a/m:1", "--kind", "model", "--input", "trained-on=a/d:1"
    )
    assert pushed[0] == 0
    assert call("verify", "a/d:1")[0] == 0
    assert call("quarantine", "a/d:1", "--reason", "bad")[0] == 0
    assert call("verify", "a/m:1")[0] == 11
    code, out, _ = call("rebuild", "--json")
    assert code == 0
    assert json.loads(out)["catalogue"].startswith("postgresql+psycopg://")
    assert call("verify", "a/m:1")[0] == 11
    assert call("db", "check")[0] == 0
    assert call("doctor")[0] in (0, 1)
    assert call("snapshot")[0] == 0
    assert not (tmp_path / "home" / "catalogues").exists() or not list(
        (tmp_path / "home" / "catalogues").glob("*.sqlite3")
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://root:secret@localhost/x", "is of mysql: write postgresql://USER@HOST/DATABASE"),
        ("nonsense secret", "is not a database URL"),
        ("postgresql://u:secret@127.0.0.1:1/x", "failed"),
    ],
)
def test_a_server_that_is_none_is_one_line_without_the_password(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    says: str,
) -> None:
    call = caller(capsys)
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STEMMA_REGISTRY", str(tmp_path / "registry"))
    assert call("init")[0] == 0
    monkeypatch.setenv("STEMMA_DATABASE_URL", url)
    code, out, err = call("list")
    assert (code, out) == (14, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert "secret" not in err
