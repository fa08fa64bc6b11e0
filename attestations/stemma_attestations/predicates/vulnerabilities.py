"""in-toto vulnerability reports: what a scanner found in what an artifact is made of.

https://github.com/in-toto/attestation/blob/main/spec/predicates/vuln.md
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.errors import BadStatement

TYPE = "https://in-toto.io/attestation/vulns/v0.2"
MAX_RESULTS = 100_000
HIGHEST = 10.0  # of a CVSS score


@dataclass(frozen=True)
class Vulnerability:
    """One of them; `score` is the highest that is given, and the worst where none is."""

    id: str
    score: float


@dataclass(frozen=True)
class Report:
    """What a scanner found."""

    scanner: str
    found: tuple[Vulnerability, ...]

    def above(self, score: float) -> tuple[Vulnerability, ...]:
        """Those that are worse than `score`, worst first."""
        worse = (one for one in self.found if one.score > score)
        return tuple(sorted(worse, key=lambda one: (-one.score, one.id)))


def parse(predicate: Mapping[str, Any]) -> Report:
    """Read the predicate. Raises BadStatement.

    A vulnerability without a score, or with one that is no number, counts as the worst:
    what nobody rated was not found harmless.
    """
    scanner = predicate.get("scanner")
    if not isinstance(scanner, dict) or not isinstance(scanner.get("uri"), str):
        raise BadStatement("a vulnerability report has a scanner with a uri")
    results = scanner.get("result")
    if not isinstance(results, list) or len(results) > MAX_RESULTS:
        raise BadStatement("a vulnerability report has a scanner.result, a list")
    return Report(scanner["uri"], tuple(_vulnerability(item) for item in results))


def _vulnerability(obj: object) -> Vulnerability:
    if not isinstance(obj, dict) or not isinstance(obj.get("id"), str) or not obj["id"]:
        raise BadStatement("a vulnerability has an id")
    ratings = obj.get("severity")
    scores = [_score(one) for one in ratings] if isinstance(ratings, list) else []
    return Vulnerability(obj["id"], max(scores, default=HIGHEST))


def _score(rating: object) -> float:
    score = rating.get("score") if isinstance(rating, dict) else None
    try:
        number = float(score)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return HIGHEST
    inside = math.isfinite(number) and 0 <= number <= HIGHEST and not isinstance(score, bool)
    return number if inside else HIGHEST
