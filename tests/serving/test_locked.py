"""`stemma lock`, `verify --lock` and `exec --lock` by real processes, and what attacks them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.scene import Scene, one_line
from tests.serving.test_exec import LOOP, copies, until
from tests.zygote import Finished, shared

SET = ("base=models/base:1", "models/adapter:1", "tok=models/tok:1")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A registry with a family of models, and `stemma.lock` of three of them; not changed."""
    scene = Scene.build(tmp_path_factory.mktemp("locked") / "scene", shared())
    for name, kind in (("base", "model"), ("tok", "tokenizer")):
        scene.write(f"work/{name}", {"w": name.encode()})
        scene.run("push", name, f"models/{name}:1", "--kind", kind).expect(0)
    scene.write("work/adapter", {"w": b"adapter"})
    pushed = ("push", "adapter", "models/adapter:1", "--kind", "adapter")
    scene.run(*pushed, "--input", "adapter-of=models/base:1").expect(0)
    scene.run("lock", *SET).expect(0)
    return scene


@pytest.fixture
def mine(locked: Scene, tmp_path: Path) -> Scene:
    """A copy of it."""
    return locked.copy(tmp_path / "mine")


def lock_of(scene: Scene) -> Path:
    return scene.work / "stemma.lock"


def check(scene: Scene, *argv: str | Path) -> Finished:
    return scene.run("verify", "--lock", "stemma.lock", *argv, "--json")


def test_written_checked_and_held(locked: Scene) -> None:
    assert locked.run("lock", "--check", "--json").expect(0).document["current"] is True
    before = lock_of(locked).stat().st_ino
    assert locked.run("lock", "--update", "--json").expect(0).document["outcome"] == "unchanged"
    assert lock_of(locked).stat().st_ino == before, "not written anew"
    said = check(locked).expect(0).document
    assert [one["word"] for one in said["verdicts"]] == ["adapter", "base", "tok"]
    assert {one["entry"] for one in said["verdicts"]} == {said["entry"]}
    assert all(one["verified"] and one["vsa"] for one in said["verdicts"])
    assert check(locked, "base=base", "tok=models/tok:1").code == 0
    assert check(locked, "base=tok").code == 12
    assert (
        "VERIFIED  adapter: models/adapter:1"
        in locked.run("verify", "--lock", "stemma.lock").expect(0).out
    )


def test_a_lock_of_one_needs_no_word(locked: Scene, tmp_path: Path) -> None:
    one = tmp_path / "one.lock"
    locked.run("lock", "models/base:1", "-o", one).expect(0)
    locked.run("verify", "--lock", one, "base").expect(0)
    locked.run("verify", "--lock", one, "models/base:1").expect(0)
    assert locked.run("verify", "--lock", one, "tok").code == 12
    assert locked.run("verify", "--lock", one, "models/tok:1").code == 12


def test_a_no_writes_nothing(mine: Scene) -> None:
    mine.run("quarantine", "models/tok:1", "--reason", "bad").expect(0)
    before = lock_of(mine).read_bytes()
    for argv in (SET, (*SET, "-o", "new.lock"), ("--update",)):
        done = mine.run("lock", *argv)
        assert done.code == 11
        assert "tok" in one_line(done)
    assert lock_of(mine).read_bytes() == before
    assert not (mine.work / "new.lock").exists()
    assert mine.run("lock", "--check").code == 0, "the references name what they named"
    said = check(mine).document
    assert (said["code"], [one["code"] for one in said["verdicts"]]) == (11, [0, 0, 11])


def test_what_was_erased(mine: Scene) -> None:
    (file,) = mine.files_of(mine.names()["models/base:1"]["artifact"])
    mine.run("erase", f"sha256:{file}", "--reason", "personal data", "--yes").expect(0)
    done = check(mine)
    assert done.code == 12
    assert "erased" in done.document["reason"]
    assert mine.run("lock", "--update").code == 12


def test_a_lost_entry_cannot_be_decided(mine: Scene) -> None:
    check(mine).expect(0)
    mine.entry(5).unlink()
    assert check(mine).code == 14
    assert mine.run("exec", "--lock", "stemma.lock", "--", "true", "{path}").code == 14


def test_nobody_is_believed(mine: Scene) -> None:
    (mine.seat.home / "trust.yaml").unlink()
    assert check(mine).code == 13
    assert mine.run("lock", *SET).code == 13


# --- hostile files --------------------------------------------------------------------------


def spoil_word(text: str) -> str:
    return text.replace("  tok:", "  base:")


