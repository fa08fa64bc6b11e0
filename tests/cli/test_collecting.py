"""`stemma gc` and `stemma erase` from the command line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.local import LocalStore
from stemma_registry.care import leases
from tests.calling import Call as Run
from tests.calling import caller
from tests.world import commit_all

PERSONAL = b"ada,1815\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`stemma ...` beside a registry with a dataset of two files in it."""
    work = tmp_path / "work"
    (work / "people").mkdir(parents=True)
    (work / "people" / "people.csv").write_bytes(PERSONAL)
    (work / "people" / "README").write_text("about people\n")
    commit_all(work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))

    call = caller(capsys)
    assert call("init")[0] == 0
    assert call("push", "people", "acme/people:1", "--kind", "dataset")[0] == 0
    return call


def document(run: Run, *arguments: str) -> Any:
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def surplus(run: Run, tmp_path: Path) -> Digest:
    """A blob that a push has left behind."""
    return put_bytes(LocalStore(tmp_path / "home" / "registry"), b"left behind")


# --- gc ---------------------------------------------------------------------------------------


def test_gc_shows_by_default_and_changes_nothing(run: Run, surplus: Digest) -> None:
    code, out, _ = run("gc")
    assert code == 0
    assert "to be condemned (nothing refers to them): 1 blob, 11 B" in out
    assert surplus.short in out
    assert "nothing was changed" in out
    assert document(run, "gc", "--dry-run")["to_condemn"] == [
        {"blob": str(surplus), "size": 11, "due": None}
    ]
    assert run("audit")[0] == 0


def test_gc_condemns_waits_and_deletes(run: Run, surplus: Digest) -> None:
    done = document(run, "gc", "--yes")
    assert (done["condemned"], done["deleted"]) == (1, 0)
    assert [item["blob"] for item in done["after"]["waiting"]] == [str(surplus)]
    code, out, _ = run("gc")
    assert "condemned, waiting: 1 blob, 11 B" in out
    assert "UTC" in out
    time.sleep(1.1)  # entries are written to the second
    assert document(run, "gc", "--grace", "0s")["bytes_to_delete"] == 11
    code, out, _ = run("gc", "--yes", "--grace", "0s")
    assert code == 0
    assert "deleted   1 blob, 11 B" in out
    seen = document(run, "audit")
    assert seen["whole"]
    assert not seen["surplus"]
    assert run("verify", "acme/people:1")[0] == 0


@pytest.mark.parametrize("arguments", [("--grace", "soon"), ("--grace", "-1d"), ("--yes",) * 2])
def test_gc_refuses_what_it_does_not_understand(run: Run, arguments: tuple[str, ...]) -> None:
    if arguments == ("--yes", "--yes"):
        arguments = ("--yes", "--dry-run")
    assert run("gc", *arguments)[0] == 2


def test_gc_needs_a_key_only_to_act(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / "key.pem").unlink()
    assert run("gc")[0] == 0
    assert run("gc", "--yes")[0] == 3


# --- erase ------------------------------------------------------------------------------------


def test_erase_asks_first(run: Run) -> None:
    code, out, err = run("erase", "acme/people:1", "--path", "people.csv", "--reason", "asked")
    assert code == 2
    assert "acme/people:1  people.csv" in out
    assert "--yes" in err
    assert run("verify", "acme/people:1")[0] == 0
    seen = document(run, "erase", str(Digest.of(PERSONAL)), "--reason", "asked", "--dry-run")
    assert seen["needed_by"][0]["name"] == "acme/people:1"
    assert (seen["dry_run"], seen["entry"], seen["size"]) == (True, None, len(PERSONAL))


def test_every_question_says_what_was_erased(run: Run, tmp_path: Path) -> None:
    arguments = ("acme/people:1", "--path", "people.csv", "--reason", "a person asked")
    done = document(run, "erase", *arguments, "--yes")
    assert done["blob"] == str(Digest.of(PERSONAL))
    assert isinstance(done["entry"], int)
    for code, command in (
        (12, ("verify", "acme/people:1")),
        (12, ("pull", "acme/people:1", "out")),
        (1, ("push", "people", "acme/people:2", "--kind", "dataset")),
        (0, ("show", "acme/people:1")),
        (0, ("trace", "acme/people:1")),
        (0, ("log",)),
        (0, ("audit",)),
    ):
        found, out, err = run(*command)
        assert found == code, (command, out, err)
        assert "a person asked" in out + err, command
    assert not Path("out").exists()
    assert document(run, "show", "acme/people:1")["erased"][0]["path"] == "people.csv"
    assert str(Digest.of(PERSONAL)) in run("audit", "--json")[1]
    assert PERSONAL not in b"".join(
        path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()
    )


def test_erase_refuses_what_lineage_rests_on(run: Run) -> None:
    artifact = document(run, "show", "acme/people:1")["digest"]
    code, _, err = run("erase", artifact, "--reason", "x", "--yes")
    assert code == 1
    assert "only contents of files are erased" in err
    assert run("erase", f"sha256:{'0' * 64}", "--reason", "x", "--yes")[0] == 3


def test_an_erasure_that_was_cut_off_is_told_and_finished(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stemma_registry.errors import Temporary

    delete, passed = LocalStore.delete, list[float]()
    monkeypatch.setattr(leases, "elapsed", lambda: sum(passed))
    monkeypatch.setattr(leases, "pause", passed.append)

    def fails(self: LocalStore, digest: Digest) -> None:
        raise Temporary("not now")

    monkeypatch.setattr(LocalStore, "delete", fails)
    arguments = ("acme/people:1", "--path", "people.csv", "--reason", "a person asked", "--yes")
    code, _, err = run("erase", *arguments)
    assert code == 14
    assert "stemma gc --yes" in err
    assert run("verify", "acme/people:1")[0] == 12
    assert "still there" in run("audit")[1]
    assert "the bytes are still there" in run("gc")[1]
    monkeypatch.setattr(LocalStore, "delete", delete)
    code, out, err = run("gc", "--yes")
    assert code == 0
    assert "waiting for at most 10 minutes" in err
    assert "erased    1 blob" in out
    assert "still there" not in run("audit")[1]
