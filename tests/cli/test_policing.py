"""policy, approve, admit, and verify under a policy, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import Run, run, write
from tests.world import commit_all

__all__ = ["run"]

HEAD = "format: urn:stemma:policy:v0.1\n"
CASES = """\
format: urn:stemma:policy-cases:v0.1
cases:
  - case: everything is there
    name: models/m:1
    verdict: allow
    says:
      - {by: ci, type: provenance}
      - {by: ci, type: bom}
  - case: no BOM
    name: models/m:1
    verdict: deny
    because: no ML-BOM
    says:
      - {by: ci, type: provenance}
"""


@pytest.fixture
def model(run: Run) -> Run:
    """A registry with a model that was made from a dataset and from something outside."""
    run("init")
    write("data", a="1")
    write("out", weights="2")
    assert run("push", "data", "data/a:1", "--kind", "dataset").code == 0
    pushed = run(
        *("push", "out", "models/m:1", "--kind", "model", "--input", "trained-on=data/a:1"),
        *("--input", f"fine-tuned-from=sha256:{'ab' * 32}"),
    )
    assert pushed.code == 0, pushed.err
    return run


def policy(text: str, name: str = "policy.yaml") -> str:
    Path(name).write_text(HEAD + text)
    return name


def test_a_new_policy_is_a_good_one(run: Run) -> None:
    assert run("policy", "new", "policy.yaml").code == 0
    checked = run("--json", "policy", "check", "policy.yaml")
    assert (checked.code, checked.json["rules"]) == (0, 1)
    assert checked.json["stages"] == ["dev", "staging", "prod"]
    assert checked.json["source"] == {"uncommitted": "policy.yaml"}
    assert run("policy", "new", "policy.yaml").code == 1, "never over what is there"
    commit = commit_all(Path())
    assert f"gitCommit {commit}" in run("policy", "check", "policy.yaml").out
    assert run("--json", "policy", "new", "other.yaml").json == {"policy": "other.yaml"}


@pytest.mark.parametrize("named", ["builtin", "starter"])
def test_policies_that_come_along(run: Run, named: str) -> None:
    assert run("policy", "check", named).out.startswith(f"{named}:v0.1 sha256:")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n- name: [a]", "line 3: `rules[1].name`: unknown field"),
        ("rules:\n- names: [a]\n  stages: [porod]", "line 4: `rules[1].stages[1]`: no such stage"),
        ("rules: [", "line 2, column"),
        ("", "line 1: `rules` is missing"),
    ],
)
def test_mistakes_are_told_by_line(run: Run, text: str, said: str) -> None:
    for command in (["check"], ["explain", "a"], ["test", "policy.yaml"]):
        done = run("policy", command[0], policy(text), *command[1:])
        assert done.code == 2, done
        assert f"policy.yaml: {said}" in done.err
        assert done.err.count("\n") == 1


def test_a_policy_that_is_not_there_allows_nothing(model: Run) -> None:
    assert model("policy", "check", "none.yaml").code == 3
    assert model("verify", "models/m:1", "--policy", "none.yaml").code == 3
    Path("empty.yaml").write_text("")
    assert model("verify", "models/m:1", "--policy", "empty.yaml").code == 2
    assert model("verify", "models/m:1", "--policy", policy("rules: []")).code == 10
    assert "allows nothing" in model("policy", "check", "policy.yaml").out


def test_principals_that_the_trust_root_does_not_know(model: Run, tmp_path: Path) -> None:
    named = policy("rules:\n- {names: [a], provenance: {by: [nobody-we-know]}}")
    trust = str(tmp_path / "home" / "trust.yaml")
    assert model("policy", "check", named).code == 0
    done = model("policy", "check", named, "--trust", trust)
    assert done.code == 10
    assert "nobody in the trust root is nobody-we-know" in done.out
    done = model("policy", "check", named, "--trust", trust, "--json")
    assert (done.code, done.json["unknown_principals"]) == (10, ["nobody-we-know"])
    assert (
        model("policy", "check", "builtin", "--trust", trust, "--json").json["unknown_principals"]
        == []
    )


def test_explain_says_what_is_asked_of_a_name(run: Run) -> None:
    rules = """\
