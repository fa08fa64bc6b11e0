"""`stemma pull --verified`: what an init container does. DIR is there after a yes only."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma_attestations.errors import Quarantined
from stemma_registry.serving.asking import Place, Question
from stemma_registry.serving.pulling import pull_verified
from tests.faults.scene import Scene, one_line

MODEL = {"w.bin": b"weights", "config.json": b"{}"}
PULL = ("pull", "models/m:1", "out", "--verified")
POLICY = """format: urn:stemma:policy:v0.1
rules:
  - names: ["models/**"]
    stages: [prod]
"""


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def test_a_yes_is_a_directory_that_others_can_read(template: Scene, tmp_path: Path) -> None:
    """The folder above is as container platforms mount it: everybody may write to it."""
    tmp_path.chmod(0o777)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    trust = template.seat.home / "trust.yaml"
    pinned = f"{trust}@sha256:{hashlib.sha256(trust.read_bytes()).hexdigest()}"
    argv = ("pull", "models/m:1", tmp_path / "out", "--verified", "--json")
    done = template.run(*argv, "--trust", pinned, "--policy", policy, "--stage", "prod").expect(0)
    assert done.document["verified"] is True
    assert done.document["name"] == "models/m:1"
    assert files(tmp_path / "out") == MODEL
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert (modes, stat.S_IMODE((tmp_path / "out").stat().st_mode)) == ({0o644}, 0o755)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "policy.yaml"]
    assert (
        "models/m:1  verified, in " in template.run("pull", *PULL[1:2], tmp_path / "b", PULL[3]).out
    )


def quarantined(scene: Scene) -> None:
    scene.run("quarantine", "data/raw:1", "--reason", "bad").expect(0)


def tampered(scene: Scene) -> None:
    artifact = scene.names()["models/m:1"]["artifact"]
    blob = scene.blob(f"sha256:{scene.files_of(artifact)[-1]}")
    blob.chmod(0o644)
    blob.write_bytes(b"WEIGHTS" if blob.read_bytes() == b"weights" else b"[]")


def nobody(scene: Scene) -> None:
    trust = scene.seat.home / "trust.yaml"
    trust.unlink()
    scene.run("key", "new", "--out", scene.work / "other.pem").expect(0)
    scene.run("trust", "add", scene.work / "other.pub", "--principal", "other").expect(0)


def gone(scene: Scene) -> None:
    scene.registry.rename(scene.folder / "elsewhere")


NOES: dict[str, tuple[Callable[[Scene], None] | None, tuple[str, ...], int]] = {
    "quarantined": (quarantined, (), 11),
    "other bytes": (tampered, (), 12),
    "an unknown signer": (nobody, (), 13),
    "a registry that is gone": (gone, (), 3),
    "the starter policy": (None, ("--policy", "starter"), 14),
    "an unknown stage": (None, ("--stage", "moon"), 10),
    "no stage": (None, ("--stage", ""), 10),
    "a status that nothing proves": (None, ("--max-age", "15m"), 14),
    "an age that is none": (None, ("--max-age", ""), 2),
    "no such policy": (None, ("--policy", "policy.yaml"), 3),
    "no such trust root": (None, ("--trust", "trust.yaml"), 3),
    "both": (None, ("--quarantined",), 2),
}


@pytest.mark.parametrize("case", NOES)
def test_after_a_no_there_is_nothing(scene: Scene, case: str) -> None:
    harm, options, code = NOES[case]
    if harm is not None:
        harm(scene)
    for also in ((), ("--json",)):
        done = scene.run(*PULL, *options, *also)
        assert done.code == code, done
        if code != 2:
            one_line(done)
        assert not (scene.work / "out").exists()
        assert scene.leftovers() == []


@pytest.mark.parametrize("option", ["--trust", "--policy", "--stage", "--max-age"])
def test_what_is_for_the_gate_is_not_taken_without_it(template: Scene, option: str) -> None:
    assert template.run("pull", "models/m:1", "out", option, "").code == 2
    assert not (template.work / "out").exists()


def test_a_directory_is_no_reference(scene: Scene) -> None:
    assert scene.run("pull", "model", "out", "--verified").code == 2
    assert not (scene.work / "out").exists()


def test_what_is_there_stays(scene: Scene) -> None:
    scene.write("work/out", {"old": b"old"})
    assert scene.run(*PULL).code == 1
    assert files(scene.work / "out") == {"old": b"old"}


def test_what_is_stopped_while_it_is_copied_is_not_there(scene: Scene) -> None:
    calls = []

    def advance(_count: int) -> None:
        calls.append(len(calls))
        if len(calls) == 3:  # two files were hashed, and the first is being written
            quarantined(scene)

    advance.expect = lambda _size: None  # type: ignore[attr-defined]
    place = Place.of({}, str(scene.registry), scene.seat.home)
    target = scene.work / "out"
    with pytest.raises(Quarantined, match="bad"):
        pull_verified(place, Question("models/m:1"), target, advance)  # type: ignore[arg-type]
    assert len(calls) >= 4
    assert not target.exists()
    assert scene.leftovers() == []
