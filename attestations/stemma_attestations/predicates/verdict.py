"""SLSA verification summaries (VSA) v1. See docs/formats/verdict.md.

https://slsa.dev/spec/v1.2/verification_summary . The numbered steps of the
recipe are an extension field, named by a URI as the specification asks.
"""

from __future__ import annotations

import re
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
SLSA_VERSION = "1.2"
# What the specification has for "no claim about the build track".
UNEVALUATED = "SLSA_BUILD_LEVEL_UNEVALUATED"
_LEVEL = re.compile(r"SLSA_([A-Z]+)_LEVEL_(?:\d+|UNEVALUATED)\Z", re.ASCII)


@dataclass(frozen=True)
class Summary:
    """A parsed view; `raw` is the predicate as it was read.

    `time` is None where the verifier did not say it (optional since SLSA 1.1),
    `dependencies` (level to count) where it claims nothing about dependencies.
    """

    verifier: str
    versions: Mapping[str, str]
    time: str | None
    resource: str
    policy: ResourceDescriptor
    inputs: tuple[ResourceDescriptor, ...]
    passed: bool
    levels: tuple[str, ...]
    dependencies: Mapping[str, int] | None
    slsa_version: str | None
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
    verified_levels: Sequence[str] = (),
) -> dict[str, Any]:
    """The predicate. `time_verified` is RFC 3339, `input_attestations` are bundle digests.

    Without `verified_levels` no SLSA level is claimed. A verdict that did not
    pass has none. Raises BadStatement for what `parse` would refuse.
    """
    if verified_levels and not passed:
        raise BadStatement("a verdict that did not pass has no verified levels")
    predicate = {
        "verifier": {"id": verifier_id, "version": dict(verifier_version)},
        "timeVerified": time_verified,
        "resourceUri": resource_uri,
        "policy": policy.to_json(),
        "inputAttestations": [
            {"digest": {digest.algorithm: digest.value}} for digest in input_attestations
        ],
        "verificationResult": PASSED if passed else FAILED,
        "verifiedLevels": list(verified_levels) or [UNEVALUATED if passed else FAILED],
        "slsaVersion": SLSA_VERSION,
        STEPS: [dict(step) for step in steps],
    }
    parse(predicate)
    return predicate


def parse(predicate: Mapping[str, Any]) -> Summary:
    """Read a verification summary, ours or another's. Raises BadStatement.

    Fields that are not known are passed over and stay in `raw`.
    """
    verifier = predicate.get("verifier")
    if not isinstance(verifier, Mapping):
        raise BadStatement("a verification summary has a verifier")
    verifier_id, resource = text(verifier, "id"), text(predicate, "resourceUri")
    if not verifier_id or not resource:
        raise BadStatement("a verification summary has verifier.id and resourceUri")
    result = predicate.get("verificationResult")
    if result not in (PASSED, FAILED):
        raise BadStatement("verificationResult is PASSED or FAILED")
    policy = ResourceDescriptor.parse(predicate.get("policy"))
    if not policy.uri:
        raise BadStatement("the policy of a verification summary has a uri")
    return Summary(
        verifier=verifier_id,
        versions=_versions(verifier),
        time=_time(predicate),
        resource=resource,
        policy=policy,
        inputs=_inputs(predicate),
        passed=result == PASSED,
        levels=_levels(predicate, passed=result == PASSED),
        dependencies=_dependencies(predicate),
        slsa_version=text(predicate, "slsaVersion"),
        steps=_steps(predicate),
        raw=predicate,
    )


def _versions(verifier: Mapping[str, Any]) -> Mapping[str, str]:
    versions = verifier.get("version") or {}
    if not isinstance(versions, Mapping) or not all(isinstance(v, str) for v in versions.values()):
        raise BadStatement("verifier.version is an object of component: version")
    return versions


def _time(predicate: Mapping[str, Any]) -> str | None:
    time = text(predicate, "timeVerified")
    if time is not None:
        try:
            parse_time(time)
        except Malformed as error:
            raise BadStatement(f"timeVerified: {error}") from error
    return time


def _inputs(predicate: Mapping[str, Any]) -> tuple[ResourceDescriptor, ...]:
    inputs = tuple(map(ResourceDescriptor.parse, _list(predicate, "inputAttestations")))
    if not all(item.digests for item in inputs):
        raise BadStatement("every input attestation has a digest")
    return inputs


def _levels(predicate: Mapping[str, Any], *, passed: bool) -> tuple[str, ...]:
    if "verifiedLevels" not in predicate:
        raise BadStatement("a verification summary has verifiedLevels")
    levels = _list(predicate, "verifiedLevels")
    if not all(isinstance(level, str) for level in levels):
        raise BadStatement("verifiedLevels is a list of text")
    if passed and FAILED in levels:
        raise BadStatement("verificationResult is PASSED, verifiedLevels says FAILED")
    tracks = [match[1] for match in map(_LEVEL.match, levels) if match]
    if len(set(tracks)) != len(tracks):
        raise BadStatement("verifiedLevels has two levels of one track")
    return tuple(levels)


def _dependencies(predicate: Mapping[str, Any]) -> Mapping[str, int] | None:
    counts = predicate.get("dependencyLevels")
    if counts is None:
        return None
    if not isinstance(counts, Mapping) or not all(map(_is_count, counts.values())):
        raise BadStatement("dependencyLevels counts dependencies by level")
    return counts


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _steps(predicate: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    steps = _list(predicate, STEPS)
    for step in steps:
        if not isinstance(step, Mapping) or not _is_count(step.get("number")):
            raise BadStatement(f"{STEPS} is a list of numbered steps")
        if not text(step, "title") or not text(step, "outcome"):
            raise BadStatement("a step has a title and an outcome")
        details = step.get("details", [])
        if not isinstance(details, list) or not all(isinstance(line, str) for line in details):
            raise BadStatement("a step's details are lines of text")
    return tuple(steps)


def _list(predicate: Mapping[str, Any], field: str) -> list[Any]:
    value = predicate.get(field, [])
    if not isinstance(value, list):
        raise BadStatement(f"{field} is a list")
    return value
