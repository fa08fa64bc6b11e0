"""ledger export, verify and restore at the command line: codes, JSON and words for people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_commands import Run, filled, run
from tests.git.hosts import host
from tests.git.ledgers import copied, files, git, rewrite

__all__ = ["filled", "run"]


def test_export_clone_lose_and_restore(filled: Run, tmp_path: Path) -> None:
    registry, folder = tmp_path / "home" / "registry", tmp_path / "history.git"
    first = filled("ledger", "export", str(folder), "--json")
    assert first.code == 0
    told = json.loads(first.out)
    assert (told["head"], told["new"], told["checkpoint"]) == (4, 5, 4)
    assert told["object_format"] == "sha1"
    assert "0 new commits, at entry 4" in filled("ledger", "export", str(folder)).out
    clone = copied(folder, tmp_path / "served" / "clone.git")
    with host(tmp_path / "served") as url:
        seen = filled("ledger", "verify", f"{url}/clone.git", "--json")
    assert seen.code == 0
    assert json.loads(seen.out)["commit"] == told["commit"]
    assert json.loads(seen.out)["vouched_by"] == "owner"

    assert filled("ledger", "restore", str(clone)).code == 1
    shutil.rmtree(registry / "ledger")
    shutil.rmtree(tmp_path / "home" / "catalogues")
    assert filled("verify", "models/m:1").code == 3
    done = filled("ledger", "restore", str(clone))
    assert done.code == 0
    assert "restored 5 ledger entries" in done.out
    assert filled("audit").out.splitlines()[-1] == "whole"
    assert filled("verify", "models/m:1").code == 0


def test_codes(filled: Run, tmp_path: Path) -> None:
    folder = tmp_path / "history.git"
    assert filled("ledger", "export", str(folder)).code == 0
    strangers = tmp_path / "nobody.yaml"
    strangers.write_text("format: urn:stemma:trust-root:v0.1\nsigners: []\n")
    head = git(folder, "rev-parse", "ledger")
    asked = ("ledger", "verify", str(folder))
    assert "entry 4 was seen here before" in filled(*asked).out

    rewrite(folder, {**files(folder, "ledger"), "more": b"x"})
    wrong = filled(*asked)
    assert wrong.code == 12
    assert "wrong  entry 4" in wrong.out
    assert wrong.out.splitlines()[-1] == "NOT WHOLE: 1 commits"
    refused = filled("--registry", str(tmp_path), "ledger", "restore", str(folder), "--json")
    assert (refused.code, json.loads(refused.out)["code"]) == (12, 12)

    git(folder, "update-ref", "refs/heads/ledger", f"{head}~1")
    assert filled(*asked).code == 14
    git(folder, "update-ref", "-d", "refs/tags/checkpoint/4")
    assert filled(*asked).code == 14
    assert "--stale-ok" in filled(*asked).err
    assert filled(*asked, "--stale-ok").code == 13  # nobody has signed for entry 3
    git(folder, "update-ref", "refs/heads/ledger", head)
    shutil.rmtree(tmp_path / "home" / "heads")
    stranger = filled(*asked, "--trust-root", str(strangers))
    assert stranger.code == 13
    assert "NOT VERIFIED" in stranger.out
    assert filled("ledger", "verify", str(tmp_path / "none")).code == 3


@pytest.mark.parametrize("url", ["ext::sh -c id", "--upload-pack=id", "file:///none", "git://x/y"])
def test_a_url_that_is_none(filled: Run, url: str) -> None:
    assert filled("ledger", "verify", "--", url).code in (1, 3)
