"""promote, rollback, stages, NAME#STAGE and verify --record, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import Run, run, write

__all__ = ["run"]

POLICY = """\
format: urn:stemma:policy:v0.1
stages: [canary, prod]
rules:
- names: ["**"]
  provenance: {commit: any}
- names: [risky/*]
  stages: [prod]
  approvals: {by: [alice], count: 1}
"""


@pytest.fixture
def model(run: Run) -> Run:
    """Two versions of a model, the first from data of its own."""
    run("init")
    write("data", a="1")
    write("one", weights="1")
    write("two", weights="2")
    assert run("push", "data", "data/a:1", "--kind", "dataset").code == 0
    made = ("--input", "trained-on=data/a:1")
    assert run("push", "one", "models/m:1", "--kind", "model", *made).code == 0
    assert run("push", "two", "models/m:2", "--kind", "model").code == 0
    return run


def test_a_stage_is_a_reference_everywhere(model: Run, tmp_path: Path) -> None:
    assert model("verify", "models/m#prod").code == 3
    assert "stemma promote models/m:VERSION prod" in model("show", "models/m#prod").err
    done = model("promote", "models/m:2", "prod")
    assert done.code == 0, done.err
    assert "models/m#prod is models/m:2, ledger entry 4" in done.out
    ref = "models/m#prod"
    assert "models/m#prod is models/m:2" in model("verify", ref).out
    assert model("--json", "verify", ref).json["stage"] == "prod"
    assert model("--json", "verify", ref, "--stage", "dev").json["stage"] == "dev"
    assert model("--json", "show", ref).json["label"] == "models/m:2"
    assert model("--json", "trace", ref, "--up").code == 0
    assert model("--json", "log", ref).json[0]["what"] == "promote prod"
    assert model("pull", ref, str(tmp_path / "pulled")).code == 0
    assert (tmp_path / "pulled" / "weights").read_text() == "2"
    assert model("scan", ref).code == 0
    ran = model("exec", ref, "--", "cat", "{path}/weights")
    assert ran.code == 0, ran.err
    # Without --stage too, it is judged for the stage it is at.
    Path("policy.yaml").write_text(POLICY.replace("[canary, prod]", "[canary]").split("- n")[0])
    with Path("policy.yaml").open("a") as file:
        file.write("- {names: ['**'], stages: [canary], provenance: {commit: any}}\n")
    refused = model("verify", ref, "--policy", "policy.yaml")
    assert (refused.code, "has no stage prod" in refused.out) == (10, True)
    assert model("verify", ref, "--policy", "policy.yaml", "--stage", "canary").code == 0
    assert model("approve", ref, "--stage", "prod", "--reason", "good").code == 0
    assert model("--json", "attestations", ref).code == 0


def test_one_document_each(model: Run) -> None:
    first = model("--json", "promote", "models/m:1", "prod", "--reason", "release 1").json
    assert (first["outcome"], first["entry"], first["before"]) == ("changed", 4, None)
    assert model("--json", "promote", "models/m:1", "prod").json["outcome"] == "unchanged"
    second = model("--json", "promote", "models/m:2", "prod").json
    assert second["before"] == {"version": "1", "artifact": first["artifact"]}
    back = model("--json", "rollback", "models/m", "prod", "--reason", "worse").json
    assert (back["version"], back["skipped"]) == ("1", [])
    rows = model("--json", "stages", "models/m", "--history").json
    assert [(r["action"], r["version"], r["current"]) for r in rows] == [
        ("rollback", "1", True),
        ("promote", "2", False),
        ("promote", "1", False),
    ]
    assert [r["reason"] for r in rows] == ["worse", None, "release 1"]
    assert rows[1]["previous"] == first["statement"]
    assert [r["version"] for r in model("--json", "stages").json] == ["1"]
    assert "before" in model("stages", "--history").out
    assert model("--json", "stages", "models/none").json == []
    assert "nothing is at a stage" in model("stages", "models/none").out


def test_refusals_keep_their_codes(model: Run) -> None:
    assert model("promote", "models/m:1", "porod").code == 10
    assert model("promote", "models/m:9", "prod").code == 3
    assert model("rollback", "models/m", "prod").code == 3
    assert model("rollback", "models/m:1", "prod").code == 2
    assert model("stages", "models/m:1").code == 2
    assert model("promote", "models/m:1", "prod", "--max-age", "soon").code == 2
    assert model("promote", "models/m:1", "prod").code == 0
    assert model("promote", "models/m:2", "prod").code == 0
    assert model("quarantine", "data/a:1", "--reason", "poisoned").code == 0
    done = model("promote", "models/m:1", "prod")
    assert done.code == 11
    assert "9 nothing upstream is quarantined" in done.out
    done = model("--json", "promote", "models/m:1", "prod")
    assert (done.code, done.json["error"]["kind"], done.err) == (11, "Quarantined", "")
    done = model("rollback", "models/m", "prod")
    assert done.code == 10
    assert "models/m#prod stays at models/m:2" in done.err
    assert model("key", "new", "--out", "stranger.pem").code == 0
    done = model("promote", "models/m:2", "dev", "--sign", "key:stranger.pem")
    assert done.code == 1
    assert "does not let key" in done.err


def test_names_of_high_risk_wait_for_a_person(model: Run, tmp_path: Path) -> None:
    Path("policy.yaml").write_text(POLICY)
    by = ("--policy", "policy.yaml")
    assert model("push", "two", "risky/m:1", "--kind", "model").code == 0
    assert model("promote", "models/m:2", "prod", *by).code == 0
    assert model("promote", "risky/m:1", "canary", *by).code == 0
    assert model("promote", "risky/m:1", "prod", *by).code == 10
    assert model("key", "new", "--out", "alice.pem").code == 0
    trust = str(tmp_path / "home" / "trust.yaml")
    assert model("trust", "add", "alice.pub", "--principal", "alice", "--trust", trust).code == 0
    signed = ("--reason", "read the evaluation", "--sign", "key:alice.pem")
    assert model("approve", "risky/m:1", "--stage", "prod", *signed).code == 0
    assert model("promote", "risky/m:1", "prod", *by).code == 0


def test_a_verdict_is_recorded_on_request(model: Run, tmp_path: Path) -> None:
    done = model("--json", "verify", "models/m:1", "--record")
    assert (done.code, done.json["recorded"]) == (0, 4)
    said = model("--json", "attestations", "models/m:1").json
    (vsa,) = (s for s in said if "verification_summary" in s["predicate_type"])
    assert vsa["entry"] == 4
    assert "recorded" not in model("--json", "verify", "models/m:1").json
    assert model("quarantine", "data/a:1", "--reason", "poisoned").code == 0
    no = model("verify", "models/m:1", "--record")
    assert (no.code, "recorded in ledger entry 6" in no.out) == (11, True)
    assert model("verify", "models/m:1", "--sign", "key:x.pem").code == 2
    # Without a signer there is no yes that was to be recorded; a no is still that no.
    (tmp_path / "home" / "key.pem").unlink()
    assert model("verify", "models/m:2", "--record").code == 3
    no = model("--json", "verify", "models/m:1", "--record")
    assert (no.code, no.json["recorded"]) == (11, None)
    assert "NOT recorded" in no.err


def test_breaking_the_glass_is_recorded(model: Run, tmp_path: Path) -> None:
    Path("policy.yaml").write_text(POLICY.replace("rules:", "max_age: 1h\nstale_ok: true\nrules:"))
    by = ("--policy", "policy.yaml")
    assert model("verify", "models/m:1", *by).code == 14
    done = model("--json", "verify", "models/m:1", *by, "--stale-ok", "the feed is down")
    assert (done.code, done.json["recorded"]) == (0, 4)
    said = model("--json", "attestations", "models/m:1").json[-1]
    assert said["entry"] == 4
    promoted = model("promote", "models/m:1", "prod", *by, "--stale-ok", "the feed is down")
    assert promoted.code == 0
    assert "STALE" in promoted.err
    (tmp_path / "home" / "key.pem").unlink()
    done = model("verify", "models/m:1", *by, "--stale-ok", "the feed is down")
    assert done.code == 0
    assert "WARNING: that an old status did is NOT recorded in the ledger" in done.err
    assert json.loads(model("--json", "log").out)[0]["what"] == "promote prod"


# `--max-age "$AGE"`, where AGE is not set: no limit was asked for by that.
UNSET = {
    "verify": ("verify", "models/m:2"),
    "promote": ("promote", "models/m:2", "prod"),
    "rollback": ("rollback", "models/m", "prod"),
    "lock": ("lock", "models/m:2"),
    "dossier": ("dossier", "models/m:2", "out.dossier"),
    "pull": ("pull", "models/m:2", "out", "--verified"),
    "exec": ("exec", "models/m:2", "--watch", "1m"),
    "feed fetch": ("feed", "fetch"),
}


@pytest.mark.parametrize("command", UNSET)
def test_an_empty_age_is_no_age(model: Run, command: str) -> None:
    words = UNSET[command]
    behind = ("--", "true") if command == "exec" else ()
    done = model(*words, "--max-age", "", *behind)
    assert done.code == 2, done
    assert "no time" in done.err or "duration" in done.err or "''" in done.err, done.err
