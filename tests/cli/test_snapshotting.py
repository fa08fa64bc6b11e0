"""`stemma snapshot` from the command line, and what a second home makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemma_registry.catalogue import snapshots
from stemma_registry.config import Limits
from tests.calling import Call as Run
from tests.calling import caller
from tests.world import commit_all


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`stemma ...` beside a registry with one dataset."""
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    (work / "data" / "a.csv").write_text("1,2\n")
    commit_all(work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STEMMA_REGISTRY", str(tmp_path / "registry"))

    call = caller(capsys)
    assert call("init")[0] == 0
    assert call("push", "data", "acme/data:1", "--kind", "dataset")[0] == 0
    return call


def test_what_it_says(run: Run) -> None:
    code, out, err = run("snapshot", "--json")
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert (said["written"], said["head"], said["n"], said["segments"]) == (True, 1, 1, 0)
    assert len(said["chunks"]) == 1
    code, out, err = run("snapshot")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first == "wrote 0 segments of 1000 ledger entries"
    assert second.startswith("there is a snapshot at entry 1: ")
    assert second.endswith(" in 1 chunk")


def test_a_key_that_nobody_trusts_signs_none(run: Run, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    assert run("key", "new", "--out", str(stranger))[0] == 0
    code, out, err = run("snapshot", "--sign", f"key:{stranger}")
    assert (code, out) == (1, "")
    assert "nobody would believe the snapshot" in err
    assert not (tmp_path / "registry" / snapshots.KEY).exists()


def test_a_fresh_home_begins_with_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("snapshot")[0] == 0
    first = json.loads(run("list", "--json")[1])
    monkeypatch.setattr(snapshots, "LIMITS", Limits(snapshot_entries=1))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "trust.yaml").write_bytes((tmp_path / "home" / "trust.yaml").read_bytes())
    monkeypatch.setenv("STEMMA_HOME", str(fresh))
    adopted = []
    load = snapshots._load
    monkeypatch.setattr(
        snapshots, "_load", lambda *given: adopted.append(load(*given)) or adopted[-1]
    )
    assert json.loads(run("list", "--json")[1]) == first
    assert adopted == [True]
    assert run("verify", "acme/data:1")[0] == 0
