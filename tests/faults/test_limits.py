"""Too few descriptors, and too few rights: say so in one line, leave nothing, work again later."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.commands import COMMANDS, PULL, PUSH_MANY, many_before, surplus
from tests.faults.scene import PUSH_NEW, QUARANTINE, Scene, one_line
from tests.zygote import Finished

pytestmark = pytest.mark.faults
READERS = {
    "verify": ("verify", "models/m:1", "--json"),
    "list": ("list", "--json"),
    "trace": ("trace", "data/raw:1", "--json"),
    "show": ("show", "models/m:1", "--json"),
    "audit": ("audit", "--read-data", "--json"),
}
WRITERS = ("push", "push many", "quarantine", "gc", "replicate")
NOBODY = 65534


# Descriptors.


@pytest.fixture
def many(scene: Scene) -> Scene:
    """A scene with a directory of many files to push."""
    many_before(scene)
    return scene


def test_64_descriptors_are_enough(many: Scene) -> None:
    writers = (COMMANDS[name].argv for name in WRITERS)
    for argv in (*writers, ("pull", "data/many:1", "out-many", "--json")):
        many.run(*argv, limits={"NOFILE": 64}).expect(0)
    for name, argv in READERS.items():
        expected = 11 if name == "verify" else 0
        many.run(*argv, limits={"NOFILE": 64}).expect(expected)
    many.assert_whole()


def is_clear(done: Finished, *right: int) -> bool:
    """Whether it succeeded; else it said so in one line, and as what cannot be decided now."""
    if done.code in right:
        return True
    assert done.code == 14, done
    if done.argv[0] == "audit" and "error" not in done.document:  # its findings are its answer
        assert done.document["findings"]
        assert "Traceback" not in done.err
        return False
    assert "many open files" in one_line(done) or "unable to open" in one_line(done), done
    return False


@pytest.mark.parametrize("command", WRITERS)
def test_too_few_descriptors_for_a_writer(
    prepared: Callable[[str], Callable[[], Scene]], command: str
) -> None:
    """A few more each time: another call is the one that fails."""
    fresh, results = prepared(command), []
    for limit in (*range(5, 40, 3 if command in ("push", "replicate") else 9), 64):
        scene = fresh()
        done = scene.run(*COMMANDS[command].argv, limits={"NOFILE": limit})
        results.append(is_clear(done, 0))
        assert scene.temporary() == [], limit
        COMMANDS[command].check(scene, results[-1])
        scene.remove()
    assert not results[0]
    assert results[-1]


@pytest.mark.parametrize("command", READERS)
def test_too_few_descriptors_for_a_reader(scene: Scene, command: str) -> None:
    scene.run(*QUARANTINE).expect(0)
    right = 11 if command == "verify" else 0
    results = []
    for limit in range(3, 30):
        done = scene.run(*READERS[command], limits={"NOFILE": limit})
        results.append(is_clear(done, right))
    assert not results[0]
    assert results[-1]
    assert scene.temporary() == []


def test_too_few_descriptors_again_and_again_leave_nothing_that_grows(many: Scene) -> None:
    before = None
    for _ in range(6):
        done = many.run(*PUSH_MANY, limits={"NOFILE": 10})
        assert not is_clear(done, 0)
        found = sorted(p for p in many.folder.rglob("*") if "strace" not in p.name)
        assert before in (None, found)
        before = found
    many.run(*PUSH_MANY).expect(0)
    many.assert_whole()


# Rights.


@pytest.fixture
def theirs(template: Scene) -> Iterator[Scene]:
    """A scene that belongs to a user who is not root, and to whom modes mean something."""
    with tempfile.TemporaryDirectory(prefix="stemma-limits-") as folder:
        Path(folder).chmod(0o755)
        scene = template.copy(Path(folder) / "scene")
        scene.run("list").expect(0)
        if os.geteuid() == 0:
            for path in (scene.folder, *scene.folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        yield scene
        for path in (scene.folder, *scene.folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)


def run_as_nobody(scene: Scene, *argv: str) -> Finished:
    return scene.run(*argv, user=NOBODY if os.geteuid() == 0 else None)


def test_everything_works_for_a_user_who_is_not_root(theirs: Scene) -> None:
    """Or the tests below could not fail."""
    for argv in (*READERS.values(), PUSH_NEW, PULL, QUARANTINE):
        run_as_nobody(theirs, *argv).expect(0)


# What may not be written (or, where it says so, read) -> who is refused, and by which code.
Codes = Mapping[str, int]
ALL_WRITERS: Codes = {"push": 14, "quarantine": 14}
EVERYBODY: Codes = {**ALL_WRITERS, **dict.fromkeys((*READERS, "pull"), 14)}
DENIED: Mapping[str, tuple[str, int, Codes]] = {
    "registry, writing": ("registry", 0o555, ALL_WRITERS),
    "temporary files, writing": ("registry/tmp", 0o555, ALL_WRITERS),
    "blobs, writing": ("registry/blobs", 0o555, ALL_WRITERS),
    "ledger, writing": ("registry/ledger/000/000", 0o555, ALL_WRITERS),
    "registry, reading": ("registry", 0o000, EVERYBODY),
    "ledger, reading": ("registry/ledger", 0o000, EVERYBODY),
    "key": ("home/key.pem", 0o000, ALL_WRITERS),
    "trust root": ("home/trust.yaml", 0o000, EVERYBODY),
    "home, writing": ("home", 0o555, {}),
    "seen head": ("home/heads", 0o000, EVERYBODY),
    "work, writing": ("work", 0o555, {"pull": 14}),
}


@pytest.mark.parametrize("what", DENIED)
def test_what_is_denied(theirs: Scene, what: str) -> None:
    path, mode, refused = DENIED[what]
    theirs.run("list").expect(0)
    deny(theirs.folder / path, mode)
    commands = {**READERS, "push": PUSH_NEW, "quarantine": QUARANTINE, "pull": PULL}
    commands["quarantine"] = ("quarantine", "data/raw:1", "--reason", "bad", "--json")
    before = files_of(theirs)
    found = {}
    for name, argv in {k: commands[k] for k in (*READERS, "pull", "push", "quarantine")}.items():
        done = run_as_nobody(theirs, *argv)
        found[name] = done.code
        if done.code and name != "audit":  # its findings are its answer
            one_line(done)
    assert found == {**dict.fromkeys(found, 0), **refused}
    assert theirs.temporary() == []
    if set(refused) >= {"push", "quarantine"}:
        new = [path.relative_to(theirs.registry) for path in files_of(theirs) - before]
        # What nothing refers to, for `stemma gc`;
        assert {path.parts[0] for path in new} <= {"blobs"}


def deny(path: Path, mode: int) -> None:
    """Change the mode of a file, or of a directory and of all directories below it."""
    below = [p for p in path.rglob("*") if p.is_dir()] if mode else []
    for place in (*below, path):
        place.chmod(mode)


def files_of(scene: Scene) -> set[Path]:
    """Every file of the registry."""
    return {path for path in scene.registry.rglob("*") if path.is_file()}


def test_a_copy_to_where_nothing_may_be_written(theirs: Scene) -> None:
    argv = ("replicate", "../registry", "../shelf/replica", "--json")
    shelf = theirs.folder / "shelf"
    shelf.mkdir(0o555)
    assert "ermission denied" in one_line(run_as_nobody(theirs, *argv).expect(14))
    shelf.chmod(0o777)
    run_as_nobody(theirs, *argv).expect(0)
    deny(shelf / "replica", 0o555)
    theirs.run(*PUSH_NEW).expect(0)
    assert "ermission denied" in one_line(run_as_nobody(theirs, *argv).expect(14))
    assert theirs.temporary() == []
    again = ("--registry", "../shelf/replica", "verify", "models/m:1")
    run_as_nobody(theirs, *again).expect(0)


def test_collecting_where_nothing_may_be_deleted(theirs: Scene) -> None:
    COMMANDS["gc"].before(theirs)
    deny(theirs.registry / "blobs", 0o555)
    refused = run_as_nobody(theirs, *COMMANDS["gc"].argv).expect(14)
    assert refused.document["failed"]
    assert refused.document["deleted"] == 0
    run_as_nobody(theirs, "verify", "models/m:1").expect(0)
    deny(theirs.registry / "blobs", 0o777)
    finished = run_as_nobody(theirs, *COMMANDS["gc"].argv).expect(0)
    assert finished.document["failed"] == []
    assert not any(path.exists() for path in surplus(theirs)[::2])
    theirs.assert_whole()


def test_a_file_that_may_not_be_read_is_named(theirs: Scene) -> None:
    (theirs.work / "new" / "part-0.txt").chmod(0o000)
    done = run_as_nobody(theirs, *PUSH_NEW)
    assert done.code in (2, 14)
    assert "part-0.txt" in one_line(done)
    assert "ermission denied" in one_line(done)
    assert theirs.temporary() == []
