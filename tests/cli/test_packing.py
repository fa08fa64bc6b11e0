"""`stemma dossier` and `stemma verify --dossier` from the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stemma_cli import exits
from tests.calling import Call as Run
from tests.calling import caller
from tests.world import commit_all

WORDS = ("attested", "admitted", "signed", "claimed", "incomplete", "unknown")
DEAD = """
import os, signal, sys
from stemma_cli.main import main
def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
os.replace = die
main(sys.argv[1:])
"""
# Opens no socket, and no registry: what cannot be reached is not asked.
ALONE = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("a socket")
socket.socket.connect = refuse
from stemma_registry import registry
registry.open_store = registry.open_registry = refuse
from stemma_cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`stemma ...` beside a registry with `acme/model:1`, which was trained on `acme/data:1`."""
    work = tmp_path / "work"
    for name in ("data", "model"):
        (work / name).mkdir(parents=True)
        (work / name / "a.bin").write_text(f"{name}\n")
    commit_all(work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STEMMA_REGISTRY", str(tmp_path / "registry"))
    call = caller(capsys)
    assert call("init")[0] == 0
    assert call("push", "data", "acme/data:1", "--kind", "dataset")[0] == 0
    with_data = ("--kind", "model", "--input", "trained-on=acme/data:1")
    assert call("push", "model", "acme/model:1", *with_data)[0] == 0
    return call


def verify(run: Run, *arguments: str) -> tuple[int, dict[str, object]]:
    code, out, _ = run("verify", "model", "--dossier", "m.dossier", "--json", *arguments)
    document: dict[str, object] = json.loads(out)
    if "error" in document:
        return code, dict(document["error"])  # type: ignore[call-overload]
    assert document["code"] == code
    return code, document


def stemma(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )


def test_from_one_end_to_the_other(run: Run, tmp_path: Path) -> None:
    code, out, err = run("dossier", "acme/model:1", "m.dossier", "--json", "--stage", "prod")
    made = json.loads(out)
    assert (code, err, made["warnings"], made["stage"]) == (0, "", [], "prod")
    assert made["size"] == Path("m.dossier").stat().st_size
    shutil.rmtree(tmp_path / "registry")
    code, said = verify(run, "--as", "acme/model:1", "--vsa", "vsa.json", "--coverage")
    assert (code, said["verified"], said["stage"]) == (0, True, "prod")
    assert said["artifact"] == made["artifact"]
    assert said["vsa"] == json.loads(Path("vsa.json").read_text())
    assert said["coverage"] == {**dict.fromkeys(WORDS, 0), "attested": 1}
    found = stemma(ALONE, "verify", "model", "--dossier", "m.dossier")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("VERIFIED  model")
    code, out, _ = run("dossier", "--show", "m.dossier", "--json")
    shown = json.loads(out)
    assert (code, shown["artifact"], shown["expired"]) == (0, made["artifact"], False)
    assert sum(shown["members"].values()) == made["members"]
    assert run("dossier", "--show", "m.dossier")[0] == 0


def test_what_is_wrong_has_its_exit_code(run: Run) -> None:
    assert run("dossier", "acme/model:1", "m.dossier")[0] == 0
    good = Path("m.dossier").read_bytes()
    Path("m.dossier").write_bytes(good[:-1])
    code, said = verify(run)
    assert (code, said["code"], said["kind"]) == (10, 10, "BadDossier")
    code, out, err = run("verify", "model", "--dossier", "m.dossier")
    assert (code, out) == (10, "NOT VERIFIED (exit 10)  model\n")
    assert "ends too early" in err
    Path("m.dossier").write_bytes(good)
    assert verify(run, "--as", "acme/other:1")[0] == 10
    assert verify(run, "--max-age", "15m")[0] == 14
    assert verify(run, "--policy", "starter")[0] == 14
    Path("model/a.bin").write_text("other\n")
    code, said = verify(run)
    assert (code, said["kind"]) == (12, "BytesDiffer")
    assert run("verify", "model", "--dossier", "none")[0] == exits.NOT_FOUND
    assert run("dossier", "acme/none:1", "x")[0] == exits.NOT_FOUND


def test_the_trust_root_is_the_machines(run: Run, tmp_path: Path) -> None:
    assert run("dossier", "acme/model:1", "m.dossier")[0] == 0
    _, out, _ = run("dossier", "--show", "m.dossier", "--json")
    digest = json.loads(out)["trust_root"]
    home = tmp_path / "home"
    (home / "trust.yaml").rename(tmp_path / "trust.yaml")
    shutil.rmtree(tmp_path / "registry")
    assert verify(run)[0] == 13  # the one in the file is nobody's pin
    assert verify(run, "--trust", digest)[0] == 0
    (home / "config.yaml").write_text(f"trust: {digest}\n")
    assert verify(run)[0] == 0
    other = "sha256:" + "0" * 64
    assert verify(run, "--trust", other)[0] == 14
    assert verify(run, "--trust", str(tmp_path / "trust.yaml"))[0] == 0


def test_a_quarantine_refuses_to_pack(run: Run) -> None:
    assert run("quarantine", "acme/data:1", "--reason", "bad")[0] == 0
    code, _, err = run("dossier", "acme/model:1", "m.dossier")
    assert code == 11
    assert "acme/data:1 is quarantined" in err
    assert not Path("m.dossier").exists()


def test_the_policy_of_the_home_comes_before_that_of_the_dossier(run: Run, tmp_path: Path) -> None:
    rules = "format: urn:stemma:policy:v0.1\nrules:\n- {names: ['%s']}\n"
    Path("wide.yaml").write_text(rules % "acme/*")
    assert run("dossier", "acme/model:1", "m.dossier", "--policy", "wide.yaml")[0] == 0
    Path("wide.yaml").unlink()
    code, said = verify(run)
    assert (code, said["policy"]["name"]) == (0, "wide.yaml")  # type: ignore[index]
    (tmp_path / "home" / "config.yaml").write_text("policy: own.yaml\n")
    assert verify(run)[0] == exits.NOT_FOUND  # it is named, and not there
    (tmp_path / "home" / "own.yaml").write_text(rules % "other/*")
    code, said = verify(run)
    assert (code, said["policy"]["name"]) == (10, "own.yaml")  # type: ignore[index]
    assert verify(run, "--policy", "builtin")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("dossier",),
        ("dossier", "acme/model:1"),
        ("dossier", "acme/model:1", "a", "b"),
        ("dossier", "--show", "a", "b"),
        ("dossier", "--show", "a", "--stage", "prod"),
        ("dossier", "acme/model:1", "m.dossier", "--expires", "soon"),
    ],
)
def test_how_it_is_called(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == exits.USAGE


def test_what_does_not_go_together(run: Run) -> None:
    assert run("dossier", "acme/model:1", "m.dossier", "--expires", "91d")[0] == exits.UNEXPECTED
    assert run("dossier", "acme/model:1", "m.dossier")[0] == 0
    Path("layout").write_text("{}")
    assert run("key", "new", "--out", "k.pem")[0] == 0
    layout = ("--layout", "layout", "--layout-key", "k.pub")
    assert run("verify", "model", "--dossier", "m.dossier", *layout)[0] == exits.USAGE


def test_killed_while_it_is_written(run: Run) -> None:
    killed = stemma(DEAD, "dossier", "acme/model:1", "m.dossier")
    assert killed.returncode == -signal.SIGKILL
    assert not Path("m.dossier").exists()
    assert run("dossier", "acme/model:1", "m.dossier")[0] == 0
    before = Path("m.dossier").read_bytes()
    assert stemma(DEAD, "dossier", "acme/data:1", "m.dossier").returncode == -signal.SIGKILL
    assert Path("m.dossier").read_bytes() == before


def test_a_feed_that_is_static_files(run: Run, tmp_path: Path) -> None:
    assert run("key", "new", "--out", "root.pem")[0] == 0
    assert run("feed", "init", "--root-key", "key:root.pem", "--out", "ROOT.json")[0] == 0
    feed, mirror = tmp_path / "registry" / "status" / "feed", tmp_path / "mirror"

    def mirrored() -> None:
        shutil.rmtree(mirror, ignore_errors=True)
        shutil.copytree(feed, mirror)

    mirrored()
    assert run("feed", "trust", "ROOT.json", "--from", str(mirror))[0] == 0
    assert run("dossier", "acme/model:1", "m.dossier", "--policy", "starter")[0] == 0
    (tmp_path / "registry").rename(tmp_path / "gone")
    code, said = verify(run, "--max-age", "15m")
    assert (code, said["status_age"] is not None) == (0, True)
    assert verify(run)[0] == 0  # the policy of the dossier asks for at most 1 h
    (tmp_path / "gone").rename(tmp_path / "registry")
    assert run("quarantine", "acme/data:1", "--reason", "poison")[0] == 0
    mirrored()
    (tmp_path / "registry").rename(tmp_path / "gone")
    code, said = verify(run, "--max-age", "15m")
    assert (code, said["kind"]) == (11, "Quarantined")
    shutil.rmtree(mirror)
    assert verify(run, "--max-age", "15m")[0] == 11  # what was seen stays
