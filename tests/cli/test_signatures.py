"""audit --signatures, trust publish and pinned trust roots at the command line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from stemma_cli.meter import Meter
from tests.cli.test_commands import Run, filled, run

__all__ = ["filled", "run"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def document(done: Any) -> Any:
    return json.loads(done.out)


def damage(home: Path, sql: str) -> None:
    (path,) = (home / "catalogues").glob("*.sqlite3")
    database = sqlite3.connect(path)
    database.execute(sql)
    database.commit()
    database.close()


def test_verified_again(filled: Run, home: Path) -> None:
    done = filled("audit", "--signatures")
    assert done.code == 0
    assert " statements verified again" in done.out
    assert done.out.splitlines()[-1] == "whole"
    assert document(filled("audit", "--json"))["signatures"] is None

    damage(home, "UPDATE statement SET predicate_type = 'd' WHERE id = 1")
    assert filled("audit").code == 0
    done = filled("audit", "--signatures", "--json")
    assert done.code == 12
    found = document(done)
    assert found["signatures"]["differences"] > 0
    assert {finding["what"] for finding in found["findings"]} == {"catalogue"}
    assert filled("rebuild").code == 0
    assert filled("audit", "--signatures").code == 0

    damage(home, "DROP TABLE subject")
    done = filled("audit", "--signatures", "--json")
    assert (done.code, document(done)["signatures"]) == (14, None)
    assert document(done)["findings"][0]["what"] == "unreadable"


def test_a_bundle_that_is_lost_is_named_by_both(filled: Run, home: Path) -> None:
    (path,) = (home / "catalogues").glob("*.sqlite3")
    database = sqlite3.connect(path)
    bundle = database.execute("SELECT bundle FROM statement").fetchone()[0].hex()
    database.close()
    (home / "registry" / "blobs" / "sha256" / bundle[:2] / bundle[2:]).unlink()
    done = filled("audit", "--signatures", "--json")
    assert done.code == 14
    assert {f["what"] for f in document(done)["findings"]} == {"missing", "unreadable"}


def test_what_would_change(filled: Run, home: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_bytes((home / "trust.yaml").read_bytes())
    assert "nothing changes" in filled("audit", "--signatures", "--trust", str(new)).out
    assert filled("trust", "revoke", "owner", "--trust", str(new)).code == 0
    done = filled("audit", "--signatures", "--trust", str(new), "--limit", "1")
    assert done.code == 0
    assert "attested -> signed: " in done.out
    assert "artifacts no longer believed" in done.out
    assert "more (--limit)" in done.out
    found = document(filled("audit", "--signatures", "--trust", str(new), "--json"))
    change = found["signatures"]["change"]
    assert change["trust"] != found["signatures"]["trust"]
    assert change["signers"][0]["lost"]["statements"] > 0
    assert change["artifacts"]["lost"] > 0
    assert filled("audit", "--trust", str(new)).code == 2


def test_pinned_in_the_registry(filled: Run, home: Path, tmp_path: Path) -> None:
    reviewed = home / "trust.yaml"
    done = filled("trust", "publish", str(reviewed), "--json")
    assert done.code == 0
    digest = document(done)["digest"]
    assert document(filled("trust", "publish", str(reviewed), "--json"))["entry"] is None
    assert filled("trust", "publish", str(reviewed)).out.strip() == digest
    absent = "sha256:" + "0" * 64
    assert filled("verify", "models/m:1", "--trust", digest).code == 0
    assert filled("verify", "models/m:1", "--trust", f"{reviewed}@{digest}").code == 0
    assert filled("verify", "models/m:1", "--trust", absent).code == 14
    assert filled("verify", "models/m:1", "--trust", f"{reviewed}@{absent}").code == 12
    assert filled("verify", "models/m:1", "--trust", "sha256:12").code == 2

    kept = reviewed.read_bytes()
    (home / "config.yaml").write_text(f"trust: {digest}\n")
    reviewed.write_text("format: urn:stemma:trust-root:v0.1\nsigners: []\n")
    assert document(filled("verify", "models/m:1", "--json"))["trust_root"] == digest
    assert document(filled("trust", "show", "--json"))["digest"] == digest
    assert filled("trust", "revoke", "owner").code == 1
    assert "pin" in filled("trust", "revoke", "owner").err
    backup = str(tmp_path / "backup")
    assert filled("replicate", str(home / "registry"), backup, "--verify").code == 0
    assert filled("--registry", backup, "verify", "models/m:1").code == 0
    assert filled("audit", "--signatures").code == 0
    assert filled("doctor").code == 0
    blob = home / "registry" / "blobs" / "sha256" / digest[7:9] / digest[9:]
    blob.chmod(0o644)
    blob.write_bytes(kept.replace(b"owner", b"ownor"))
    assert filled("verify", "models/m:1").code == 12
    blob.unlink()
    assert filled("verify", "models/m:1").code == 14
    assert filled("doctor").code == 14
    assert filled("trust", "publish", __file__).code == 2
    assert filled("trust", "publish", str(reviewed)).code == 14  # another one than is pinned
    reviewed.write_bytes(kept)
    assert filled("trust", "publish", str(reviewed)).code == 0
    assert filled("verify", "models/m:1").code == 0


def test_progress_counts_things() -> None:
    moments = iter([0.0, 2.0])
    meter = Meter("verifying", lambda: next(moments), "entries")
    meter.expect(40)
    meter._done = 10
    assert meter.line(2.0) == "verifying 10 entries of 40 entries, 5 entries/s, 0:06 left"
