"""in-toto test results: what a scan, a test suite or an evaluation gave.

https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md . See
docs/formats/format-scan.md for the one that Stemma makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stemma_attestations.errors import BadStatement
from stemma_attestations.statement import ResourceDescriptor, text

TYPE = "https://in-toto.io/attestation/test-result/v0.1"
PASSED, WARNED, FAILED = "PASSED", "WARNED", "FAILED"
MAX_TESTS = 100_000
MAX_CONFIGURATION = 1_000


@dataclass(frozen=True)
class TestResult:
    """A result, what it was made with, and the names of the tests by how they went.

    `raw` is the predicate as it was read.
    """

    __test__ = False  # no test of ours, whatever its name makes pytest think

    result: str
    configuration: tuple[ResourceDescriptor, ...]
    passed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    url: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def build(result: TestResult) -> dict[str, Any]:
    """The predicate. Raises BadStatement for what `parse` would refuse."""
    predicate: dict[str, Any] = {
        "result": result.result,
        "configuration": [descriptor.to_json() for descriptor in result.configuration],
        "passedTests": list(result.passed),
        "warnedTests": list(result.warned),
        "failedTests": list(result.failed),
    }
    if result.url is not None:
        predicate["url"] = result.url
    parse(predicate)
    return predicate


def parse(predicate: Mapping[str, Any]) -> TestResult:
    """Read the predicate. Raises BadStatement.

    A test that both passed and failed, or a result that is better than its tests, is
    refused: readers would choose differently between them.
    """
    result = predicate.get("result")
    if result not in (PASSED, WARNED, FAILED):
        raise BadStatement("the result of a test is PASSED, WARNED or FAILED")
    configuration = predicate.get("configuration")
    if not isinstance(configuration, list) or len(configuration) > MAX_CONFIGURATION:
        raise BadStatement("a test result has a configuration, a list of resource descriptors")
    passed, warned, failed = (
        _names(predicate, key) for key in ("passedTests", "warnedTests", "failedTests")
    )
    if len({*passed, *warned, *failed}) != len(passed) + len(warned) + len(failed):
        raise BadStatement("a test result names a test twice")
    if (failed and result != FAILED) or (warned and result == PASSED):
        raise BadStatement(f"the result is {result}, and tests went worse")
    descriptors = tuple(map(ResourceDescriptor.parse, configuration))
    return TestResult(
        result, descriptors, passed, warned, failed, text(predicate, "url"), predicate
    )


def _names(predicate: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = predicate.get(key, [])
    if not isinstance(value, list) or len(value) > MAX_TESTS:
        raise BadStatement(f"{key} is a list of names")
    if not all(isinstance(name, str) and name for name in value):
        raise BadStatement(f"{key} is a list of names")
    return tuple(value)
