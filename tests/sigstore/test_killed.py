"""kill -9 in a push that an identity signs: it is there or not, and the next one goes well."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.faults.commands import acknowledged, pushed
from tests.faults.scene import NEW, PUSH_NEW, Scene
from tests.faults.tracer import REACHED, points, sample, traced
from tests.sigstore.stack import LocalSigstore
from tests.zygote import shared

pytestmark = pytest.mark.faults
ALICE = "alice@example.com"


@pytest.fixture
def believing(sigstore: LocalSigstore, tmp_path: Path) -> tuple[Scene, tuple[str, ...]]:
    """A scene that believes Alice, and the push that she signs."""
    scene = Scene.build(tmp_path / "scene", shared())
    config, token = tmp_path / "config.json", tmp_path / "token"
    config.write_bytes(sigstore.trust_config())
    token.write_text(sigstore.oidc.token("alice", email=ALICE, lifetime=3600))
    root = scene.run("trust", "root", "add", config, "--json").expect(0).document["root"]
    identity = ("--identity", ALICE, "--issuer", sigstore.oidc.url, "--root", root)
    scene.run("trust", "add", *identity, "--principal", "alice").expect(0)
    uri = f"sigstore:?trust-config={quote(str(config))}&token-file={quote(str(token))}"
    return scene, (*PUSH_NEW, "--sign", uri)


def campaign(believing: tuple[Scene, tuple[str, ...]], most: int) -> None:
    scene, argv = believing
    folders = (scene.folder.with_name(f"copy{n}") for n in range(10_000))
    baseline = traced(scene.copy(next(folders)), *argv)
    baseline.finished.expect(0)
    killed, chosen = 0, sample(points(baseline), most)
    for call, when in chosen:
        copy = scene.copy(next(folders))
        run = traced(copy, *argv, inject=f"{call}:signal=KILL:when={when}")
        assert run.killed or run.finished.code == 0, run.finished
        killed += run.killed
        pushed(copy, argv, "data/new:1", NEW, acknowledged(run.finished))
        copy.remove()
    assert killed >= len(chosen) * REACHED


def test_killed_at_a_sample_of_calls(believing: tuple[Scene, tuple[str, ...]]) -> None:
    campaign(believing, 4)


@pytest.mark.slow
def test_killed_at_every_call(believing: tuple[Scene, tuple[str, ...]]) -> None:
    campaign(believing, 10_000)
