"""What a scan found: `urn:stemma:format-scan:v0.1`, and the test result made of it.

See docs/formats/format-scan.md. The same bytes give the same report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations import __version__, canonical
from stemma_attestations.digest import Digest
from stemma_attestations.predicates import test_result
from stemma_attestations.predicates.test_result import TestResult
from stemma_attestations.statement import ResourceDescriptor
from stemma_registry.formats import pickle_names
from stemma_registry.formats.findings import BOUNDS, RULES, Finding, Severity

FORMAT = "urn:stemma:format-scan:v0.1"
SCANNER = "stemma scan"


@dataclass(frozen=True)
class Scanned:
    """One file: its format, the formats in it, and what was found."""

    path: str
    size: int
    format: str
    contains: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Report:
    """All files, in the order of their paths."""

    files: tuple[Scanned, ...]

    @property
    def formats(self) -> Mapping[str, int]:
        """How many files there are of each format."""
        return dict(sorted(Counter(file.format for file in self.files).items()))

    @property
    def severities(self) -> Mapping[str, int]:
        """How many findings there are of each severity."""
        counts = Counter(finding.severity for file in self.files for finding in file.findings)
        return {str(severity): counts[severity] for severity in Severity}

    @property
    def result(self) -> str:
        """PASSED, WARNED where there is nothing but code, else FAILED."""
        found = {finding.severity for file in self.files for finding in file.findings}
        if found - {Severity.CODE}:
            return test_result.FAILED
        return test_result.WARNED if found else test_result.PASSED

    def to_json(self) -> dict[str, Any]:
        """The report."""
        return {
            "format": FORMAT,
            "scanner": {"name": SCANNER, "version": __version__, "rules": str(rules_digest())},
            "result": self.result,
            "formats": self.formats,
            "severities": self.severities,
            "files": [_file(file) for file in self.files],
        }

    def predicate(self) -> dict[str, Any]:
        """The test result, by rules: failed, warned, and all others passed."""
        seen = {finding.rule for file in self.files for finding in file.findings}
        codes = {rule for rule, (severity, _) in RULES.items() if severity is Severity.CODE}
        scanner = ResourceDescriptor(
            name=SCANNER,
            uri=FORMAT,
            digests=(rules_digest(),),
            annotations={
                "version": __version__,
                "files": len(self.files),
                "formats": self.formats,
            },
        )
        return test_result.build(
            TestResult(
                result=self.result,
                configuration=(scanner,),
                passed=tuple(rule for rule in RULES if rule not in seen),
                warned=tuple(rule for rule in RULES if rule in seen & codes),
                failed=tuple(rule for rule in RULES if rule in seen - codes),
            )
        )


def rules_digest() -> Digest:
    """What a result rests on: the rules, the names that pickles may import, the bounds."""
    return Digest.of(
        canonical.dumps(
            {
                "rules": {rule: str(severity) for rule, (severity, _) in RULES.items()},
                "called": sorted(".".join(key) for key in pickle_names.CALLED),
                "named": sorted(".".join(key) for key in pickle_names.NAMED),
                "bounds": vars(BOUNDS),
            }
        )
    )


def _file(file: Scanned) -> dict[str, Any]:
    return {
        "path": file.path,
        "size": file.size,
        "format": file.format,
        "contains": list(file.contains),
        "findings": [
            {
                "rule": finding.rule,
                "severity": str(finding.severity),
                "where": finding.where,
                "text": finding.text,
            }
            for finding in file.findings
        ],
    }
