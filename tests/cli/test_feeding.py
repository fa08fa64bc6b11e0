"""`stemma feed` from the command line, and the hook of `quarantine` and `release`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.calling import Call as Run
from tests.calling import caller
from tests.programs import require_program
from tests.world import commit_all

ROOTS = ("--root-key", "key:one.pem", "--root-key", "key:two.pem")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`stemma ...` beside a registry with one dataset and a feed; the root keys in `.`."""
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
    for name in ("one", "two", "three"):
        assert call("key", "new", "--out", f"{name}.pem")[0] == 0
    assert call("feed", "init", *ROOTS, "--out", "ROOT.json")[0] == 0
    return call


def fetched(run: Run, *arguments: str) -> dict[str, object]:
    code, out, err = run("feed", "fetch", "--json", *arguments)
    assert (code, err) == (0, ""), out
    found: dict[str, object] = json.loads(out)
    return found


def test_quarantine_returns_after_the_feed_is_published(run: Run) -> None:
    assert fetched(run)["quarantines"] == []
    code, out, err = run("quarantine", "acme/data:1", "--reason", "bad", "--json")
    said = json.loads(out)["feed"]
    assert (code, err, said["published"], said["reason"]) == (0, "", True, None)
    assert fetched(run)["quarantines"]
    code, out, _ = run("release", "acme/data:1", "--reason", "good", "--json")
    assert (code, json.loads(out)["feed"]["published"]) == (0, True)
    assert fetched(run)["quarantines"] == []


def test_without_the_online_key_quarantine_says_so_loudly(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "home" / "feed.pem"
    key.rename(tmp_path / "away.pem")
    code, out, err = run("quarantine", "acme/data:1", "--reason", "bad", "--json")
    said = json.loads(out)["feed"]
    assert (code, said["published"], said["version"]) == (0, False, None)
    assert "not at hand" in said["reason"]
    assert err.startswith("NOT IN THE STATUS FEED: ")
    assert fetched(run)["quarantines"] == []
    code, out, _ = run("feed", "refresh", "--online-key", f"key:{tmp_path / 'away.pem'}", "--json")
    assert (code, json.loads(out)["changed"]) == (0, True)
    assert fetched(run)["quarantines"]


def test_the_configuration_names_the_keys(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "feed.pem").rename(tmp_path / "away.pem")
    (home / "config.yaml").write_text(f"feed:\n  online_key: key:{tmp_path / 'away.pem'}\n")
    assert run("feed", "refresh")[0] == 0
    (home / "config.yaml").write_text("feed:\n  onlinekey: x\n")
    assert run("feed", "refresh")[0] == 2


def test_another_machine_pins_the_root(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tmp_path / "home" / "trust.yaml", "trust.yaml")
    shutil.copytree(tmp_path / "registry" / "status" / "feed", tmp_path / "mirror")
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "gate"))
    code, _, err = run("feed", "fetch")
    assert (code, "stemma feed trust" in err) == (3, True)
    assert run("feed", "trust", "one.pub")[0] == 2
    code, out, _ = run("feed", "trust", "ROOT.json", "--from", str(tmp_path / "mirror"), "--json")
    assert (code, json.loads(out)["source"]) == (0, str(tmp_path / "mirror"))
    (tmp_path / "registry").rename(tmp_path / "gone")
    assert fetched(run, "--max-age", "15m", "--trust", "trust.yaml")["checkpoint_by"] == "owner"
    assert fetched(run)["checkpoint_by"] is None  # a home that believes nobody
    code, out, _ = run("feed", "fetch", "--max-age", "0s", "--json")
    assert run("feed", "fetch", "--max-age", "soon")[0] == 2


def test_roots_are_rotated(run: Run) -> None:
    keys = json.loads(run("feed", "show", "--json")[1])["keys"]["root"]
    assert (keys["threshold"], len(keys["ids"])) == (2, 2)
    code, _, err = run("feed", "rotate", "--root-key", "key:one.pem", "--add-key", "three.pub")
    assert (code, "asks for 2 signatures" in err) == (1, True)
    assert run("feed", "rotate", *ROOTS, "--add-key", "three.pub")[0] == 0
    assert run("key", "new", "--out", "online.pem")[0] == 0
    code, out, _ = run("feed", "rotate", *ROOTS, "--online-key", "key:online.pem", "--json")
    assert (code, json.loads(out)) == (0, {"version": 3, "published": True})
    fetched(run)
    assert run("feed", "refresh")[0] == 1  # with the key in the home, which is no longer one
    assert run("feed", "refresh", "--online-key", "key:online.pem")[0] == 0
    assert run("feed", "init", *ROOTS)[0] == 1


def test_the_feed_is_part_of_a_registry(run: Run) -> None:
    report = json.loads(run("audit", "--json")[1])
    assert (report["whole"], report["strays"]) == (True, [])


def test_who_believes_nobody_is_told_that_something_stands(run: Run, tmp_path: Path) -> None:
    assert run("quarantine", "acme/data:1", "--reason", "bad")[0] == 0
    assert fetched(run)["unbelieved"] == 0
    (tmp_path / "nobody.yaml").write_text("format: urn:stemma:trust-root:v0.1\nsigners: []\n")
    code, out, err = run("feed", "fetch", "--trust", str(tmp_path / "nobody.yaml"))
    assert (code, "nothing is quarantined" in out) == (0, True)
    assert "1 more stand on a word that is not believed" in err


def test_a_registry_without_a_feed(run: Run, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "registry" / "status" / "feed")
    for command in ("publish", "refresh", "show"):
        code, _, err = run("feed", command)
        assert (code, "stemma feed init" in err) == (3, True)
    code, out, err = run("quarantine", "acme/data:1", "--reason", "bad", "--json")
    assert (code, json.loads(out)["feed"], err) == (0, None, "")


@pytest.mark.parametrize(("ahead", "code"), [("+10m", 0), ("+16m", 14), ("+40d", 14)])
def test_a_frozen_feed_by_the_clock_of_the_machine(run: Run, ahead: str, code: int) -> None:
    """The real command line, on a machine whose clock goes on while the feed stands still."""
    faketime = require_program("faketime")
    command = [faketime, "-f", ahead, sys.executable, "-m", "stemma_cli.main", "feed", "fetch"]
    path = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    if code:
        assert "expired" in done.stderr