rules:
  - names: [models/**]
    provenance: {by: [ci], builds: [train], admitted: allow}
    bom: {licences: [MIT]}
    ancestors: {depth: 2}
    files: {formats: [safetensors], without: [pickle], code: deny}
    max_age: 1h
  - names: [models/**]
    stages: [prod]
    approvals: {count: 2, by: [ada]}
    evidence:
      - {type: 'https://in-toto.io/attestation/vulns/v0.2', max_severity: 6.9, max_age: 7d}
      - {type: 'urn:x:y', where: [{field: /a, at_least: 1}, {field: /b, is: yes}]}
"""
    named = policy(rules)
    done = run("policy", "explain", named, "models/m", "--stage", "prod")
    assert done.code == 0
    for line in (
        "provenance: signed, complete, a clean commit, by ci, train; or admitted",
        "licences only MIT",
        "ancestors up to 2 away: provenance at least attested, or admitted",
        "files: only safetensors; no pickle; no code; nothing dangerous",
        "status: at most 60m old",
        "approvals: 2 of ada, by nobody who made it",
        "no vulnerability above 6.9, signed at most 7d ago",
        "/a at least 1, /b is True",
    ):
        assert line in done.out, line
    assert len(run("--json", "policy", "explain", named, "models/m").json["asks"]) == 1
    nothing = run("policy", "explain", named, "data/x")
    assert (nothing.code, "nothing is allowed" in nothing.out) == (10, True)
    assert run("policy", "explain", named, "models/m", "--stage", "porod").code == 10


def test_a_table_of_cases(run: Run) -> None:
    Path("cases.yaml").write_text(CASES)
    done = run("policy", "test", "builtin", "cases.yaml")
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 passed, 0 failed")
    document = run("--json", "policy", "test", "builtin", "cases.yaml").json
    assert [case["verdict"] for case in document["cases"]] == ["allow", "deny"]
    for old, new in (("verdict: deny", "verdict: allow"), ("no ML-BOM", "no provenance")):
        Path("wrong.yaml").write_text(CASES.replace(old, new))
        wrong = run("policy", "test", "builtin", "wrong.yaml")
        assert wrong.code == 10
        assert "line 9 expects" in wrong.out
        assert "6 no ML-BOM by an authorised signer" in wrong.out
    Path("none.yaml").write_text("format: urn:stemma:policy-cases:v0.1\ncases: []\n")
    assert run("policy", "test", "builtin", "none.yaml").code == 10
    Path("typo.yaml").write_text(CASES.replace("verdict: deny", "verdit: deny"))
    assert (
        "line 11: `cases[2].verdit`: unknown field"
        in run("policy", "test", "builtin", "typo.yaml").err
    )


def test_approve_and_admit_open_the_gate(model: Run) -> None:
    named = policy(
        "rules:\n- {names: ['**'], ancestors: {}}\n- {names: ['**'], stages: [prod], approvals: {}}"
    )
    gate = ("verify", "models/m:1", "--policy", named, "--stage")
    assert model(*gate, "dev").code == 10
    done = model("admit", f"sha256:{'ab' * 32}", "--reason", "a public model", "--until", "90d")
    assert done.code == 0, done.err
    assert done.out.startswith("admitted until ")
    assert model(*gate, "dev").code == 0
    denied = model(*gate, "prod", "--json")
    assert (denied.code, denied.json["stage"]) == (10, "prod")
    assert denied.json["policy"]["source"] == {"uncommitted": "policy.yaml"}
    assert denied.json["policy"]["digest"].startswith("sha256:")
    mine = model("approve", "models/m:1", "--stage", "prod", "--reason", "fine")
    assert "nobody approves what he made" in mine.err
    assert model(*gate, "prod").code == 10
    assert model("key", "new", "--out", "ada.pem").code == 0
    trust = model("trust", "add", "ada.pub", "--principal", "ada", "--names", "**")
    assert trust.code == 0, trust.err
    theirs = model(
        *("--json", "approve", "models/m:1", "--stage", "prod", "--reason", "fine"),
        *("--until", "2099-01-31", "--sign", "key:ada.pem"),
    )
    assert (theirs.code, theirs.json["warnings"]) == (0, [])
    assert theirs.json["until"] == "2099-01-31T00:00:00Z"
    assert theirs.json["subjects"][0]["name"] == "models/m:1"
    passed = model(*gate, "prod", "--json", "--coverage")
    assert passed.code == 0
    counts = {"attested": 1, "admitted": 1, "signed": 0, "claimed": 0, "incomplete": 0}
    assert passed.json["coverage"] == {**counts, "unknown": 0}
    shown = model(*gate, "prod", "--coverage").out
    assert "upstream: 1 attested (50%), 1 admitted (50%)" in shown


def test_many_are_admitted_from_a_file(model: Run) -> None:
    Path("estate.txt").write_text(f"# old\ndata/a:1\n\n  sha256:{'ab' * 32}\n")
    done = model("--json", "admit", "--from", "estate.txt", "--reason", "old", "--until", "never")
    assert (done.code, done.json["until"]) == (0, None)
    assert [one["name"] for one in done.json["subjects"]] == ["data/a:1", None]
    said = model("--json", "attestations", "data/a:1").json
    assert "urn:stemma:admission:v0.1" in json.dumps(said)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["admit", "models/m:1", "--reason", "x"], 2),
        (["admit", "models/m:1", "--reason", "x", "--until", "soon"], 2),
        (["admit", "models/m:1", "--reason", "x", "--until", "2020-01-31"], 2),
        (["admit", "models/m:1", "--reason", "x", "--until", "2027-02-30"], 2),
        (["admit", "models/m:1", "--reason", " ", "--until", "never"], 2),
        (["admit", "models/m:1", "--reason", "x", "--until", "999999999d"], 2),
        (["admit", "--reason", "x", "--until", "never"], 2),
        (["admit", "models/n:1", "--reason", "x", "--until", "never"], 3),
        (["approve", "models/m:1", "--reason", "x"], 2),
        (["approve", "models/m:1", "--reason", "x", "--stage", "Prod!"], 2),
        (["approve", "models/n:1", "--reason", "x", "--stage", "prod"], 3),
        (["approve", "git:abcdefabcdef", "--reason", "x", "--stage", "prod"], 3),
    ],
)
def test_mistakes_let_nothing_in(model: Run, arguments: list[str], code: int) -> None:
    before = len(model("--json", "log").json)
    done = model(*arguments)
    assert (done.code, done.err.count("Traceback")) == (code, 0), done.err
    assert len(model("--json", "log").json) == before
