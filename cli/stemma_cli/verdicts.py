"""What the gate found, for people and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stemma_cli import exits, output

if TYPE_CHECKING:
    from stemma_attestations.verdict import Verdict


def document(verdict: Verdict, code: int, failure: Exception | None) -> dict[str, Any]:
    """A verdict as `--json` prints it."""
    from stemma_registry import gate

    return {
        "verified": verdict.passed,
        "code": code,
        "kind": type(failure).__name__ if failure else None,
        "reason": str(failure) if failure else None,
        "resource": verdict.resource,
        "artifact": str(verdict.artifact) if verdict.artifact else None,
        "name": str(verdict.name) if verdict.name else None,
        "trust_root": str(verdict.trust_root),
        "policy": {
            "name": verdict.policy.name,
            "digest": str(verdict.policy.digest),
            "source": dict(verdict.policy.source),
        },
        "stage": verdict.stage,
        "entry": verdict.entry,
        "status_age": None if verdict.age is None else int(verdict.age.total_seconds()),
        "warnings": list(verdict.warnings),
        "vsa": json.loads(gate.summary(verdict).raw) if verdict.artifact else None,
        "steps": [step.to_json() for step in verdict.steps],
    }


def report(verdict: Verdict, code: int, who: str = "") -> None:
    """A verdict for people: the first line says it, then come the steps."""
    output.line(headline(code, f"{who}{verdict.resource}"))
    source = verdict.policy.source
    if "repository" in source:
        said = f"{source['path']} of {source['repository']}, commit {source['gitCommit'][:12]}"
        output.line(f"  policy {said}")
    for step in verdict.steps:
        output.line(f"  {output.mark(str(step.outcome))} {step.number} {step.title}")
        for detail in step.details:
            output.line(f"      {detail}")
    for warning in verdict.warnings:
        output.line(f"  ! {warning}")


def headline(code: int, resource: str) -> str:
    """The verdict in a line."""
    if code == exits.DONE:
        return f"VERIFIED  {resource}"
    why = "" if code == exits.NOT_VERIFIED else f"{exits.MEANING[code]}, "
    return f"NOT VERIFIED ({why}exit {code})  {resource}"
