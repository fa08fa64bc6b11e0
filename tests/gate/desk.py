"""A registry on disk, the machine that asks about it, and one question asked in four ways."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma_attestations.bundle import Bundle
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.statement import Statement
from stemma_cli import exits
from stemma_registry.blobs.local import LocalStore
from stemma_registry.config import Home
from stemma_registry.signing import keyfile
from tests.calling import Call
from tests.world import commit_all

STRICT = """\
format: urn:stemma:policy:v0.1
rules:
- names: [models/**]
  bom: {licences: [MIT]}
  evidence: [{type: 'https://in-toto.io/attestation/test-result/v0.1'}]
  files: {without: [pickle]}
  approvals: {}
  ancestors: {}
"""
LOOSE = "format: urn:stemma:policy:v0.1\nrules: [{names: ['**']}]\n"
TESTS = "https://in-toto.io/attestation/test-result/v0.1"
WEIGHTS = b"\x02\0\0\0\0\0\0\0{}"  # the smallest safetensors file
GOOD = ("models/m:1", "--policy", "strict.yaml", "--stage", "prod")
MARKS = {"✓": "passed", "✗": "failed", "?": "undecided"}


@dataclass(frozen=True)
class Told:
    """What one question was told, the four ways being one. `steps` is empty without a verdict."""

    code: int
    reason: str
    artifact: str | None
    steps: tuple[dict[str, Any], ...]

    def outcome(self, number: int) -> str:
        """How a step ended."""
        return next(str(s["outcome"]) for s in self.steps if s["number"] == number)

    @property
    def against(self) -> dict[int, list[dict[str, Any]]]:
        """The reasons of the steps that did not pass."""
        return {s["number"]: s["reasons"] for s in self.steps if s["outcome"] != "passed"}


@dataclass
class Desk:
    """Everything is below `folder`: `home`, `registry`, and `work`, where commands run."""

    folder: Path
    call: Call

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def store(self) -> Path:
        return self.folder / "registry"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def catalogue(self) -> Path:
        return Home(self.home).catalogue(LocalStore(self.store).location)

    def run(self, *arguments: str, code: int = 0) -> Any:
        """A command that ends with that code; its JSON."""
        got, out, err = self.call(*arguments, "--json")
        assert got == code, (arguments, out, err)
        return json.loads(out)

    def push(self, name: str, files: dict[str, bytes], *more: str) -> str:
        """Push files; the artifact's digest."""
        folder = self.work / "pushed" / name.replace(":", "/")
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        kind = "model" if name.startswith("models") else "dataset"
        return str(self.run("push", str(folder), name, "--kind", kind, *more)["artifact"])

    def vouch(self, ref: str, result: str = "PASSED") -> None:
        """Evidence about a model, and Ada's approval of it."""
        said = {"result": result, "configuration": [{"name": "suite"}]}
        (self.work / "tests.json").write_text(json.dumps(said))
        self.run("attest", ref, "--predicate", "tests.json", "--type", TESTS)
        self.approve(ref)

    def approve(self, ref: str) -> None:
        self.run("approve", ref, "--stage", "prod", "--reason", "fine", "--sign", "key:ada.pem")

    def build(self) -> None:
        """A model that passes the strict policy, and the dataset that it was trained on."""
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / "train.py").write_text("print('training')\n")
        (self.work / ".gitignore").write_text("*\n!train.py\n!.gitignore\n")
        commit_all(self.work)
        self.run("init")
        for name in ("ada", "stranger"):
            self.run("key", "new", "--out", f"{name}.pem")
        self.run("trust", "add", "ada.pub", "--principal", "ada")
        (self.work / "strict.yaml").write_text(STRICT)
        (self.work / "loose.yaml").write_text(LOOSE)
        self.push("data/raw:1", {"a.csv": b"1,2\n"})
        self.push("models/m:1", {"m.safetensors": WEIGHTS}, *TRAINED)
        self.vouch("models/m:1")

    def blob(self, digest: str) -> Path:
        """Where the store keeps a blob."""
        value = digest.removeprefix("sha256:")
        return self.store / "blobs" / "sha256" / value[:2] / value[2:]

    def bundles(self, ref: str, kind: str) -> list[str]:
        """The bundles of the statements of one type about something."""
        found = self.run("attestations", ref)
        return [one["digest"] for one in found if one["predicate_type"].endswith(kind)]

    def sql(self, statement: str) -> None:
        """Something happens to the catalogue."""
        with sqlite3.connect(self.catalogue) as database:
            assert database.execute(statement).rowcount > 0

    def ask(self, *question: str) -> Told:
        """Ask four ways, and hold the answers against each other."""
        summary, signed = self.work / "plain.vsa", self.work / "signed.vsa"
        summary.write_text('{"left": "by another run"}')
        code, out, _ = self.call("verify", *question, "--vsa", str(summary))
        first = out.partition("\n")[0]
        signing = ("--vsa", str(signed), "--sign", f"key:{self.work / 'ada.pem'}")
        again, json_out, _ = self.call("verify", *question, "--json", *signing)
        assert code == again, (out, json_out)
        document = json.loads(json_out)
        _check_first(first, code, question[0])
        if "error" in document:
            assert document["error"]["code"] == code
            assert out == first + "\n"
            assert not summary.exists(), "that of another run would be taken for this one's"
            assert not signed.exists()
            return Told(code, document["error"]["message"], None, ())
        told = _check_document(document, code)
        assert _printed(out) == [(s["number"], s["title"], s["outcome"]) for s in told.steps]
        shown = _timeless(out)
        for line in [line for step in told.steps for line in step["details"]]:
            assert _timeless(f"\n      {line}")[1:-1] in shown
        _check_summary(Statement.parse(summary.read_bytes()), told)
        public = keyfile.load(str(self.work / "ada.pem"), lambda: None).public
        _check_summary(Bundle.parse(signed.read_bytes()).verify(public), told)
        _check_summary(Statement.parse(json.dumps(document["vsa"]).encode()), told)
        signed.unlink()
        return told


TRAINED = ("--input", "trained-on=data/raw:1", "--param", "license=MIT")


def restore(saved: Path, folder: Path) -> None:
    """Put everything back as it was saved, at the same place."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder, symlinks=True)


def _check_first(first: str, code: int, subject: str) -> None:
    """The first line says yes exactly where the exit code does, and the code else."""
    if code == exits.DONE:
        assert first == f"VERIFIED  {subject}"
    else:
        assert first.startswith("NOT VERIFIED (")
        assert f"exit {code})  {subject}" in first


def _check_document(document: dict[str, Any], code: int) -> Told:
    steps = tuple(document["steps"])
    passed = all(step["outcome"] == "passed" for step in steps)
    assert (document["verified"], document["code"]) == (code == 0, code) == (passed, code)
    assert (document["reason"] is None) == (document["kind"] is None) == passed
    for step in steps:
        assert bool(step["reasons"]) == (step["outcome"] != "passed")
        texts = [reason["text"] for reason in step["reasons"]]
        assert set(texts) <= set(step["details"])
        assert all(reason["code"] for reason in step["reasons"])
    if not passed:
        told = document["reason"].removeprefix(f"{document['resource']}: ")
        assert told in [line for step in steps for line in step["details"]]
    return Told(code, document["reason"] or "", document["artifact"], steps)


def _check_summary(statement: Statement, told: Told) -> None:
    assert statement.predicate_type == vsa.TYPE
    (subject,) = statement.subjects
    assert [str(digest) for digest in subject.digests] == [told.artifact]
    view = vsa.parse(statement.predicate)
    assert view.passed == (told.code == 0)
    assert statement.predicate["verificationResult"] == ("FAILED" if told.code else "PASSED")
    assert told.artifact is not None
    assert view.resource.endswith(told.artifact)
    assert _timeless(view.steps) == _timeless(told.steps)


def _timeless(steps: object) -> str:
    """Without how old the status is: the questions are asked one after the other."""
    return re.sub(r"(, at most|the status is) \w+ old", "", json.dumps(steps, sort_keys=True))


def _printed(out: str) -> Sequence[tuple[int, str, str]]:
    """The numbered lines of what is printed for people."""
    found = []
    for line in out.splitlines():
        mark, _, rest = line.removeprefix("  ").partition(" ")
        number, _, title = rest.partition(" ")
        if mark in MARKS and number.isdecimal() and not line.startswith("   "):
            found.append((int(number), title, MARKS[mark]))
    return found
