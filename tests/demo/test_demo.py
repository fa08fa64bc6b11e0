"""The demo is the main job on real data; here it is a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.console import write_shim
from tests.once import Once

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(once: Once) -> tuple[Path, str]:
    """The demo, run once: where it left its registry, and the story it told."""

    def run() -> tuple[Path, str]:
        folder = once.folder("the demo")
        output = folder / "out"
        write_shim(folder / "stemma")
        command = [sys.executable, "-m", "tests.demo.forked", str(folder / "stemma")]
        command += ["--output", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=ROOT)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return output, done.stdout

    return once.make("the demo", run)


def ask(output: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    environment = {
        **os.environ,
        "STEMMA_HOME": str(output / "home"),
        "STEMMA_REGISTRY": str(output / "registry"),
    }
    command = [sys.executable, "-m", "stemma_cli.main", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, json.loads(done.stdout)


def test_the_story_ends_as_told(told: tuple[Path, str]) -> None:
    _, story = told
    assert "Everything went as told." in story
    assert "Traceback" not in story


def test_the_registry_is_left_to_explore(told: tuple[Path, str]) -> None:
    output, story = told
    assert f"export STEMMA_HOME={output}/home" in story
    assert ask(output, "audit", "--read-data")[0] == 0
    code, verdict = ask(output, "verify", "models/digits-soup:1")
    assert code == 11
    assert "data/digits-shard-c:1" in str(verdict["reason"])
    assert ask(output, "verify", "models/digits-soup:2")[0] == 0
    assert ask(output, "verify", "models/digits-clean:1")[0] == 0


def test_it_replaces_only_what_it_made(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    command = [sys.executable, str(ROOT / "examples/incident/run.py"), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert precious.read_text() == "years of work"
