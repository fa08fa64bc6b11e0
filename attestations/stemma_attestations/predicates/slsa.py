"""SLSA provenance v0.1 and v0.2, as other builders wrote it: read for its materials.

https://slsa.dev/spec/v0.2/provenance ; `invocation.configSource` is a material too where it
is not listed as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemma_attestations.errors import BadStatement
from stemma_attestations.statement import ResourceDescriptor

TYPE_V01 = "https://slsa.dev/provenance/v0.1"
TYPE_V02 = "https://slsa.dev/provenance/v0.2"


def materials(predicate: Mapping[str, Any]) -> tuple[ResourceDescriptor, ...]:
    """What a build used. Raises BadStatement."""
    builder = predicate.get("builder")
    if not isinstance(builder, dict) or not isinstance(builder.get("id"), str):
        raise BadStatement("provenance names its builder")
    listed = predicate.get("materials") or []
    if not isinstance(listed, list):
        raise BadStatement("materials is a list")
    invocation = predicate.get("invocation") or {}
    source = invocation.get("configSource") if isinstance(invocation, dict) else None
    found = [ResourceDescriptor.parse(item) for item in listed]
    if isinstance(source, dict) and (source.get("uri") or source.get("digest")):
        config = ResourceDescriptor.parse(source)
        known = {(one.uri, one.digests) for one in found}
        found += [] if (config.uri, config.digests) in known else [config]
    return tuple(found)
