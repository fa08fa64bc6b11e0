"""SLSA verification summaries (VSA) v1. See docs/formats/verdict.md.

https://slsa.dev/spec/v1.1/verification_summary . The numbered steps of the
recipe are an extension field, named by a URI as the specification asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.statement import ResourceDescriptor, text
from stemma_attestations.times import parse_time

TYPE = "https://slsa.dev/verification_summary/v1"
STEPS = "urn:stemma:verdict-steps:v0.1"
PASSED, FAILED = "PASSED", "FAILED"


@dataclass(frozen=True)
class Summary:
    """A parsed view; `raw` is the predicate as it was read."""

    verifier: str
    time: str
    resource: str
    policy: ResourceDescriptor
    inputs: tuple[ResourceDescriptor, ...]
    passed: bool
    levels: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    raw: Mapping[str, Any]


def build(
    *,
    verifier_id: str,
    verifier_version: Mapping[str, str],
    time_verified: str,
    resource_uri: str,
    policy: ResourceDescriptor,
    input_attestations: Sequence[Digest],
    passed: bool,
    steps: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The predicate. `time_verified` is RFC 3339, `input_attestations` are bundle digests.

    `verifiedLevels` is empty: no SLSA build level is claimed for a signature with a key.
    """
    return {
        "verifier": {"id": verifier_id, "version": dict(verifier_version)},
        "timeVerified": time_verified,
        "resourceUri": resource_uri,
        "policy": policy.to_json(),
        "inputAttestations": [
            {"digest": {digest.algorithm: digest.value}} for digest in input_attestations
        ],
        "verificationResult": PASSED if passed else FAILED,
        "verifiedLevels": [],
        "slsaVersion": "1.1",
        STEPS: [dict(step) for step in steps],
    }


def parse(predicate: Mapping[str, Any]) -> Summary:
    """Read a verification summary. Raises BadStatement."""
    verifier = predicate.get("verifier")
    verifier_id = text(verifier, "id") if isinstance(verifier, dict) else None
    time, resource = text(predicate, "timeVerified"), text(predicate, "resourceUri")
    if not verifier_id or not time or not resource:
        raise BadStatement("a verification summary has verifier.id, timeVerified and resourceUri")
    result = predicate.get("verificationResult")
    if result not in (PASSED, FAILED):
        raise BadStatement("verificationResult is PASSED or FAILED")
    try:
        parse_time(time)
    except Malformed as error:
        raise BadStatement(f"timeVerified: {error}") from error
    return Summary(
        verifier=verifier_id,
        time=time,
        resource=resource,
        policy=ResourceDescriptor.parse(predicate.get("policy")),
        inputs=tuple(map(ResourceDescriptor.parse, _list(predicate, "inputAttestations"))),
        passed=result == PASSED,
        levels=tuple(str(level) for level in _list(predicate, "verifiedLevels")),
        steps=tuple(step for step in _list(predicate, STEPS) if isinstance(step, dict)),
        raw=predicate,
    )


def _list(predicate: Mapping[str, Any], field: str) -> list[Any]:
    value = predicate.get(field, [])
    if not isinstance(value, list):
        raise BadStatement(f"{field} is a list")
    return value
