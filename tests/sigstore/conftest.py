"""The desk as a fixture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemma_cli.main import main
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

    def run(*arguments: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as caught:
            main([*arguments, "--json"])
        out, _ = capsys.readouterr()
        return int(caught.value.code or 0), json.loads(out)

    return Desk(tmp_path, sigstore, run)
