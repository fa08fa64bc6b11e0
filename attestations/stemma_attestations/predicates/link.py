"""`https://in-toto.io/attestation/link/v0.3`: a step's materials; its products are the subjects.

https://github.com/in-toto/attestation/blob/main/spec/predicates/link.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemma_attestations.errors import BadStatement
from stemma_attestations.statement import ResourceDescriptor

TYPE = "https://in-toto.io/attestation/link/v0.3"


def materials(predicate: Mapping[str, Any]) -> tuple[ResourceDescriptor, ...]:
    """What a step read. Raises BadStatement."""
    if not isinstance(predicate.get("name"), str):
        raise BadStatement("a link has the name of its step")
    listed = predicate.get("materials") or []
    if not isinstance(listed, list):
        raise BadStatement("a link's materials are a list")
    return tuple(ResourceDescriptor.parse(item) for item in listed)
