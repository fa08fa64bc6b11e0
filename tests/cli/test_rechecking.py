"""verify again: what is not read, and that text, JSON and VSA all say so."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from stemma_registry import filesystems, stat_cache
from tests.cli.test_commands import Run, run, write

__all__ = ["run"]

POLICY = """\
format: urn:stemma:policy:v0.1
recheck: {recheck}
rules:
  - names: ["**"]
    provenance: {{commit: any}}
"""


@pytest.fixture
def served(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A directory that was pushed; the clock is an hour ahead of its files."""
    run("init")
    write("out", weights="2", config="3")
    assert run("push", "out", "data/d:1", "--kind", "dataset").code == 0
    monkeypatch.setattr(stat_cache, "now", lambda: time.time() + 3600)
    monkeypatch.setattr(filesystems, "mounted", lambda: {os.stat("out").st_dev: "ext4"})
    Path("stat.yaml").write_text(POLICY.format(recheck="stat"))
    Path("hash.yaml").write_text(POLICY.format(recheck="hash"))
    return run


def bytes_step(run: Run, policy: str, *options: str) -> list[str]:
    """The details of step 2, the same everywhere."""
    asked = ("verify", "out", "--as", "data/d:1", "--policy", policy, "--vsa", "vsa.json", *options)
    document = run("--json", *asked)
    assert document.code == 0, document.err
    details: list[str] = document.json["steps"][1]["details"]
    written = json.loads(Path("vsa.json").read_bytes())["predicate"]
    assert written["urn:stemma:verdict-steps:v0.1"][1]["details"] == details
    text = run(*asked)
    assert text.code == 0
    assert all(line in text.out for line in details)
    return details


def test_the_second_verdict_says_what_was_not_read(served: Run) -> None:
    assert served("verify", "out", "--as", "data/d:1", "--policy", "stat.yaml").code == 0
    count, unread = bytes_step(served, "stat.yaml")
    assert count == "2 files, 2 bytes"
    assert unread.startswith("2 of 2 files not read again since 20")
    assert unread.endswith("stat.yaml lets that do (recheck: stat)")
    hashed = ["2 files, 2 bytes hashed"]
    assert bytes_step(served, "stat.yaml", "--rehash") == hashed
    assert bytes_step(served, "hash.yaml") == hashed


def test_a_changed_byte_is_found(served: Run) -> None:
    asked = ("verify", "out", "--as", "data/d:1", "--policy", "stat.yaml")
    assert served(*asked).code == 0
    before = os.stat("out/weights")
    Path("out/weights").write_text("4")
    os.utime("out/weights", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert served(*asked).code == 12


def test_another_word_is_a_mistake(served: Run) -> None:
    Path("no.yaml").write_text(POLICY.format(recheck="never"))
    failed = served("verify", "out", "--as", "data/d:1", "--policy", "no.yaml")
    assert failed.code != 0
    assert "one of hash, stat" in failed.err
