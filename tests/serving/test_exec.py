"""`stemma exec` by real processes: what runs, on what, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.mounts import mount, unmount
from tests.faults.scene import Scene, one_line
from tests.serving.conftest import ODD
from tests.zygote import Child, Finished

MODEL = {"w.bin": b"weights", "config.json": b"{}"}


def serve(scene: Scene, *argv: str | Path, **options: object) -> Finished:
    return scene.run("exec", *argv, **options)


def started(scene: Scene, script: str, *options: str, ready: str = "ready") -> Child:
    """`sh -c SCRIPT sh {path}`, when it has written the file `ready` in the checkout."""
    argv = ("exec", "models/m:1", *options, "--", "sh", "-c", script, "sh", "{path}")
    child = scene.zygote.start(scene.seat, *argv)
    until((scene.work / ready).exists)
    return child


def until(done: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something; fail where it does not come."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b" Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    return False


def pid_in(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def copies(scene: Scene) -> list[str]:
    """What is in the home's folder of private copies."""
    base = scene.seat.home / "serving"
    return sorted(os.listdir(base)) if base.exists() else []


LOOK = """
import json, os, sys
root = sys.argv[1]
found = {}
for top, _, files in os.walk(root):
    for name in files:
        path = os.path.join(top, name)
        found[os.path.relpath(path, root)] = open(path, "rb").read().decode()
modes = sorted({oct(os.stat(top).st_mode & 0o7777) for top, _, _ in os.walk(root)})
files = [os.path.join(top, name) for top, _, names in os.walk(root) for name in names]
files = sorted({oct(os.stat(file).st_mode & 0o7777) for file in files})
above = oct(os.stat(os.path.dirname(root)).st_mode & 0o7777)
print(json.dumps(dict(found=found, modes=modes, files=files, above=above, root=root,
                      env=dict(os.environ), argv=sys.argv[1:])))
"""


@pytest.mark.parametrize(("name", "files"), [("models/m:1", MODEL), ("models/odd:1", ODD)])
def test_the_command_sees_the_files_and_nothing_else(
    template: Scene, name: str, files: dict[str, bytes]
) -> None:
    secrets = {
        "STEMMA_KEY_PASSPHRASE": "geheim",
        "STEMMA_HSM_PIN": "1234",
        "STEMMA_ID_TOKEN": "ey",
        "KEPT": "{path}",
    }
    command = ("python3", "-c", LOOK, "{path}", "--at={path}", "{}", "{path", "{other}")
    done = serve(template, name, "--", *command, environment=secrets).expect(0)
    seen = json.loads(done.out)
    assert {path: data.encode() for path, data in seen["found"].items()} == files
    assert (seen["modes"], seen["files"], seen["above"]) == (["0o500"], ["0o400"], "0o700")
    root = seen["root"]
    assert seen["argv"] == [root, f"--at={root}", "{}", "{path", "{other}"]
    assert seen["env"]["STEMMA_MODEL"] == root
    assert not seen["env"].keys() & (secrets.keys() - {"KEPT"})
    assert seen["env"]["KEPT"] == "{path}"
    assert copies(template) == [], "it goes with the command"


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)],
)
def test_the_exit_code_is_the_commands(template: Scene, script: str, code: int) -> None:
    done = serve(template, "models/m:1", "--", "sh", "-c", script, "{path}")
    assert (done.code, done.err) == (code, "")


def refuse_quarantined(scene: Scene) -> None:
    scene.run("quarantine", "data/raw:1", "--reason", "bad").expect(0)


def refuse_damaged(scene: Scene) -> None:
    digest = scene.files_of(scene.names()["models/m:1"]["artifact"])[0]
    blob = scene.blob(f"sha256:{digest}")
    blob.chmod(0o600)
    blob.write_bytes(b"other")


def refuse_untrusted(scene: Scene) -> None:
    (scene.seat.home / "trust.yaml").unlink()


