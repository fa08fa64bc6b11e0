"""audit, replicate and doctor at the command line: codes, JSON and words for people."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import Run, filled, run, write

__all__ = ["filled", "run"]


def blobs(registry: Path, data: bytes) -> list[Path]:
    found = (path for path in (registry / "blobs").rglob("*") if path.is_file())
    return [path for path in found if path.read_bytes() == data]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "home" / "registry"


def document(done: Any) -> Any:
    return json.loads(done.out)


def test_replicate_audit_repair(filled: Run, registry: Path, tmp_path: Path) -> None:
    backup = str(tmp_path / "backup")
    first = filled("replicate", str(registry), backup, "--verify", "--json")
    assert first.code == 0
    assert document(first)["head"] == 4
    assert document(first)["verified"] is True
    again = filled("replicate", str(registry), backup)
    assert again.code == 0
    assert "copied 0 ledger entries, 0 blobs" in again.out
    assert filled("--registry", backup, "verify", "models/m:1").code == 0

    (lost,) = blobs(registry, b"w1")
    lost.unlink()
    (registry / "ledger/000/000/000003.json").unlink()
    report = filled("audit", "--json")
    assert report.code == 14
    assert {finding["what"] for finding in document(report)["findings"]} == {"ledger", "missing"}
    assert "NOT WHOLE: 2 findings" in filled("audit").out
    mended = filled("audit", "--repair-from", backup)
    assert mended.code == 0
    assert "repaired  entry 3" in mended.out
    assert mended.out.splitlines()[-1] == "whole"
    assert filled("verify", "models/m:1").code == 0


def test_repair_from_a_directory(filled: Run, registry: Path) -> None:
    (lost,) = blobs(registry, b"poison")
    lost.chmod(0o644)
    lost.write_bytes(b"poisoX")
    report = filled("audit", "--read-data", "--json")
    assert report.code == 12
    (finding,) = document(report)["findings"]
    assert finding["needed_by"] == ["a of data/raw:1 (ledger entry 1)"]
    assert filled("audit", "--read-data", "--repair-from", "clean").code == 12
    assert filled("audit", "--read-data", "--repair-from", "raw").code == 0
    assert filled("audit", "--repair-from", "no-such-place").code == 3


def test_a_lost_first_entry_is_repaired(filled: Run, registry: Path, tmp_path: Path) -> None:
    assert filled("replicate", str(registry), str(tmp_path / "backup")).code == 0
    (registry / "ledger/000/000/000000.json").unlink()
    assert filled("audit").code == 3
    assert filled("audit", "--repair-from", str(tmp_path / "backup")).code == 0


def test_nothing_to_repair_is_not_whole(filled: Run, registry: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = filled("--registry", str(tmp_path / "empty"), "audit", "--repair-from", "raw")
    assert done.code == 3


def test_replicate_stops_before_what_is_damaged(
    filled: Run, registry: Path, tmp_path: Path
) -> None:
    (lost,) = blobs(registry, b"w1")
    lost.unlink()
    done = filled("replicate", str(registry), str(tmp_path / "backup"))
    assert done.code == 12
    assert "needed by weights of models/m:1 (ledger entry 2)" in done.out
    assert "STOPPED behind entry 1: 3 entries were not copied" in done.out
    backup = str(tmp_path / "backup")
    assert filled("--registry", backup, "audit", "--read-data").code == 0


def test_replicate_never_goes_back(filled: Run, registry: Path, tmp_path: Path) -> None:
    backup = str(tmp_path / "backup")
    assert filled("replicate", str(registry), backup).code == 0
    write("more", d="d")
    assert (
        filled("--registry", backup, "push", "more", "data/more:1", "--kind", "dataset").code == 0
    )
    done = filled("replicate", str(registry), backup)
    assert done.code == 14
    assert "ahead" in done.err
    assert filled("replicate", str(registry), str(registry)).code == 1
    assert filled("replicate", str(tmp_path / "none"), backup).code == 3


def test_replicate_verify_mends_the_target(filled: Run, registry: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert filled("replicate", str(registry), str(backup)).code == 0
    (harmed,) = blobs(backup, b"w1")
    harmed.chmod(0o644)
    harmed.write_bytes(b"w0")
    done = filled("replicate", str(registry), str(backup), "--verify")
    assert done.code == 0
    assert "repaired  sha256:" in done.out
    assert harmed.read_bytes() == b"w1"


def test_doctor(filled: Run, registry: Path, tmp_path: Path) -> None:
    done = filled("doctor")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "nothing failed"
    os.chmod(tmp_path / "home" / "key.pem", 0o644)
    done = filled("doctor", "--json")
    assert done.code == 14
    assert not document(done)["healthy"]
    (check,) = [c for c in document(done)["checks"] if c["outcome"] == "failed"]
    assert check["name"] == "signing key"
    assert "chmod 600" in check["mend"]
    assert "FAILED: 1 checks" in filled("doctor").out
