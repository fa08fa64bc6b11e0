"""Packages and records that are stopped, and traces of records and tensors, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import provenance
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry import signing
from tests.cli.test_commands import Run, filled, run
from tests.tensors import models

__all__ = ["filled", "run"]

PACKAGE = "pkg:pypi/sqlalchemy@>=2,<3"
WHY = ("--reason", "malware")


def test_a_package_is_previewed_stopped_and_released(filled: Run) -> None:
    dry = filled("quarantine", PACKAGE, *WHY, "--dry-run")
    assert dry.code == 0, dry.err
    assert f"would stop  whatever has {PACKAGE}\n  has it, as its BOM says: 4\n" in dry.out
    assert "by kind: 2 dataset, 2 model" in dry.out
    assert filled("verify", "models/m:1").code == 0
    done = filled("--json", "quarantine", PACKAGE, *WHY).json
    assert done["criterion"] == {
        "type": "package",
        "package": "pkg:pypi/sqlalchemy",
        "versions": ">=2,<3",
    }
    assert all(one["met"] and one["blocked"] for one in done["affected"])
    refused = filled("verify", "models/m:1")
    assert refused.code == 11
    assert f"{PACKAGE} is stopped: malware" in refused.out
    assert "STOPPED (package)" in filled("trace", "data/raw:1").out
    assert "package" in filled("list").out
    assert "is stopped by owner" in filled("show", "models/m:1").out
    assert f"quarantine  {PACKAGE}  by owner" in filled("log", "--limit", "1").out
    assert filled("incident", done["quarantine"]).out.startswith("# Incident sha256:")
    assert filled("--json", "incident", PACKAGE).json["state"] == "in force"
    assert len(filled("--json", "plan", PACKAGE).json["bad"]) == 4
    other = filled("release", "pkg:pypi/sqlalchemy", *WHY)
    assert (other.code, "no quarantine of pkg:pypi/sqlalchemy stands" in other.err) == (3, True)
    assert filled("quarantine", PACKAGE, *WHY).code == 0
    both = filled("release", PACKAGE, *WHY)
    assert (both.code, f"release one of: {done['quarantine'][:19]}" in both.err) == (1, True)
    assert filled("release", done["quarantine"], *WHY).code == 0
    assert filled("verify", "models/m:1").code == 11
    assert filled("release", PACKAGE, *WHY).code == 0, "it is the only one now"
    assert filled("release", PACKAGE, *WHY).code == 3
    assert filled("verify", "models/m:1").code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("pkg:pypi/sqlalchemy@>=x",), 2),
        (("pkg:",), 2),
        ((PACKAGE, "--include", "a"), 2),
        ((PACKAGE, "--artifact-only"), 2),
        ((PACKAGE, "--fields", "a"), 2),
        (("data/raw:1", "--fields", "a"), 2),
        (("data/raw:1", "--only-found"), 2),
        (("record:none.jsonl",), 2),
        (("hf:acme/model",), 3),
    ],
)
def test_what_is_refused(run: Run, arguments: tuple[str, ...], code: int) -> None:
    run("init")
    assert run("quarantine", *arguments, *WHY).code == code


@pytest.fixture
def rows(run: Run) -> Run:
    """Two datasets with a record; of the first m was trained and e measured, of the second n."""
    run("init")
    for name, more in (("one", []), ("two", [{"id": 9}]), ("other", [{"id": 7}])):
        Path(name).mkdir()
        found = [{"id": 1}, *more] if name != "other" else more
        Path(name, "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
        done = run("push", name, f"data/{name}:1", "--kind", "dataset", "--record-index", "keyed")
        assert done.code == 0, done.err
    for name, edge in (
        ("m", "trained-on=data/one:1"),
        ("e", "evaluated-on=data/one:1"),
        ("n", "trained-on=data/two:1"),
        ("o", "trained-on=data/other:1"),
    ):
        Path(name).mkdir()
        Path(name, "w.bin").write_text(name)
        done = run("push", name, f"models/{name}:1", "--kind", "model", "--input", edge)
        assert done.code == 0, done.err
    assert run("promote", "models/n:1", "prod").code == 0
    Path("bad.jsonl").write_text('{"id": 1}\n')
    return run


def below(run: Run, *options: str) -> list[str]:
    found = run("--json", "trace", "record:bad.jsonl", *options)
    assert found.code == 0, found.err
    return sorted(one["label"] for one in found.json["downstream"])


def test_records_are_traced_with_filters_and_stopped(rows: Run) -> None:
    assert below(rows) == ["models/e:1", "models/m:1", "models/n:1"]
    assert below(rows, "--relation", "trained-on") == ["models/m:1", "models/n:1"]
    assert below(rows, "--assurance", "attested") == ["models/e:1", "models/m:1", "models/n:1"]
    assert below(rows, "--stage", "prod") == ["models/n:1"]
    limited = rows("--json", "trace", "record:bad.jsonl", "--limit", "1").json
    assert (len(limited["downstream"]), limited["left_out"]) == (2, 1)
    pushed = rows("--json", "log", "models/n:1").json[-1]
    assert pushed["what"] == "push model"
    assert below(rows, "--as-of", str(pushed["n"] - 1)) == ["models/e:1", "models/m:1"]
    for refused in (("--up",), ("--to", "models/m:1"), ("--between", "2026-01-01", "2026-01-02")):
        assert rows("trace", "record:bad.jsonl", *refused).code == 2

    dry = rows("quarantine", "record:bad.jsonl", *WHY, "--dry-run")
    assert dry.code == 0, dry.err
    assert "would stop  2 datasets with such a record\n    data/one:1\n      a.jsonl\n" in dry.out
    assert rows("verify", "models/m:1").code == 0
    done = rows("--json", "quarantine", "record:bad.jsonl", *WHY).json
    assert {one["name"] for one in done["targets"]} == {"data/one:1", "data/two:1"}
    assert (done["unsure"], done["unsearched"]) == ([], [])
    codes = {n: rows("verify", f"models/{n}:1").code for n in ("m", "n", "e", "o")}
    assert codes == {"m": 11, "n": 11, "e": 0, "o": 0}
    assert rows("release", done["quarantine"], *WHY).code == 0
    assert rows("verify", "models/m:1").code == 0
    Path("bad.jsonl").write_text('{"id": 1000}\n')
    assert rows("quarantine", "record:bad.jsonl", *WHY, "--only-found").code == 3
    later = rows("quarantine", "record:bad.jsonl", *WHY, "--dry-run")
    assert later.code == 0
    assert "no dataset is known to have such a record today; what is pushed later" in later.err


def test_what_was_only_evaluated_is_told_apart_in_a_preview(filled: Run, tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    judge.mkdir()
    (judge / "m").write_text("judge")
    pushed = ("push", str(judge), "models/judge:1", "--kind", "model")
    assert filled(*pushed, "--input", "evaluated-on=data/raw:1").code == 0
    dry = filled("quarantine", "data/raw:1", *WHY, "--dry-run").out
    assert "only evaluated on it, and not stopped: 1\n    models/judge:1  model\n" in dry
    assert "not believed" not in dry
    document = filled("--json", "quarantine", "data/raw:1", *WHY, "--dry-run").json
    said = {one["name"]: (one["blocked"], one["suspect"]) for one in document["affected"]}
    assert said["models/judge:1"] == (False, False)
    assert said["models/m:1"] == (True, False)
    stranger = str(tmp_path / "stranger.pem")
    assert filled("key", "new", "--out", stranger).code == 0
    signed = ("--sign", f"key:{stranger}")
    strangers = filled("quarantine", "data/raw:1", *WHY, "--dry-run", *signed).out
    assert "reached only on a word that is not believed: " in strangers
    assert "only evaluated on it, and not stopped: 1\n" in strangers


def test_what_is_reached_by_way_of_a_file_is_stopped(filled: Run, tmp_path: Path) -> None:
    """Another builder's provenance names a file of it, and not the artifact."""
    made = {
        "buildDefinition": {
            "buildType": "https://example.com/train",
            "externalParameters": {},
            "resolvedDependencies": [{"digest": {"sha256": Digest.of(b"poison").value}}],
        },
        "runDetails": {"builder": {"id": "https://example.com/builder"}},
    }
    about = ResourceDescriptor("weights", digests=(Digest.of(b"w2"),))
    builder = signing.load_signer(f"key:{tmp_path / 'home/key.pem'}", lambda: None, lambda: None)
    bundle = builder.sign(Statement.build([about], provenance.TYPE, made))
    Path("builder.json").write_bytes(bundle.raw)
    assert filled("attach", "models/s:1", "builder.json").code == 0
    assert "models/s:1" in filled("trace", "data/raw:1").out
    up = filled("trace", "models/s:1", "--up").out
    assert "data/raw:1" in up
    assert filled("verify", "models/s:1").code == 0
    dry = filled("quarantine", "data/raw:1", *WHY, "--dry-run").out
    assert "only evaluated" not in dry
    document = filled("--json", "quarantine", "data/raw:1", *WHY).json
    blocked = {one["name"]: one["blocked"] for one in document["affected"]}
    assert blocked == {"data/raw:1": True, "models/m:1": True, "models/s:1": True}
    refused = filled("verify", "models/s:1")
    assert refused.code == 11
    assert "which contains weights (" in refused.out
    assert "derived-from sha256:" in refused.out


