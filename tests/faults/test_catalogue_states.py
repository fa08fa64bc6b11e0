"""A catalogue that is lost, old, half migrated or behind the ledger: the answers stay right.

It is a projection. Whatever state it is in, a command gives the answer that the
ledger gives, or none (14).
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command

from stemma_migrations import run
from stemma_registry.blobs.local import LocalStore
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import Home
from stemma_registry.ledger import heads
from tests.faults.scene import PUSH_NEW, QUARANTINE, Scene, one_line
from tests.faults.test_damage import drop_catalogue
from tests.faults.tracer import REACHED, points, sample, traced

pytestmark = pytest.mark.faults
OLD = run.revisions()[:-1]
LIST = ("list", "--json")
State = Callable[[Scene], None]


def assert_right(scene: Scene) -> None:
    """The quarantine is known, the push is known, and nothing else."""
    assert scene.verify("models/m:1") == scene.verify("data/raw:1") == 11
    assert scene.verify("data/new:1") == 11, "it was made from data/raw:1"
    rows = scene.names()
    assert {name: row["quarantined"] for name, row in rows.items()} == dict.fromkeys(
        ("data/raw:1", "models/m:1", "data/new:1"), True
    )
    scene.assert_whole()


def downgrade(scene: Scene, revision: str) -> None:
    """The catalogue as an older version of stemma left it, with what it knew."""
    scene.run(*LIST).expect(0)
    catalogue = Catalogue.at(scene.catalogue, LocalStore(scene.registry))
    with contextlib.closing(catalogue), catalogue.writing() as connection:
        command.downgrade(run._config(connection), revision)
    assert Catalogue.at(scene.catalogue, LocalStore(scene.registry)).revision() == revision


def behind(scene: Scene) -> None:
    """Put back as it was two entries ago."""
    saved = scene.folder / "saved.sqlite3"
    assert saved.exists()
    drop_catalogue(scene)
    shutil.copyfile(saved, scene.catalogue)


def empty_tables(scene: Scene) -> None:
    """The schema is there and nothing is projected."""
    drop_catalogue(scene)
    catalogue = Catalogue.open(scene.catalogue, LocalStore(scene.registry))
    catalogue.close()


STATES: Mapping[str, State] = {
    "lost": drop_catalogue,
    "behind": behind,
    "empty tables": empty_tables,
    **{f"at {revision}": (lambda scene, r=revision: downgrade(scene, r)) for revision in OLD},
}


@pytest.fixture(scope="module")
def once_settled(template: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """What `settled` is a copy of."""
    scene = template.copy(tmp_path_factory.mktemp("settled") / "scene")
    scene.run(*LIST).expect(0)
    with contextlib.closing(sqlite3.connect(scene.catalogue)) as connection:
        connection.execute("VACUUM INTO ?", [str(scene.folder / "saved.sqlite3")])
    scene.run(*PUSH_NEW).expect(0)
    scene.run(*QUARANTINE).expect(0)
    return scene


@pytest.fixture
def settled(once_settled: Scene, tmp_path: Path) -> Scene:
    """A push from data/raw:1, and then its quarantine, both by somebody else's catalogue."""
    scene = once_settled.copy(tmp_path / "scene")
    seen, here = (
        heads._seen_path(Home(one.seat.home).heads, LocalStore(one.registry))
        for one in (once_settled, scene)
    )
    here.parent.mkdir()
    shutil.copyfile(seen, here)
    return scene


@pytest.mark.parametrize("state", STATES)
def test_the_first_answer_is_right(settled: Scene, state: str) -> None:
    for argv, right in (
        (("verify", "models/m:1", "--json"), 11),
        (("pull", "data/new:1", "out", "--json"), 11),
        (("show", "data/new:1", "--json"), 0),
        (("trace", "data/raw:1", "--json"), 0),
    ):
        STATES[state](settled)
        settled.run(*argv).expect(right)
    assert not (settled.work / "out").exists()
    assert_right(settled)


@pytest.mark.parametrize("state", STATES)
def test_a_taken_name_is_not_free(settled: Scene, state: str) -> None:
    """A push that believed its catalogue would give the name away."""
    STATES[state](settled)
    settled.write("work/other", {"part-0.txt": b"other bytes\n"})
    push = ("push", "other", "data/new:1", "--kind", "dataset", "--json")
    one_line(settled.run(*push).expect(12))
    assert_right(settled)