def refuse_lost(scene: Scene) -> None:
    scene.verify("models/m:1")  # the home remembers what it has seen
    scene.entry(3).unlink()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (refuse_quarantined, 11),
        (refuse_damaged, 12),
        (refuse_untrusted, 13),
        (refuse_lost, 14),
    ],
)
@pytest.mark.parametrize("as_set", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_without_a_yes_nothing_runs(
    scene: Scene, spoil: Callable[[Scene], None], code: int, as_set: bool
) -> None:
    spoil(scene)
    subject = ("models/odd:1", "--also", "base=models/m:1") if as_set else ("models/m:1",)
    done = serve(scene, *subject, "--", "touch", "ran", "{path}", *(["{base}"] if as_set else []))
    assert done.code == code == scene.verify("models/m:1")
    assert one_line(done)
    assert not (scene.work / "ran").exists()
    assert copies(scene) == []


def test_the_policy_is_asked(template: Scene, tmp_path: Path) -> None:
    command = ("--", "cat", "{path}/w.bin")
    serve(template, "models/m:1", "--policy", "builtin", *command).expect(0)
    code = template.run("verify", "models/m:1", "--policy", "starter", "--stage", "no").code
    done = serve(template, "models/m:1", "--policy", "starter", "--stage", "no", *command)
    assert done.code == code != 0
    assert done.out == ""
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    both = ("models/m:1", "--also", "base=data/raw:1", "--policy", empty, *command, "{base}")
    assert (
        serve(template, *both).code
        == template.run("verify", "models/m:1", "--policy", empty).code
        != 0
    )


def test_a_directory_is_copied_and_held_against_its_name(scene: Scene) -> None:
    good = ("model", "--as", "models/m:1", "--", "sh", "-c", 'cat "$0"/w.bin', "{path}")
    assert serve(scene, *good).expect(0).out == "weights"
    (scene.work / "model" / "more").write_text("surplus")
    assert serve(scene, *good).code == 12


def test_a_set_is_verified_together(template: Scene) -> None:
    argv = ("models/m:1", "--also", "base=models/odd:1", "--also", "data=data/raw:1")
    cat = 'cat "$0"/w.bin "$1"/-rf "$2"/a.txt'
    done = serve(template, *argv, "--", "sh", "-c", cat, "{path}", "{base}", "{data}").expect(0)
    assert done.out == "weightsdashesraw a\n"


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("models/m:1", "--", "no-such-command", "{path}"), 127, "no command"),
        (("models/m:1", "--", "./nothing/here", "{path}"), 127, "no command"),
        (("models/m:1", "--", "{path}/w.bin"), 126, "cannot run"),
        (("models/m:1", "--", "./train.py", "{path}"), 126, "cannot run"),
        (("models/m:1", "--", "cat"), 2, "{path}"),
        (("models/m:1", "--"), 2, "CMD"),
        (("models/m:1", "--also", "a=models/odd:1", "--", "ls", "{path}"), 2, "{a}"),
        (("models/m:1", "--also", "path=models/odd:1", "--", "ls", "{path}"), 2, "NAME=REF"),
        (("models/m:1", "--also", "a", "--", "ls", "{path}"), 2, "NAME=REF"),
        (("models/m:1", "--watch", "soon", "--", "ls", "{path}"), 2, "duration"),
        (("models/m:1", "--watch", "0s", "--", "ls", "{path}"), 2, "duration"),
        (("models/m:1", "--max-age", "1m", "--", "ls", "{path}"), 2, "--watch"),
        (("models/no:1", "--", "ls", "{path}"), 3, "models/no"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(
    template: Scene, argv: tuple[str, ...], code: int, said: str
) -> None:
    done = serve(template, *argv)
    assert done.code == code
    assert said in done.lines[-1]
    assert done.lines[-1].startswith("stemma: ")
    assert copies(template) == []


# Where the copies are.


def test_a_directory_that_exists_is_only_added_to(scene: Scene) -> None:
    place = scene.folder / "place"
    (place / "stemma-run-mine").mkdir(parents=True)
    (place / "run-1").mkdir()
    (place / "run-1" / "results").write_text("mine")
    done = serve(scene, "models/m:1", "--dir", place, "--", "echo", "{path}").expect(0)
    assert done.out.startswith(f"{place}/stemma-run-")
    assert sorted(p.name for p in place.iterdir()) == ["run-1", "stemma-run-mine"]


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_place_that_others_may_write_to_is_refused(scene: Scene, mode: int) -> None:
    place = scene.folder / "place"
    place.mkdir()
    os.chown(place, -1, 4711) if os.geteuid() == 0 else None
    place.chmod(mode)
    done = serve(scene, "models/m:1", "--dir", place, "--", "touch", "ran", "{path}")
    assert done.code == 1
    assert "others may write" in one_line(done)
    assert not (scene.work / "ran").exists()
    place.chmod(mode | stat.S_ISVTX)  # as a /tmp is: nobody can replace what is another's
    serve(scene, "models/m:1", "--dir", place, "--", "true", "{path}").expect(0)


def test_the_run_time_directory_is_taken_where_it_has_room(template: Scene, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    variables = {"XDG_RUNTIME_DIR": str(runtime)}
    done = serve(template, "models/m:1", "--", "echo", "{path}", environment=variables).expect(0)
    assert done.out.startswith(f"{runtime}/stemma/stemma-run-")
    runtime.chmod(0o777)
    done = serve(template, "models/m:1", "--", "echo", "{path}", environment=variables).expect(0)
    assert done.out.startswith(f"{template.seat.home}/serving/stemma-run-")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "disk"
    mount(target, "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs")
    yield target
    unmount(target)


def test_a_full_disk(scene: Scene, disk: Path) -> None:
    scene.write("work/big", {"a": bytes(600_000), "b": bytes(600_001)})
    scene.run("push", "big", "models/big:1", "--kind", "model").expect(0)
    done = serve(scene, "models/big:1", "--dir", disk, "--", "touch", "ran", "{path}")
    assert done.code == 14
    assert "space" in one_line(done).lower()
    assert list(disk.iterdir()) == []
    assert not (scene.work / "ran").exists()
    serve(scene, "models/m:1", "--dir", disk, "--", "true", "{path}").expect(0)


def test_another_user_sees_nothing(scene: Scene) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    script = 'echo "$1" > where.tmp; mv where.tmp where; until [ -e go ]; do sleep 0.02; done'
    child = started(scene, script, ready="where")
    place = (scene.work / "where").read_text().strip()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            os.listdir(place)
        except PermissionError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    (scene.work / "go").touch()
    child.wait().expect(0)


# Signals and ends.

LOOP = "touch ready; while :; do sleep 0.02; done"


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1"])
def test_signals_are_passed_on(scene: Scene, name: str) -> None:
    script = f"trap 'echo got {name}; exit 9' {name}; {LOOP}"
    child = started(scene, script)
    os.kill(child.pid, getattr(signal, f"SIG{name}"))
    done = child.wait()
    assert (done.code, done.out) == (9, f"got {name}\n")
    assert copies(scene) == []


def test_a_signal_that_kills_the_command_is_its_exit_code(scene: Scene) -> None:
    child = started(scene, 'exec python3 -c \'import time; open("ready", "w"); time.sleep(99)\'')
    os.kill(child.pid, signal.SIGTERM)
    assert child.wait().code == 128 + signal.SIGTERM
    assert copies(scene) == []


def test_kill_9_takes_the_command_along_and_the_next_start_sweeps(scene: Scene) -> None:
    child = started(scene, f"echo $$ > pid; {LOOP}")
    pid = pid_in(scene.work / "pid")
    (left,) = copies(scene)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait().code == -signal.SIGKILL
    until(lambda: not alive(pid))
    assert copies(scene) == [left]
    serve(scene, "models/m:1", "--", "true", "{path}").expect(0)
    assert copies(scene) == []


@pytest.mark.slow
def test_killed_at_any_time_the_next_start_sweeps(scene: Scene) -> None:
    scene.write("work/big", {f"{n}/w": bytes([n]) * 100_000 for n in range(200)})
    scene.run("push", "big", "models/big:1", "--kind", "model").expect(0)
    left = 0

    def swept() -> bool:  # what the command itself started may live a moment longer
        serve(scene, "models/m:1", "--", "true", "{path}").expect(0)
        return all(name.startswith(".") for name in copies(scene))

    for n in range(60):
        argv = ("exec", "models/big:1", "--", "sh", "-c", "sleep 0.2", "{path}")
        child = scene.zygote.start(scene.seat, *argv)
        time.sleep(0.02 * n)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        left += bool(copies(scene))
        until(swept)
    assert left > 5


def test_what_is_in_use_is_not_swept(scene: Scene) -> None:
    """By another command, nor by one whose `stemma exec` is dead while it lives on."""
    stubborn = (
        "trap '' TERM; echo $$ > pid; until [ -e go ]; do sleep 0.02; done; cat $1/w.bin > read"
    )
    child = started(scene, f"touch ready; {stubborn}")
    pid, (mine,) = pid_in(scene.work / "pid"), copies(scene)
    serve(scene, "models/m:1", "--", "true", "{path}").expect(0)
    assert copies(scene) == [mine]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    serve(scene, "models/m:1", "--", "true", "{path}").expect(0)
    assert copies(scene) == [mine]
    (scene.work / "go").touch()
    until(lambda: not alive(pid))
    assert (scene.work / "read").read_bytes() == b"weights"
    serve(scene, "models/m:1", "--", "true", "{path}").expect(0)
    assert copies(scene) == []


def test_what_is_left_half_removed_is_swept(scene: Scene) -> None:
    base = scene.seat.home / "serving"
    (base / "stemma-run-0123456789abcdef" / "model").mkdir(parents=True)
    (base / "stemma-run-0123456789abcdee").symlink_to(scene.work)
    (base / "other").mkdir()
    base.chmod(0o700)
    serve(scene, "models/m:1", "--", "true", "{path}").expect(0)
    assert copies(scene) == ["other", "stemma-run-0123456789abcdee"]
    assert (scene.work / "train.py").exists()


DAEMON = "setsid sh -c '(sh -c \"echo \\$\\$ > pid; {trap} while :; do sleep 0.02; done\" &)'"


@pytest.mark.parametrize("trap", ["", "trap : TERM;"])
def test_what_a_command_leaves_running_is_ended(scene: Scene, trap: str) -> None:
    script = DAEMON.format(trap=trap.replace(" TERM", " 15")) + "; until [ -s pid ]; do :; done"
    argv = ("models/m:1", "--grace", "500ms", "--", "sh", "-c", script, "{path}")
    done = serve(scene, *argv)
    assert done.code == 0
    assert "left" in done.lines[-1]
    assert not alive(pid_in(scene.work / "pid"))
    assert copies(scene) == []


def test_a_terminating_signal_while_copying_leaves_nothing(scene: Scene) -> None:
    scene.write("work/big", {f"{n}": bytes([n]) * 3_000_000 for n in range(40)})
    scene.run("push", "big", "models/big:1", "--kind", "model").expect(0)
    child = scene.zygote.start(scene.seat, "exec", "models/big:1", "--", "touch", "ran", "{path}")
    until(lambda: copies(scene))
    os.kill(child.pid, signal.SIGTERM)
    done = child.wait()
    if not (scene.work / "ran").exists():
        assert done.code == 128 + signal.SIGTERM
    assert copies(scene) == []


def test_json(template: Scene) -> None:
    done = serve(template, "models/m:1", "--json", "--", "sh", "-c", "echo out; exit 3", "{path}")
    assert done.code == 3
    assert done.err == "out\n"
    document = done.document
    assert (document["code"], document["stopped"]) == (3, None)
    assert document["verified"][0]["name"] == "models/m:1"
    done = serve(template, "models/no:1", "--json", "--", "ls", "{path}")
    assert done.document["error"]["code"] == done.code == 3


COUNT = """
import signal, sys, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print("ready", flush=True)
until = time.monotonic() + 20
while not got and time.monotonic() < until:
    time.sleep(0.01)
time.sleep(0.5)
print("got", len(got), flush=True)
"""


def test_what_a_terminal_sends_is_not_sent_twice(template: Scene) -> None:
    """It goes to all in the foreground, so the command has it already."""
    program = (sys.executable, "-m", "stemma_cli.main", "exec", "models/m:1", "--")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(template.seat.environment)
        os.execv(sys.executable, (*program, sys.executable, "-c", COUNT, "{path}"))
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 1000):
            said += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"got 1" in said
