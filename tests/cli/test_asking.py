"""`stemma trace`: which options go together, and what is said beside an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calling import caller
from tests.world import commit_all


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "a:1", "--depth", "2"), "--depth"),
        (("--to", "a:1", "--limit", "2"), "--limit"),
        (("--paths", "3"), "--to"),
        (("--coverage",), "--up"),
        (("--only-support",), "signer:WHO"),
        (("--only-support", "--up"), "alone"),
        (("--between", "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"), "earlier"),
        (("--between", "2026-01-01", "2026-01-01"), "earlier"),
        (("--between", "yesterday", "-"), "is no time"),
        (("--between", "2026-01-01", "-"), "signer"),
        (("--as-of", "yesterday"), "ledger entry"),
        (("--as-of", "99"), "no ledger entry 99"),
        (("--as-of", "2999-01-01T00:00:00Z"), "not come yet"),
    ],
)
def test_what_does_not_go_together(
    options: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = _registry(tmp_path, monkeypatch, capsys)
    code, out, err = run("trace", "a:1", *options)
    assert code in (1, 2, 3), out
    assert said in err
    assert "Traceback" not in err


def test_what_is_left_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _registry(tmp_path, monkeypatch, capsys)
    for name in ("b", "c"):
        (tmp_path / "work" / "data" / "x").write_text(name)
        pushed = run(
            *("push", "data", f"{name}:1", "--kind", "dataset"),
            *("--input", "derived-from=a:1", "--input", "merged-from=a:1"),
        )
        assert pushed[0] == 0
    code, out, err = run("trace", "a:1", "--limit", "1")
    assert (code, "1 more are left out" in err) == (0, True), err
    code, out, err = run("trace", "a:1", "--to", "c:1", "--paths", "1")
    assert (code, "1 of 2 ways" in err) == (0, True), err
    code, out, err = run("trace", "pkg:pypi/sqlalchemy", "--to", "c:1", "--up")
    assert code == 2, out + err
    code, out, err = run("trace", "stage:prod")
    assert code == 3


def _registry(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("STEMMA_HOME", str(folder / "home"))
    (folder / "work" / "data").mkdir(parents=True)
    (folder / "work" / "data" / "x").write_text("a")
    commit_all(folder / "work")
    monkeypatch.chdir(folder / "work")
    run = caller(capsys)
    assert run("init")[0] == 0
    assert run("push", "data", "a:1", "--kind", "dataset")[0] == 0
    return run