def test_a_slip_in_a_question_is_not_an_empty_answer(filled: Run) -> None:
    slip = filled("trace", "data/raw:1", "--relation", "trainedon")
    assert slip.code == 0
    assert "'trainedon' is none that Stemma writes; is trained-on meant?" in slip.err
    assert "warning" not in filled("trace", "data/raw:1", "--relation", "trained-on").err
    for text in ("", "a" * 5000):
        lost = filled("trace", text)
        assert lost.code == 3
        assert "is neither a reference nor a file" in lost.err
        assert len(lost.err) < 150


@pytest.mark.parametrize(
    ("handle", "code", "instead"),
    [
        ("signer:owner", 3, "`stemma distrust` stops"),
        ("stage:prod", 3, "a stage is written NAME#STAGE"),
        ("tensor:sha256:" + "a" * 64, 2, "`stemma trace` shows to hold it"),
        ("git:HEAD", 3, "by its whole id"),
        ("hf:acme/base", 3, "a name stops no bytes"),
        ("oci:ghcr.io/acme/base:1", 3, "a name stops no bytes"),
        ("raw/a", 2, "of a path `stemma trace` says the digest"),
    ],
)
def test_what_cannot_be_stopped_says_what_can(
    filled: Run, handle: str, code: int, instead: str
) -> None:
    done = filled("quarantine", handle, *WHY)
    assert (done.code, instead in done.err) == (code, True), done.err
    assert len(done.err.splitlines()) == 1
    assert "quarantined" not in filled("list").out


