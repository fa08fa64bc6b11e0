"""A missing program skips loudly, and fails where nothing may be skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from tests import programs

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest
from tests.programs import require_program

def test_program(monkeypatch):
    monkeypatch.setenv("PATH", "")
    require_program("strace")

@pytest.mark.skipif(True, reason="some other reason")
def test_other(): ...

@pytest.mark.xfail(strict=True)
def test_expected():
    assert False

def test_passes(): ...
"""
FILE = "import pytest\npytest.skip('a whole file', allow_module_level=True)\n"


@pytest.fixture(params=[False, True], ids=["lenient", "strict"])
def strict(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setenv("STEMMA_REQUIRE_ALL", "1" if request.param else "0")
    return bool(request.param)


def test_a_program_that_is_there_is_named(strict: bool) -> None:
    assert Path(programs.require_program("git")).is_file()


def test_a_program_that_is_missing_skips_or_fails(
    strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Failed if strict else Skipped, match="apt-get install strace"):
        programs.require_program("strace")


def test_a_program_nobody_knows_how_to_get_is_refused() -> None:
    with pytest.raises(KeyError):
        programs.require_program("no-such-program")


def test_make_test_says_what_is_missing(
    strict: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert programs.main() == (1 if strict and "MISSING" in capsys.readouterr().err else 0)
    monkeypatch.setenv("PATH", "")
    assert programs.main() == (1 if strict else 0)
    said = capsys.readouterr().err
    assert all(f"apt-get install {package}" in said for package in programs.PACKAGES.values())


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_the_run_says_what_was_not_tested(
    strict: bool, workers: tuple[str, ...], tmp_path: Path
) -> None:
    code, told = run(tmp_path, TESTS, *workers)
    if strict:
        assert code == 1, told
        assert "nothing may be skipped here (STEMMA_REQUIRE_ALL): Skipped: some other" in told
        assert "needs strace (Debian: apt-get install strace)" in told
        assert "1 failed, 1 passed, 1 xfailed, 1 error" in told  # a mark skips in set-up
    else:
        assert code == 0, told
        assert "NOT TESTED (1): Skipped: needs strace (Debian: apt-get install strace)" in told
        assert "NOT TESTED (1): Skipped: some other reason" in told
        assert "1 passed, 2 skipped, 1 xfailed" in told


def test_a_file_that_skips_itself_is_seen(strict: bool, tmp_path: Path) -> None:
    code, told = run(tmp_path, FILE)
    if strict:
        assert code == pytest.ExitCode.INTERRUPTED, told
        assert "nothing may be skipped here (STEMMA_REQUIRE_ALL): Skipped: a whole file" in told
    else:
        assert code == pytest.ExitCode.NO_TESTS_COLLECTED, told
        assert "NOT TESTED (1): Skipped: a whole file" in told


def run(folder: Path, text: str, *options: str) -> tuple[int, str]:
    """A run of pytest over one file, with the hooks of this project."""
    (folder / "test_file.py").write_text(text)
    # A base of its own: else it clears away what runs before left behind, which takes minutes.
    plugins = ("-p", "tests.conftest", "-p", "no:cacheprovider", "--basetemp", folder / "base")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "--rootdir", folder, *options, folder],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # of a machine that does other things, too
    )
    return done.returncode, done.stdout
