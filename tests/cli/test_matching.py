"""Packages and records that are stopped, and traces of records and tensors, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import Run, filled, run

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
    assert filled("release", done["quarantine"], *WHY).code == 0
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
