"""Test results: what other tools write is read, and what contradicts itself is refused."""

from __future__ import annotations

from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import test_result as results
from stemma_attestations.predicates.test_result import TestResult
from stemma_attestations.statement import ResourceDescriptor

# https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
EXAMPLE: dict[str, Any] = {
    "result": "PASSED",
    "configuration": [
        {
            "name": ".github/workflows/ci.yml",
            "downloadLocation": "https://example.org/ci.yml",
            "digest": {"gitBlob": "0" * 40},
        }
    ],
    "url": "https://example.org/runs/1",
    "passedTests": ["build (3.7)", "build (3.8)"],
    "warnedTests": [],
    "failedTests": [],
}


def test_the_example_of_the_specification() -> None:
    read = results.parse(EXAMPLE)
    assert (read.result, read.passed) == ("PASSED", ("build (3.7)", "build (3.8)"))
    assert read.configuration[0].name == ".github/workflows/ci.yml"
    assert read.url == "https://example.org/runs/1"
    assert results.build(read) == EXAMPLE


def test_lists_may_be_left_out() -> None:
    assert results.parse({"result": "FAILED", "configuration": []}).failed == ()


def test_what_is_built_is_read() -> None:
    scanner = ResourceDescriptor(name="s", digests=(Digest.of(b"x"),))
    made = TestResult("FAILED", (scanner,), ("a",), ("b",), ("c",), "https://example.org")
    read = results.parse(results.build(made))
    assert (read.passed, read.warned, read.failed, read.url) == (
        ("a",),
        ("b",),
        ("c",),
        "https://example.org",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"result": "passed"},
        {"result": None},
        {"configuration": None},
        {"configuration": {}},
        {"configuration": [1]},
        {"configuration": [{}] * 1_001},
        {"passedTests": "a"},
        {"passedTests": [1]},
        {"passedTests": [""]},
        {"passedTests": ["a", "a"]},
        {"passedTests": ["a"], "warnedTests": ["a"], "result": "WARNED"},
        {"failedTests": ["a"]},
        {"failedTests": ["a"], "result": "WARNED"},
        {"warnedTests": ["a"]},
        {"url": 1},
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        results.parse({**EXAMPLE, **changes})


def test_nothing_is_built_that_would_not_be_read() -> None:
    with pytest.raises(BadStatement):
        results.build(TestResult("PASSED", (), failed=("a",)))
