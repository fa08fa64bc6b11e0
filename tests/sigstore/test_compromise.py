"""A signer upstream is revoked since a time: what he had provably signed before stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calling import caller
from tests.sigstore.stack import LocalSigstore
from tests.world import commit_all

LATER = "2099-01-01T00:00:00Z"
BEFORE = "2020-01-01T00:00:00Z"
POLICY = "format: urn:stemma:policy:v0.1\nrules: [{names: ['**'], ancestors: {}}]\n"


class Desk:
    """The owner's home and checkout; the curator has a key of his own, `curator.pem`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], stack: LocalSigstore) -> None:
        self.call = caller(capsys)
        self.stamped = ("--timestamp", f"{stack.url}/api/v1/timestamp")
        Path("root.json").write_bytes(stack.trusted_root())
        Path("train.py").write_text("print('training')\n")
        Path(".gitignore").write_text("*\n!train.py\n!.gitignore\n")
        commit_all(Path())
        Path("policy.yaml").write_text(POLICY)
        self.run("init")
        self.run("key", "new", "--out", "curator.pem")
        self.run("trust", "add", "curator.pub", "--principal", "curator")
        self.run("trust", "time", "add", "root.json")

    def run(self, *arguments: str) -> Any:
        code, out, err = self.call(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def push(self, name: str, *options: str) -> None:
        folder = Path("pushed") / name.replace(":", "/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data").write_text(name)
        self.run("push", str(folder), name, "--kind", "dataset", *options)

    def codes(self, *names: str) -> list[int]:
        return [self.call("verify", name, "--policy", "policy.yaml")[0] for name in names]

    def attested(self, name: str) -> int:
        _, out, _ = self.call("verify", name, "--policy", "policy.yaml", "--coverage", "--json")
        return int(json.loads(out)["coverage"]["attested"])


@pytest.fixture
def desk(
    tmp_path: Path,
    sigstore: LocalSigstore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Desk(capsys, sigstore)


def test_a_curator_is_revoked_as_of_a_time(desk: Desk) -> None:
    curator = ("--sign", "key:curator.pem")
    desk.push("data/dated:1", *curator, *desk.stamped)
    desk.push("data/bare:1", *curator)
    desk.push("data/stopped:1")
    stop = ("quarantine", "data/stopped:1", "--reason", "bad", *curator)
    desk.run(*stop, *desk.stamped)
    for word in ("dated", "bare", "stopped"):
        desk.push(f"models/{word}:1", "--input", f"trained-on=data/{word}:1")
    desk.push("models/two:1", "--input", "trained-on=models/dated:1")
    names = [f"models/{word}:1" for word in ("dated", "two", "bare", "stopped")]
    assert desk.codes(*names) == [0, 0, 0, 11]
    assert desk.attested("models/two:1") == 2
    trust = Path("../home/trust.yaml")
    whole = trust.read_bytes()
    # As of a time after what is dated: that stays, with all that descends from it.
    desk.run("trust", "revoke", "curator", "--at", LATER)
    assert desk.codes(*names) == [0, 0, 10, 11]
    assert (desk.attested("models/two:1"), desk.attested("models/bare:1")) == (2, 0)
    # As of a time before: nothing that he said is left, the stop neither.
    trust.write_bytes(whole)
    desk.run("trust", "revoke", "curator", "--at", BEFORE)
    assert desk.codes(*names) == [10, 10, 10, 0]
    assert desk.attested("models/two:1") == 1
    # The same data, vouched for by the owner.
    desk.push("data/dated:1")
    desk.push("data/bare:1")
    assert desk.codes(*names) == [0, 0, 0, 0]
