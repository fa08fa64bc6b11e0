"""verify --report, deployments, and trace --deployed, at the command line."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.cli.test_commands import Run, run, write

__all__ = ["run"]

WIDE = """\
format: urn:stemma:policy:v0.1
stages: [edge, canary]
rules:
- {names: ["**"], provenance: {commit: any}}
"""


@pytest.fixture
def model(run: Run) -> Run:
    """A registry with a model and what it was made from."""
    run("init")
    write("a", data="a")
    assert run("push", "a", "data/a:1", "--kind", "dataset").code == 0
    write("out", weights="2")
    made = ("--kind", "model", "--input", "trained-on=data/a:1")
    assert run("push", "out", "models/m:1", *made).code == 0
    return run


REPORT = ("verify", "models/m:1", "--report")


def test_a_yes_is_reported(model: Run) -> None:
    done = model("--json", *REPORT, "--service", "qa", "--report-for", "2h", "--stage", "prod")
    assert done.code == 0, done
    left = done.json["report"]
    assert (left["host"], left["service"], left["stage"]) == (socket.gethostname(), "qa", "prod")
    (one,) = model("--json", "deployments", "models/m:1").json["deployments"]
    assert (one["state"], one["until"]) == ("verified", left["until"])
    assert one["entry"] == left["entry"]
    assert model("--json", "deployments", "data/a:1").json["deployments"] == []
    assert f"on {socket.gethostname()}, ledger entry" in model(*REPORT).out
    assert "report" not in model("--json", "verify", "models/m:1").json


def test_a_directory_is_reported_under_its_name(model: Run) -> None:
    done = model("--json", "verify", "out", "--as", "models/m:1", "--report", "--host", "gpu-1")
    assert done.json["report"]["host"] == "gpu-1"
    assert "gpu-1" in model("deployments", "models/m:1", "--host", "gpu-1").out


def test_a_no_is_not_reported(model: Run) -> None:
    assert model("quarantine", "data/a:1", "--reason", "bad").code == 0
    done = model("--json", *REPORT)
    assert (done.code, done.json["report"]) == (11, None)
    assert model("--json", "deployments", "--all").json["deployments"] == []


def test_a_yes_that_cannot_be_reported_does_not_end_well(model: Run) -> None:
    done = model(*REPORT, "--sign", "key:none.pem")
    assert done.code == 14
    assert done.out.startswith("VERIFIED  models/m:1")
    assert "NOT REPORTED: no signing key" in done.err
    found = model("--json", *REPORT, "--sign", "key:none.pem")
    assert (found.code, found.json["code"], found.json["verified"]) == (14, 14, True)
    assert "no signing key" in found.json["report"]["error"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--report", "--host", ""), "is no host"),
        (("--report", "--host", "a\x1bb"), "is no host"),
        (("--report", "--service", "x" * 256), "is no service"),
        (("--report", "--report-for", "1s"), "counts for"),
        (("--report", "--report-for", "400d"), "counts for"),
        (("--host", "a"), "about a --report"),
        (("--service", ""), "about a --report"),
        (("--sign", "key:x"), "--vsa"),
    ],
)
def test_usage(run: Run, argv: tuple[str, ...], said: str) -> None:
    done = run("verify", "models/m:1", *argv)
    assert (done.code, said in done.err) == (2, True), done
    assert done.out == ""


def test_a_host_may_be_let_say_only_that(model: Run) -> None:
    assert model("key", "new", "--out", "host.pem").code == 0
    signed = (*REPORT, "--host", "gpu-9", "--sign", "key:host.pem")
    done = model(*signed)
    assert done.code == 0
    assert "warning: the trust root does not let key" in done.err
    assert "NOT BELIEVED" in model("deployments").out
    tree = model("trace", "data/a:1").out
    assert "SAID TO BE ON 1 HOST, NOT BELIEVED" in tree
    assert "0 deployed, on 0 hosts (1 more" in model("trace", "data/a:1", "--deployed").out
    seen = model("quarantine", "data/a:1", "--reason", "x", "--dry-run").out
    assert "said to be deployed, which is not believed: 1" in seen
    may = ("--predicates", "urn:stemma:deployment:v0.1", "--names", "models/**")
    assert model("trust", "add", "host.pub", "--principal", "gpu-9", *may).code == 0
    assert "NOT BELIEVED" not in model("deployments").out
    assert "DEPLOYED ON 1 HOST" in model("trace", "data/a:1").out
    assert "deployed now: 1, on 1 host" in model("quarantine", "data/a:1", "--reason", "x").out
    assert model("verify", "models/m:1").code == 11, "wherever it runs"


def test_every_format_says_where(model: Run) -> None:
    assert model(*REPORT, "--host", "gpu-1", "--stage", "prod").code == 0
    for form in ("tree", "table", "json", "jsonl", "csv", "dot", "mermaid", "html", "cyclonedx"):
        says_where(model, form)


def says_where(model: Run, form: str) -> None:
    asked = ("trace", "data/a:1", "--format", form)
    assert "gpu-1" in model(*asked, "--deployed").out
    assert "gpu-1" in model(*asked, "--stage", "prod").out
    assert "gpu-1" not in model(*asked, "--stage", "dev").out
    if form == "tree":
        assert "0 at prod, 1 deployed, on 1 host" in model(*asked, "--stage", "prod").out
    plain = model(*asked).out.replace("DEPLOYED ON 1 HOST", "deployed on 1 host")
    whole = form in ("json", "jsonl", "csv", "html", "cyclonedx")
    assert ("gpu-1" if whole else "deployed on 1 host") in plain
    assert model(*asked[:2], "--to", "models/m:1", "--deployed").code == 2


def test_long_lists_are_cut(model: Run) -> None:
    for number in range(3):
        assert model(*REPORT, "--host", f"gpu-{number}").code == 0
    done = model("deployments", "--limit", "2")
    assert "and 1 more (--limit)" in done.out
    assert "deployed now: 3, on 3 hosts" in done.out
    found = model("--json", "deployments", "--limit", "2").json
    assert (len(found["deployments"]), found["more"], found["unheard"]) == (2, 1, 0)


def test_a_stage_that_nothing_has_is_warned_of(model: Run, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    record.write_text('{"a": 1}\n')
    questions = (("trace", "data/a:1"), ("trace", f"record:{record}"), ("deployments",))

    def said(stage: str) -> set[str]:
        return {model(*one, "--stage", stage).err for one in questions}

    slip = model("trace", "data/a:1", "--stage", "porod")
    assert slip.code == 0
    (line,) = slip.err.splitlines()
    assert line.startswith("warning: --stage 'porod' is none of the policy, and nothing was ever")
    assert line.endswith("; is prod meant?")
    assert said("porod") == {line + "\n"}, "the same of every question"
    assert json.loads(model("--json", *questions[0], "--stage", "porod").out)["edges"] == []
    assert said("prod") == {""}, "the policy has it, though nothing is there"
    assert all("meant" not in one and "warning" in one for one in said("canary"))
    # What once ran at it, or was put there, makes it known, whatever the policy says.
    Path("wide.yaml").write_text(WIDE)
    wide = ("--policy", "wide.yaml")
    assert model(*REPORT, "--host", "gpu-1", "--stage", "edge", *wide).code == 0
    assert model("promote", "models/m:1", "canary", *wide).code == 0
    assert said("edge") == said("canary") == {""}
    assert "is canary meant?" in model("deployments", "--stage", "cnary").err
    # A question about lineage does not wait until the policy is mended.
    (tmp_path / "home/config.yaml").write_text("policy: wide.yaml\n")
    assert model("verify", "models/m:1").code == 3, "there is no such file in the home"
    assert said("porod") == {line + "\n"}
