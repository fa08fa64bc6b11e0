"""Rego at the gate and at the command line: policies in files, verdicts, exit codes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from stemma_attestations.errors import BadPolicy, NotVerified, Undecided
from stemma_attestations.verdict import Outcome, Verdict
from stemma_registry import gate, policy_source
from stemma_registry.rego import local
from tests.cli.test_commands import Run, run, write
from tests.rego.opa_server import Opa, serving
from tests.world import World

__all__ = ["run"]

EXAMPLES = Path(__file__).parents[2] / "examples/policies"
HEAD = "format: urn:stemma:policy:v0.1\nrules:\n- names: ['**']\n  rego:\n"
MODULE = """\
    module: |
      package stemma.gate
      allow if {
        input.artifact.kinds == ["model"]
        every step in input.steps { step.outcome == "passed" }
      }
      deny contains "a model is not called draft" if contains(input.name, "draft")
"""


def write_policy(folder: Path, text: str) -> str:
    path = folder / "policy.yaml"
    path.write_text(HEAD + text)
    return str(path)


def judge(world: World, policy: str, ref: str) -> Verdict:
    terms = gate.Terms(policy_source.load(policy))
    with world.view() as view:
        try:
            return gate.verify_reference(world.registry, view, ref, None, terms)
        except NotVerified as error:
            assert error.verdict is not None
            return error.verdict


def test_a_module_decides_about_real_pushes(world: World, tmp_path: Path) -> None:
    policy = write_policy(tmp_path, MODULE)
    world.push("models/m:1", {"w": b"1"}, kind="model")
    passed = judge(world, policy, "models/m:1")
    assert passed.passed
    assert passed.steps[-1].details[-1].startswith("data.stemma.gate of the module of rules[1]")
    world.push("data/d:1", {"d": b"2"}, kind="dataset")
    assert (
        "data.stemma.gate.allow is undefined"
        in judge(world, policy, "data/d:1").steps[-1].details[0]
    )
    world.push("models/draft:1", {"w": b"3"}, kind="model")
    denied = judge(world, policy, "models/draft:1")
    assert denied.failure is NotVerified
    assert denied.steps[-1].details[0].endswith("denies: a model is not called draft")
    document = gate.predicate(denied)["urn:stemma:verdict-steps:v0.1"][-1]
    assert "denies: a model is not called draft" in json.dumps(document)
    # Who asks by the digest is held to the names, and to the Rego of their rules.
    assert not judge(world, policy, str(denied.artifact)).passed


def test_what_is_quarantined_stays_so(world: World, tmp_path: Path) -> None:
    policy = write_policy(tmp_path, '    module: "package p\\n\\nallow := true"\n')
    world.push("models/m:1", {"w": b"1"}, kind="model")
    assert judge(world, policy, "models/m:1").passed
    world.quarantine("models/m:1")
    stopped = judge(world, policy, "models/m:1")
    assert not stopped.passed
    assert stopped.steps[-1].outcome is Outcome.PASSED


def test_a_running_opa_decides(world: World, tmp_path: Path) -> None:
    world.push("models/m:1", {"w": b"1"}, kind="model")
    allow = 'package stemma.gate\nallow if input.artifact.kinds == ["model"]\n'
    with serving(Opa({"gate": allow})) as opa:
        policy = write_policy(tmp_path, f"    opa: {opa.url()}\n")
        passed = judge(world, policy, "models/m:1")
        assert passed.passed
        assert "by rules not pinned, OPA 1.9.0, bundle gate at r42" in passed.steps[-1].details[-1]
    gone = judge(world, policy, "models/m:1")
    assert gone.failure is Undecided
    assert f"OPA at {opa.url()}" in gone.steps[-1].details[0]


def test_a_file_is_read_beside_the_policy_and_pinned(tmp_path: Path) -> None:
    for name in ("prod.yaml", "prod.rego"):
        shutil.copy(EXAMPLES / name, tmp_path / name)
    loaded = policy_source.load(str(tmp_path / "prod.yaml"))
    assert loaded.rules[1].rego is not None
    assert loaded.rules[1].rego.module == (EXAMPLES / "prod.rego").read_text()
    changed = (tmp_path / "prod.rego").read_bytes() + b"\nallow := true\n"
    (tmp_path / "prod.rego").write_bytes(changed)
    with pytest.raises(BadPolicy, match=hashlib.sha256(changed).hexdigest()):
        policy_source.load(str(tmp_path / "prod.yaml"))


def test_at_the_command_line(run: Run) -> None:
    run("init")
    write("out", weights="2")
    assert run("push", "out", "models/m:1", "--kind", "model").code == 0
    policy = write_policy(Path(), MODULE)
    checked = run("--json", "policy", "check", policy)
    assert checked.code == 0
    assert checked.json["rego"][0].startswith("the module of rules[1].rego, line ")
    assert "Rego: the module of" in run("policy", "explain", policy, "models/m").out
    verified = run("--json", "verify", "models/m:1", "--policy", policy)
    assert (verified.code, verified.json["steps"][-1]["outcome"]) == (0, "passed")
    assert "data.stemma.gate" in verified.json["steps"][-1]["details"][-1]
    refused = run("verify", "models/m:1", "--policy", write_policy(Path(), NO))
    assert refused.code == 10
    assert "p.allow is false, not true" in refused.out + refused.err


NO = '    module: "package p\\n\\nallow := false"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("    module: |\n      package p\n      allow if {\n", "line 3: expecting"),
        (
            "    module: |\n      package p\n      allow if not http.send({}).x\n",
            "line 2: http.send",
        ),
        ("    module: |\n      package p\n      deny contains 1\n", "no rule `allow`"),
        ("    module: ''\n", "a Rego module is expected"),
        ("    file: a.rego\n", "pinned by `sha256`"),
        ("    file: ../a.rego\n    sha256: '" + "0" * 64 + "'\n", "a file beside the policy"),
        ("    file: a.rego\n    sha256: abc\n", "64 digits"),
        ("    module: package p\n    opa: https://a.example/v1/data/a\n", "one of `module`"),
        ("    opa: http://opa.example/v1/data/a\n", "http is for 127.0.0.1"),
        ("    opa: http://localhost:8181/v1/data/a\n", "http is for 127.0.0.1"),
        ("    opa: https://me:secret@opa.example/v1/data/a\n", "without a name or password"),
        ("    opa: https://opa.example/v1/data\n", "/v1/data/PACKAGE"),
        ("    opa: https://opa.example/v1/data/a?x=1\n", "/v1/data/PACKAGE"),
        ("    opa: https://opa.example/v1/data/../policies\n", "/v1/data/PACKAGE"),
        ("    opa: https://opa.example:x/v1/data/a\n", "not a URL"),
        ("    opa: file:///v1/data/a\n", "the https URL"),
    ],
)
def test_a_mistake_is_told(run: Run, text: str, told: str) -> None:
    checked = run("policy", "check", write_policy(Path(), text))
    assert checked.code == 2
    assert told in checked.err
    assert "rules[1].rego" in checked.err


def test_without_the_extra_nothing_is_decided(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LIBRARY", "regorus_that_is_not_there")
    run("init")
    write("out", weights="2")
    run("push", "out", "models/m:1", "--kind", "model")
    policy = write_policy(Path(), MODULE)
    for command in (("policy", "check", policy), ("verify", "models/m:1", "--policy", policy)):
        done = run(*command)
        assert done.code == 14
        assert "pip install 'stemma-registry[rego]'" in done.out + done.err


def test_the_example_does_what_its_cases_say(run: Run) -> None:
    tested = run(
        "--json", "policy", "test", str(EXAMPLES / "prod.yaml"), str(EXAMPLES / "prod-cases.yaml")
    )
    assert tested.code == 0, tested.out + tested.err
    assert (tested.json["passed"], tested.json["failed"]) == (7, 0)