def test_another_users_push_beside_an_old_catalogue(settled: Scene) -> None:
    """The ledger has grown since, by somebody with a catalogue of their own."""
    behind(settled)
    other = replace(settled.seat, home=settled.folder / "other-home")
    shutil.copytree(settled.seat.home, other.home, ignore=shutil.ignore_patterns("catalogues"))
    settled.write("work/more", {"x": b"more\n"})
    push = ("push", "more", "data/more:1", "--kind", "dataset", "--json")
    settled.zygote.run(other, *push).expect(0)
    assert settled.verify("data/more:1") == 0
    assert settled.verify("models/m:1") == 11


# Half migrated.


def kills(fresh: Callable[[], Scene], revision: str, most: int) -> None:
    """Killed at calls of an upgrade; whoever comes next finds a catalogue that works."""
    baseline = fresh()
    downgrade(baseline, revision)
    where = str(baseline.catalogue)
    run_ = traced(baseline, *LIST)
    run_.finished.expect(0)
    about = [c for c in run_.calls if where in "".join((*c.paths, *c.texts))]
    wanted = {(c.name, c.number) for c in about if c.creates}
    chosen = sample([point for point in points(run_) if point in wanted], most)
    killed = 0
    for name, when in chosen:
        scene = fresh()
        downgrade(scene, revision)
        cut = traced(scene, *LIST, inject=f"{name}:signal=KILL:when={when}")
        killed += cut.killed
        try:
            assert {row["name"] for row in scene.run(*LIST).expect(0).document} == {
                "data/raw",
                "models/m",
            }
            assert scene.verify("models/m:1") == 0
            scene.run(*QUARANTINE).expect(0)
            assert scene.verify("models/m:1") == 11
        except AssertionError as error:
            error.add_note(f"killed at {name}, the {when}th time, in {scene.folder}")
            raise
        scene.remove()
    assert killed >= len(chosen) * REACHED


@pytest.mark.parametrize("revision", [OLD[0], OLD[-1]])
def test_an_upgrade_that_was_killed(fresh: Callable[[], Scene], revision: str) -> None:
    kills(fresh, revision, 8)


@pytest.mark.slow
@pytest.mark.parametrize("revision", OLD)
def test_an_upgrade_that_was_killed_anywhere(fresh: Callable[[], Scene], revision: str) -> None:
    kills(fresh, revision, 10_000)


@pytest.mark.parametrize("revision", OLD)
def test_tables_that_are_there_already_are_no_wrong_answer(settled: Scene, revision: str) -> None:
    """Half of an upgrade, as no transaction leaves it: the program says so, or is right."""
    with contextlib.closing(sqlite3.connect(settled.catalogue)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        connection.commit()
    done = settled.run("verify", "models/m:1", "--json").expect(11, 14)
    if done.code == 14:
        assert "stemma rebuild" in one_line(done)
    settled.run("rebuild").expect(0)
    assert_right(settled)


@pytest.mark.parametrize("revision", ["9999", "", "not a revision"])
def test_the_catalogue_of_a_version_that_is_not_ours(settled: Scene, revision: str) -> None:
    with contextlib.closing(sqlite3.connect(settled.catalogue)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        connection.commit()
    done = settled.run("verify", "models/m:1", "--json").expect(11, 14)
    if done.code == 14:
        assert "stemma rebuild" in one_line(done)
    settled.run("rebuild").expect(0)
    assert_right(settled)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM status",
        "DELETE FROM edge",
        "DELETE FROM version",
        "DROP TABLE status",
        "DROP TABLE edge",
        "DROP TABLE state",
        "DELETE FROM state",
    ],
)
def test_rows_and_tables_that_are_gone_are_found_by_a_rebuild(settled: Scene, sql: str) -> None:
    """It is this user's own file: what is in it is believed, and a rebuild mends it."""
    with contextlib.closing(sqlite3.connect(settled.catalogue)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(sql)
        connection.commit()
    done = settled.run("verify", "models/m:1", "--json")
    assert "Traceback" not in done.err + done.out
    if "DROP" in sql:
        assert "stemma rebuild" in one_line(done.expect(14))
    settled.run("rebuild").expect(0)
    assert_right(settled)