def spoil_digest(text: str) -> str:
    return text.replace("artifact: sha256:", "artifact: sha256:A", 1)


def spoil_field(text: str) -> str:
    return text.replace("    kind: model\n", "    kind: model\n    run: rm -rf /\n")


def spoil_path(text: str) -> str:
    return text.replace("  tok:", "  ../../tok:")


def spoil_size(text: str) -> str:
    return text + "#" * 300_000


@pytest.mark.parametrize("spoil", [spoil_word, spoil_digest, spoil_field, spoil_path, spoil_size])
def test_a_broken_lock_is_a_line_and_exit_code_2(
    locked: Scene, tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    text = lock_of(locked).read_text()
    bad = tmp_path / "bad.lock"
    bad.write_text(spoil(text))
    assert bad.read_text() != text
    for argv in (
        ("verify", "--lock", bad),
        ("lock", "--check", bad),
        ("lock", "--update", bad),
        ("exec", "--lock", bad, "--", "touch", "ran", "{path}"),
    ):
        done = locked.run(*argv)
        assert done.code == 2, argv
        assert str(bad) in one_line(done)
    assert bad.read_text() == spoil(text)
    assert not (locked.work / "ran").exists()


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("verify", "--lock", "no.lock"), 3),
        (("verify", "--lock", "stemma.lock", "nothing"), 2),  # which one?
        (("verify", "--lock", "stemma.lock", "other=base"), 2),
        (("verify", "--lock", "stemma.lock", "base=base", "base=base"), 2),
        (("verify", "--lock", "stemma.lock", "base=nothing"), 3),
        (("verify", "--lock", "stemma.lock", "base=models/no:1"), 3),
        (("verify", "--lock", "stemma.lock", "base="), 2),
        (("lock", "models/base:1", "-o", "nowhere/stemma.lock"), 3),
        (("lock", "--check", "no.lock"), 3),
        (("lock", "../x=models/base:1"), 2),
        (("lock", "models/no:1"), 3),
        (("lock", "models/base:1", "-o", "train.py"), 1),
        (("lock", "models/base:1", "-o", "."), 1),
        (("lock", "models/base:1", "-o", "/dev/stdout"), 1),
        (("exec", "--lock", "no.lock", "--", "true", "{path}"), 3),
        (("exec", "--lock", "stemma.lock", "--", "true", "{base}"), 2),
        (("exec", "--lock", "stemma.lock", "--", "true", "{model}"), 2),
    ],
)
def test_what_cannot_be_is_said_in_a_line(locked: Scene, argv: tuple[str, ...], code: int) -> None:
    done = locked.run(*argv)
    assert done.code == code
    one_line(done)
    assert (locked.work / "train.py").read_text() == "print('training')\n"


@pytest.mark.parametrize(
    "argv",
    [
        ("lock",),
        ("lock", "--check", "--update"),
        ("lock", "--check", "--policy", "starter"),
        ("lock", "--check", "a", "b"),
        ("verify",),
        ("verify", "base", "tok"),
        ("verify", "--lock", "stemma.lock", "--as", "models/base:1", "base"),
        ("verify", "--lock", "stemma.lock", "--vsa", "v.json"),
        ("verify", "--lock", "stemma.lock", "--coverage"),
        ("exec", "--lock", "stemma.lock", "--also", "a=models/base:1", "--", "true", "{path}"),
        ("exec", "--lock", "stemma.lock"),
        ("exec",),
    ],
)
def test_what_makes_no_sense_is_usage(locked: Scene, argv: tuple[str, ...]) -> None:
    done = locked.run(*argv)
    assert done.code == 2
    assert done.lines[-1].startswith("stemma: ")


def test_a_link_at_the_output_path_is_refused(mine: Scene) -> None:
    victim = mine.folder / "victim"
    victim.write_bytes(lock_of(mine).read_bytes() + b"# mine\n")
    before = victim.read_bytes()
    lock_of(mine).unlink()
    lock_of(mine).symlink_to(victim)
    for argv in (SET, ("--update",)):
        done = mine.run("lock", *argv)
        assert done.code == 1
        assert "no regular file" in one_line(done)
    assert victim.read_bytes() == before
    check(mine).expect(0)


