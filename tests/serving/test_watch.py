"""`stemma exec --watch`: a quarantine ends what runs; what is not known for long does too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from stemma_attestations.errors import Quarantined
from stemma_registry.config import Home
from stemma_registry.errors import Unavailable
from stemma_registry.registry import Registry
from stemma_registry.serving import Approved, Place, Question, launching, served
from stemma_registry.serving.launching import Serving
from stemma_registry.serving.private import Fetch
from stemma_registry.serving.running import Job
from stemma_registry.serving.served import Served
from stemma_registry.serving.watching import Rhythm, Watch
from tests.faults.scene import Scene
from tests.s3.machines import Machine, new_location
from tests.serving.test_exec import LOOP, alive, copies, pid_in, started, until
from tests.zygote import shared


def test_a_quarantine_stops_the_command_within_its_interval(scene: Scene) -> None:
    child = started(scene, f"trap 'echo bye; exit 0' TERM; {LOOP}", "--watch", "3s")
    time.sleep(2.4)  # a question was asked
    scene.run("quarantine", "data/raw:1", "--reason", "poisoned").expect(0)
    begun = time.monotonic()
    done = child.wait(10)
    assert time.monotonic() - begun < 3.0
    assert (done.code, done.out) == (11, "bye\n")
    (line,) = done.lines
    assert line.startswith("stemma: stopped: models/m:1: data/raw:1 is quarantined")
    assert "poisoned" in line
    assert copies(scene) == []


def test_a_quarantine_of_another_stops_nothing(scene: Scene) -> None:
    child = started(scene, "touch ready; until [ -e go ]; do sleep 0.02; done", "--watch", "400ms")
    scene.run("quarantine", "models/odd:1", "--reason", "bad").expect(0)
    time.sleep(1.2)
    (scene.work / "go").touch()
    child.wait().expect(0)


def test_one_of_a_set_stops_it(scene: Scene) -> None:
    argv = ("models/odd:1", "--also", "base=models/m:1", "--watch", "400ms", "--signal", "INT")
    command = ("sh", "-c", f"trap 'exit 0' INT; {LOOP}", "{path}", "{base}")
    child = scene.zygote.start(scene.seat, "exec", *argv, "--", *command)
    until((scene.work / "ready").exists)
    scene.run("quarantine", "data/raw:1", "--reason", "bad").expect(0)
    assert child.wait(60).code == 11


def test_a_command_that_does_not_heed_is_killed_with_all_it_started(scene: Scene) -> None:
    script = (
        "trap '' TERM; setsid sh -c \"trap '' TERM; echo \\$\\$ > pid; "
        'while :; do sleep 0.02; done" & ' + LOOP
    )
    child = started(scene, script, "--watch", "400ms", "--grace", "300ms")
    pid = pid_in(scene.work / "pid")
    scene.run("quarantine", "models/m:1", "--reason", "bad").expect(0)
    assert child.wait(15).code == 11
    assert not alive(pid)
    assert copies(scene) == []


def test_a_suspended_command_is_stopped_too(scene: Scene) -> None:
    child = started(scene, f"echo $$ > pid; {LOOP}", "--watch", "400ms", "--grace", "30s")
    os.kill(pid_in(scene.work / "pid"), signal.SIGSTOP)
    scene.run("quarantine", "models/m:1", "--reason", "bad").expect(0)
    begun = time.monotonic()
    assert child.wait(60).code == 11
    assert time.monotonic() - begun < 20


def test_an_unreachable_registry_is_borne_until_max_age(scene: Scene) -> None:
    child = started(scene, LOOP, "--watch", "400ms", "--max-age", "1500ms")
    away = scene.folder / "away"
    scene.registry.rename(away)
    begun = time.monotonic()
    time.sleep(0.9)
    assert alive(child.pid)
    away.rename(scene.registry)  # it is back in time, and the age begins anew
    time.sleep(1.2)
    assert alive(child.pid)
    scene.registry.rename(away)
    done = child.wait(10)
    assert done.code == 14
    assert time.monotonic() - begun > 2.5
    (line,) = done.lines
    assert "nothing is known for" in line
    assert "no registry at" in line


def test_a_quarantine_while_copying_is_noticed_before_the_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked right before the start is not what the verdict was given for."""
    real = served.fetch_for

    def slow(registry: Registry, approved: Approved) -> Fetch:
        scene.run("quarantine", "data/raw:1", "--reason", "bad").expect(0)
        return real(registry, approved)

    monkeypatch.setattr(served, "fetch_for", slow)
    command = ["touch", str(scene.work / "ran"), "{path}"]
    place = Place(str(scene.registry), Home(scene.seat.home))
    serving = Serving(place, Served.of(Question("models/m:1"), []), command)
    with pytest.raises(Quarantined):
        launching.serve(serving, Job(command, {}), os.environ)
    assert not (scene.work / "ran").exists()
    assert copies(scene) == []


def test_in_a_bucket(tmp_path: Path) -> None:
    machine = Machine.new(tmp_path / "one", shared(), new_location())
    machine.run("init").expect(0)
    machine.write("work/raw", {"a.txt": b"raw\n"})
    machine.write("work/m", {"w.bin": b"weights"})
    machine.run("push", "raw", "data/raw:1", "--kind", "dataset").expect(0)
    pushed = ("push", "m", "models/m:1", "--kind", "model")
    machine.run(*pushed, "--input", "trained-on=data/raw:1").expect(0)
    command = ("sh", "-c", f'cat "$0"/w.bin; {LOOP}', "{path}")
    child = machine.start("exec", "models/m:1", "--watch", "4s", "--", *command)
    until((machine.work / "ready").exists)
    machine.run("quarantine", "data/raw:1", "--reason", "poisoned").expect(0)
    begun = time.monotonic()
    done = child.wait(20)
    assert time.monotonic() - begun < 4.0
    assert (done.code, done.out) == (11, "weights")


# The watch by itself.


def test_an_answer_that_never_comes_is_too_old() -> None:
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        time.sleep(3)

    watch = Watch(ask, Rhythm(0.1, 0.5), lambda: None)
    watch.start()
    assert watch.reason() is None
    time.sleep(0.6)
    assert "nothing is known" in str(watch.reason())
    assert len(asked) == 1
    watch.end()


@pytest.mark.parametrize(
    "error", [Unavailable("away"), RuntimeError("a bug"), MemoryError(), OSError(5, "i/o")]
)
def test_whatever_fails_is_no_answer(error: Exception) -> None:
    def ask() -> None:
        raise error

    watch = Watch(ask, Rhythm(0.05, 0.3), lambda: None)
    watch.start()
    assert watch.reason() is None
    time.sleep(0.4)
    assert watch.reason() is not None
    watch.end()


def test_a_stop_wakes_and_is_final() -> None:
    woken: list[bool] = []

    def ask() -> None:
        raise Quarantined("bad")

    watch = Watch(ask, Rhythm(0.05, 60), lambda: woken.append(True))
    watch.start()
    until(watch.reason, 5)
    assert isinstance(watch.reason(), Quarantined)
    until(lambda: woken, 5)
