"""`examples/serving`, as far as it can be run without vLLM and without a host of its own."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stemma_cli import exits
from stemma_cli.main import stemma
from tests.faults.scene import Scene
from tests.zygote import ROOT

EXAMPLES = ROOT / "examples/serving"
UNIT = EXAMPLES / "stemma-model.service"
SCRIPT = EXAMPLES / "serve-vllm.sh"
VLLM = """#!/bin/sh
echo "$@"
for last; do case $last in --*) ;; *=/*) ls "${last#*=}" ;; /*) ls "$last" ;; esac; done
env | grep OFFLINE | sort
exit ${VLLM_CODE:-0}
"""


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


def test_the_unit_calls_the_command_as_it_is() -> None:
    before = shlex.split(unit()["ExecStartPre"])
    assert before[1:] == ["feed", "trust", "/etc/stemma/feed-root.json"]
    argv = shlex.split(unit()["ExecStart"].replace("${MODEL}", "models/qa:3"))
    assert before[0] == argv[0]
    command = stemma.get_command(stemma.make_context("stemma", ["exec"]), "exec")
    assert command is not None
    assert Path(argv[0]).name == "stemma"
    context = command.make_context("exec", argv[2:])
    assert context.params["subject"] == "models/qa:3"
    assert context.params["policy"] == "/etc/stemma/policy.yaml"
    assert context.params["command"][-1] == "{path}"


def test_the_unit_begins_again_only_where_nothing_was_decided() -> None:
    never = {int(code) for code in unit()["RestartPreventExitStatus"].split()}
    assert never == exits.MEANING.keys() - {exits.DONE, exits.UNEXPECTED, exits.UNDECIDED}


def test_the_unit_is_one(tmp_path: Path) -> None:
    """By systemd, where it is there; the programs it names need not be."""
    program = shutil.which("systemd-analyze")
    if program is None:
        assert unit()["Type"] == "exec"
        return
    text = UNIT.read_text().replace("/usr/local/bin/stemma", shutil.which("true") or "/bin/true")
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    done = subprocess.run(
        [program, "verify", "--man=no", str(copy)], capture_output=True, text=True
    )
    about = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert about == [], done


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with `stemma`, and a `vllm` that says what it was given."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "stemma").write_text(f'#!/bin/sh\nexec {sys.executable} -m stemma_cli.main "$@"\n')
    (programs / "vllm").write_text(VLLM)
    for program in programs.iterdir():
        program.chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def test_the_script_serves_a_set(template: Scene, path: str) -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    environment = {**template.seat.environment, "PATH": path, "VLLM_CODE": "7"}
    done = subprocess.run(
        [str(SCRIPT), "models/m:1", "--port", "8001"],
        env={**environment, "TOKENIZER": "models/odd:1", "ADAPTER": "data/raw:1"},
        capture_output=True,
        text=True,
        cwd=template.work,
    )
    assert done.returncode == 7, done
    said = done.stdout.splitlines()
    argv = said[0].split()
    assert argv[:1] + argv[2:6] == [
        *("serve", "--served-model-name", "models/m:1", "--load-format", "safetensors")
    ]
    assert argv[-2:] == ["--port", "8001"]
    assert "w.bin" in said
    assert "{path}" in said
    assert "a.txt" in said
    assert said[-2:] == ["HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1"]


def test_the_script_serves_nothing_that_is_refused(scene: Scene, path: str) -> None:
    scene.run("quarantine", "data/raw:1", "--reason", "bad").expect(0)
    done = subprocess.run(
        [str(SCRIPT), "models/m:1"],
        env={**scene.seat.environment, "PATH": path},
        capture_output=True,
        text=True,
        cwd=scene.work,
    )
    assert (done.returncode, done.stdout) == (11, "")
