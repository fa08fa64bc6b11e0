"""What holds for every test."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.terminal import TerminalReporter

from tests import migrated, postgres
from tests.once import Once
from tests.programs import nothing_may_be_skipped

if TYPE_CHECKING:
    from tests.sigstore.stack import LocalSigstore

migrated.install()


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the user's home, Git configuration or Stemma settings."""
    home = tmp_path / "user-home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in (
        "STEMMA_HOME",
        "STEMMA_REGISTRY",
        "STEMMA_DATABASE_URL",
        "STEMMA_KEY_PASSPHRASE",
        "STEMMA_ID_TOKEN",
        "STEMMA_HSM_PIN",
    ):
        monkeypatch.delenv(name, raising=False)
    yield
    postgres.close()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Once:
    """What all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return Once((own.parent if hasattr(request.config, "workerinput") else own) / "once")


@pytest.fixture(scope="session")
def sigstore() -> Iterator[LocalSigstore]:
    """A Sigstore instance of the tests' own, on a loopback port."""
    from tests.sigstore.stack import LocalSigstore

    stack = LocalSigstore()
    yield stack
    stack.close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are collected, and none is garbage: nothing looks whether it is.

    What is there then stays, so that no later collection goes through it again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def _skips_nothing(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where nothing may be skipped; an expected failure is none."""
    if report.skipped and not hasattr(report, "wasxfail") and nothing_may_be_skipped():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped here (STEMMA_REQUIRE_ALL): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failed one where nothing may be skipped."""
    report = yield
    _skips_nothing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So is a file that skips itself."""
    report = yield
    _skips_nothing(report)
    return report


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say loudly what was not tested, and how to get what was missing."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]) for report in skipped if report.longrepr)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"NOT TESTED ({count}): {reason}", red=True, bold=True)
