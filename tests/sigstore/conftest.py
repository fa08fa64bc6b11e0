"""The desk as a fixture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calling import caller
from tests.sigstore.desk import Desk
from tests.sigstore.stack import LocalSigstore


@pytest.fixture
def desk(
    tmp_path: Path,
    sigstore: LocalSigstore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    call = caller(capsys)

    def run(*arguments: str) -> tuple[int, Any]:
        code, out, _ = call(*arguments, "--json")
        return code, json.loads(out)

    return Desk(tmp_path, sigstore, run)
