"""`stemma exec --report` by real processes: records of what runs, and of its end."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.errors import Quarantined, SignatureRefused
from stemma_attestations.predicates.deployment import STARTED, STOPPED, Spot
from stemma_registry import signing
from stemma_registry.config import Home
from stemma_registry.deploying import Left
from stemma_registry.errors import Unavailable
from stemma_registry.serving import Place, Question, approve, launching
from stemma_registry.serving.launching import Served, Serving
from stemma_registry.serving.reporting import Report, Run
from stemma_registry.serving.running import Job
from tests.faults.scene import Scene
from tests.serving.test_exec import LOOP, copies, serve, started, until

REPORT = ("--report", "--host", "gpu-7", "--service", "qa")
WAIT = "touch ready; until [ -e go ]; do sleep 0.02; done"


def deployed(scene: Scene, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        scene.run("deployments", "--json", *options).expect(0).document["deployments"]
    )
    return found


def break_writes(scene: Scene) -> None:
    """Nothing more can be put into the store, and all that is there can be read."""
    (scene.registry / "tmp").rename(scene.registry / "tmp-away")
    (scene.registry / "tmp").write_text("in the way")


def test_it_is_reported_while_it_runs_and_when_it_has_ended(scene: Scene) -> None:
    child = started(scene, WAIT, *REPORT, "--stage", "prod", "--json")
    (one,) = deployed(scene)
    assert (one["host"], one["service"], one["stage"]) == ("gpu-7", "qa", "prod")
    assert (one["name"], one["state"], one["believed"]) == ("models/m:1", "running", True)
    tree = scene.run("trace", "data/raw:1", "--deployed", "--stage", "prod").expect(0).out
    assert "runs on gpu-7, qa, prod" in tree
    assert "models/odd" not in tree
    (scene.work / "go").touch()
    start, stop = child.wait().expect(0).document["reports"]
    assert (start["state"], stop["state"]) == (STARTED, STOPPED)
    assert start["instance"] == stop["instance"] == one["instance"]
    assert stop["until"] is None
    assert deployed(scene) == []
    (ended,) = deployed(scene, "--all")
    assert ended["state"] == "stopped"
    scene.assert_whole()


def test_the_command_gets_no_secret_and_no_key(template: Scene, tmp_path: Path) -> None:
    scene = template.copy(tmp_path / "own")
    seen = "[dict(os.environ), sorted(os.listdir('/proc/self/fd'))]"
    look = f"import json, os; print(json.dumps({seen}))"
    secrets = {"STEMMA_KEY_PASSPHRASE": "geheim"}
    plain = serve(scene, "models/m:1", "--", "python3", "-c", look, "{path}", environment=secrets)
    done = serve(
        *(scene, "models/m:1", *REPORT, "--", "python3", "-c", look, "{path}"), environment=secrets
    )
    before, after = json.loads(plain.expect(0).out), json.loads(done.expect(0).out)
    assert before[0].keys() == after[0].keys()
    assert "STEMMA_KEY_PASSPHRASE" not in after[0]
    assert before[1] == after[1], "no descriptor more than without a report"


def test_a_set_is_one_record(scene: Scene) -> None:
    before = len(scene.entries())
    argv = ("models/m:1", "--also", "base=models/odd:1", *REPORT, "--", "true", "{path}", "{base}")
    serve(scene, *argv).expect(0)
    assert len(scene.entries()) == before + 2, "an entry for the start, and one for the end"
    found = deployed(scene, "--all")
    assert {one["name"] for one in found} == {"models/m:1", "models/odd:1"}
    assert len({one["instance"] for one in found}) == 1


def test_without_the_record_nothing_runs(scene: Scene) -> None:
    break_writes(scene)
    done = serve(scene, "models/m:1", *REPORT, "--", "touch", "ran", "{path}")
    assert done.code == 14, done
    assert not (scene.work / "ran").exists()
    assert copies(scene) == []
    serve(scene, "models/m:1", "--", "touch", "ran", "{path}").expect(0)


def test_without_a_signer_nothing_runs(scene: Scene) -> None:
    argv = ("models/m:1", *REPORT, "--sign", "key:none.pem", "--", "touch", "ran", "{path}")
    assert serve(scene, *argv).code == 3
    assert not (scene.work / "ran").exists()


def test_an_end_that_cannot_be_reported_is_a_loud_note(scene: Scene) -> None:
    child = started(scene, f"{WAIT}; exit 7", *REPORT)
    break_writes(scene)
    (scene.work / "go").touch()
    done = child.wait()
    assert done.code == 7, "the exit code is the command's"
    (line,) = done.lines
    assert line.startswith("stemma: NOT REPORTED as stopped: ")
    assert copies(scene) == []


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_signal_ends_it_and_is_reported(scene: Scene, name: str) -> None:
    child = started(scene, f"trap 'exit 9' {name}; {LOOP}", *REPORT)
    os.kill(child.pid, getattr(signal, f"SIG{name}"))
    assert child.wait().code == 9
    assert [one["state"] for one in deployed(scene, "--all")] == ["stopped"]


def test_what_is_killed_is_shown_until_its_record_ends(scene: Scene) -> None:
    child = started(scene, LOOP, *REPORT)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert [one["state"] for one in deployed(scene)] == ["running"]


def test_a_quarantine_stops_it_and_that_is_reported(scene: Scene) -> None:
    child = started(scene, f"trap 'exit 0' TERM; {LOOP}", *REPORT, "--watch", "400ms")
    seen = scene.run("quarantine", "data/raw:1", "--reason", "bad", "--json").expect(0).document
    assert [one["host"] for one in seen["deployed"]] == ["gpu-7"]
    assert child.wait(30).code == 11
    assert [one["state"] for one in deployed(scene, "--all")] == ["stopped"]


# In this process: what has to happen at a certain moment.


def place(scene: Scene) -> Place:
    return Place(str(scene.registry), Home(scene.seat.home))


def report(scene: Scene, left: list[Left], said: list[str], life: float = 3600) -> Report:
    signer = signing.load_signer(f"key:{scene.seat.home / 'key.pem'}", lambda: None, lambda: None)
    return Report(signer, Spot("gpu-7"), said.append, left.append, timedelta(seconds=life))


def test_what_is_stopped_right_before_the_start_is_reported_as_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Left] = []

    def stopped(*_: object) -> None:
        raise Quarantined("by now it is quarantined")

    monkeypatch.setattr(launching, "_ask", stopped)
    command = ["touch", str(scene.work / "ran"), "{path}"]
    served = Served.of(Question("models/m:1"), [])
    serving = Serving(place(scene), served, command, report=report(scene, left, []))
    with pytest.raises(Quarantined):
        launching.serve(serving, Job(command, {}), os.environ)
    assert [one.said.state for one in left] == [STARTED, STOPPED]
    assert not (scene.work / "ran").exists()


def run_of(scene: Scene, asked: Report) -> Run:
    with place(scene).view() as (registry, view):
        return Run(place(scene), asked, approve(registry, view, [Question("models/m:1")]))


def test_it_is_renewed_at_half_its_life(scene: Scene) -> None:
    left: list[Left] = []
    run = run_of(scene, report(scene, left, [], life=2))
    run.begin()
    with run:
        deadline = time.monotonic() + 20
        until(lambda: len(left) >= 3)
        assert time.monotonic() < deadline
    run.end()
    assert [one.said.state for one in left] == [STARTED] * (len(left) - 1) + [STOPPED]
    assert len({(one.said.instance, one.said.since) for one in left}) == 1
    assert all(a.said.issued < b.said.issued for a, b in itertools.pairwise(left[:-1]))


def test_a_renewal_that_fails_stops_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    left, said = list[Left](), list[str]()
    run = run_of(scene, report(scene, left, said, life=2))
    run.begin()

    def away(*_: object) -> Any:
        raise Unavailable("the registry is away")

    with monkeypatch.context() as patch:
        patch.setattr("stemma_registry.deploying.leave", away)
        with run:
            until(lambda: len(said) >= 2)
    run.end()
    assert said[0] == "NOT REPORTED again, a new try follows: the registry is away"
    assert [one.said.state for one in left] == [STARTED, STOPPED]


def test_a_signer_that_refuses_keeps_it_from_starting(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise SignatureRefused("the token is gone")

    left: list[Left] = []
    asked = report(scene, left, [])
    monkeypatch.setattr("stemma_registry.deploying.signed_event", refuse)
    command = ["touch", str(scene.work / "ran"), "{path}"]
    serving = Serving(place(scene), Served.of(Question("models/m:1"), []), command, report=asked)
    with pytest.raises(SignatureRefused):
        launching.serve(serving, Job(command, {}), os.environ)
    assert left == []
    assert not (scene.work / "ran").exists()
    assert copies(scene) == []