def test_similar_says_which_files_it_could_not_read(run: Run) -> None:
    run("init")
    files = models.sharded(models.layers(1), 2)
    cut, whole = sorted(files)
    for name, shards in (
        ("cut", {cut: files[cut][:-1], whole: files[whole]}),
        ("base", files),
    ):
        Path(name).mkdir()
        for path, raw in shards.items():
            Path(name, path).write_bytes(raw)
        assert run("push", name, f"models/{name}:1", "--kind", "model").code == 0
    said = run("similar", "models/cut:1")
    assert (said.code, "models/base:1" in said.out) == (0, True)
    assert f"warning: {cut}: its tensors have no digests: " in said.err
    assert "not all of its tensors are known: what shares them may be missing" in said.err
    document = run("--json", "similar", "models/cut:1").json
    assert (document["complete"], [one["path"] for one in document["unread"]]) == (False, [cut])
    assert len(document["warnings"]) == 1
    document = run("--json", "similar", "models/base:1").json
    assert (document["complete"], document["unread"], document["warnings"]) == (True, [], [])
    Path("cut", whole).write_bytes(models.safetensors(models.layers(9)))
    assert run("push", "cut", "models/cut:2", "--kind", "model").code == 0
    assert "nothing shares a tensor with it that is known" in run("similar", "models/cut:2").out
