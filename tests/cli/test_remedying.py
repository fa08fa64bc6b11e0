"""plan and incident at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import Run, filled, run

__all__ = ["filled", "run"]

STOP = ("quarantine", "data/raw:1", "--reason", "<b>bad</b>")


def test_a_plan_as_table_markdown_and_json(filled: Run) -> None:
    table = filled("plan", "data/raw:1")
    assert (table.code, table.err) == (0, "")
    assert "1  models/m:1" in table.out
    assert "1 to make again" in table.out
    text = filled("plan", "data/raw:1", "--format", "markdown").out
    assert text.startswith("# What to make again without data/raw:1\n")
    assert filled("--json", "plan", "data/raw:1").json["steps"][0]["name"] == "models/m:1"
    assert "(clean)" in filled("plan", "data/raw:1", "--replace", "data/raw:1=data/clean:1").out


def test_what_a_plan_refuses(filled: Run) -> None:
    assert filled("plan", "data/none:1").code == 3
    assert filled("plan", "data/raw:1", "--replace", "data/clean:1=data/raw:1").code == 1
    assert filled("plan", "data/raw:1", "--replace", "nonsense").code == 2
    assert filled("plan", "data/raw:1", "--limit", "0").code == 2


def test_an_incident_on_stdout_and_in_files(filled: Run, tmp_path: Path) -> None:
    stopped = filled("--json", *STOP).json["quarantine"]
    page = filled("incident", stopped, "--format", "html").out
    assert page.startswith("<!DOCTYPE html>")
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert "<b>" not in page
    folder = tmp_path / "some" / "where"
    done = filled("--json", "incident", stopped[:19], "-o", str(folder))
    assert json.loads(done.out)["quarantine"] == stopped
    assert (folder / "incident.html").read_text().startswith("<!DOCTYPE html>")
    assert (folder / "incident.md").read_text().startswith("# Incident sha256:")


def test_what_an_incident_refuses(filled: Run, tmp_path: Path) -> None:
    assert filled("incident", "data/raw:1").code == 3
    assert filled("incident", "sha256:" + "0" * 64).code == 3
    filled(*STOP)
    (tmp_path / "file").write_text("")
    assert filled("incident", "data/raw:1", "-o", str(tmp_path / "file" / "x")).code == 1


@pytest.mark.parametrize("trusted", [True, False])
def test_another_trust_root_answers_for_itself(filled: Run, tmp_path: Path, trusted: bool) -> None:
    filled(*STOP)
    home = tmp_path / "home" / "trust.yaml"
    root = tmp_path / "root.yaml"
    nobody = "format: urn:stemma:trust-root:v0.1\nsigners: []\n"
    root.write_text(home.read_text() if trusted else nobody)
    found = filled("--json", "incident", "data/raw:1", "--trust", str(root)).json
    assert found["state"] == ("in force" if trusted else "not believed")
    assert [step["name"] for step in found["plan"]["steps"]] == (["models/m:1"] if trusted else [])