def test_a_lock_from_a_pipe(locked: Scene, tmp_path: Path) -> None:
    raw = lock_of(locked).read_bytes()
    for command in (("verify",), ("exec",), ("lock", "--check")):
        pipe = tmp_path / f"pipe-{command[0]}"
        os.mkfifo(pipe)
        tail = ("--", "true", "{path}") if command == ("exec",) else ()
        where = (pipe,) if command[0] == "lock" else ("--lock", pipe)
        child = locked.zygote.start(locked.seat, *command, *where, *tail)
        with pipe.open("wb") as out:
            out.write(raw)
        child.wait(60).expect(0)
    pipe = tmp_path / "pipe-update"
    os.mkfifo(pipe)
    assert locked.run("lock", "--update", pipe).code == 1


def test_two_at_once_leave_one_whole_lock(mine: Scene) -> None:
    one, other = ("models/base:1", "models/tok:1"), SET
    children = [mine.zygote.start(mine.seat, "lock", *argv, gate=True) for argv in (one, other) * 3]
    time.sleep(0.5)
    for child in children:
        child.go()
    for child in children:
        child.wait(120).expect(0)
    said = check(mine).expect(0).document
    assert len(said["verdicts"]) in (2, 3)
    assert [p.name for p in mine.work.iterdir() if p.name.startswith(".stemma.lock")] == []


# --- running --------------------------------------------------------------------------------


def test_the_set_is_in_one_folder(locked: Scene) -> None:
    script = 'cd "$0" && ls && cat */w && [ "$0" = "$STEMMA_MODEL" ] && [ "$1" -ef base ]'
    done = locked.run(
        "exec", "--lock", "stemma.lock", "--", "sh", "-c", script, "{path}", "{base}"
    ).expect(0)
    assert done.out == "adapter\nbase\ntok\nadapterbasetok"
    argv = ("cat", "{path}/base/w", "{adapter}/w")
    done = locked.run("exec", "--lock", "stemma.lock", "--json", "--", *argv).expect(0)
    assert [one["name"] for one in done.document["verified"]] == [
        "models/adapter:1",
        "models/base:1",
        "models/tok:1",
    ]
    assert done.err == "baseadapter"
    assert copies(locked) == []


def test_a_set_that_does_not_fit_is_not_run(mine: Scene) -> None:
    mine.write("work/base2", {"w": b"base2"})
    mine.run("push", "base2", "models/base:2", "--kind", "model").expect(0)
    mine.run("lock", "models/base:2", "-o", "two.lock").expect(0)
    text = lock_of(mine).read_text()
    begin, end = text.index("  base:"), text.index("  tok:")
    two = (mine.work / "two.lock").read_text()
    lock_of(mine).write_text(text[:begin] + two[two.index("  base:") :] + text[end:])
    done = mine.run("exec", "--lock", "stemma.lock", "--", "touch", "ran", "{path}")
    assert done.code == 10
    assert "adapter-of models/base:1" in one_line(done)
    assert not (mine.work / "ran").exists()
    said = check(mine).document
    assert (said["code"], {one["code"] for one in said["verdicts"]}) == (10, {0})
    assert len(said["misfits"]) == 1


def test_a_quarantine_of_any_member_stops_the_command(mine: Scene) -> None:
    argv = ("exec", "--lock", "stemma.lock", "--watch", "400ms", "--")
    child = mine.zygote.start(mine.seat, *argv, "sh", "-c", f"trap 'exit 0' TERM; {LOOP}", "{path}")
    until((mine.work / "ready").exists)
    mine.run("quarantine", "models/tok:1", "--reason", "bad").expect(0)
    done = child.wait(60)
    assert done.code == 11
    assert "models/tok:1" in done.lines[-1]
    assert copies(mine) == []


def test_the_lock_is_readable_by_people_in_a_pull_request(mine: Scene) -> None:
    text = lock_of(mine).read_text()
    moved = text.replace("from: models/tok:1", "from: models/tok:2")
    lock_of(mine).write_text(moved)
    done = mine.run("lock", "--check", "--json")
    assert (done.code, done.document["changes"][0]["word"]) == (10, "tok")
    mine.write("work/tok2", {"w": b"tok, better"})
    mine.run("push", "tok2", "models/tok:2", "--kind", "tokenizer").expect(0)
    assert mine.run("lock", "--check").code == 10
    done = mine.run("lock", "--update").expect(0)
    assert done.out.splitlines()[0].startswith("stemma.lock updated")
    assert "  tok: name models/tok:1 -> models/tok:2" in done.out.splitlines()
    after = lock_of(mine).read_text()
    changed = [line for line in after.splitlines() if line not in moved.splitlines()]
    assert len(changed) == 3, "name, artifact, size"
    mine.run("lock", "--check").expect(0)
    assert json.loads(check(mine).out)["verified"] is True
