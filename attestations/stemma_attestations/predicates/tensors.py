"""`urn:stemma:tensors:v0.1`: which tensors an artifact holds. See docs/formats/tensors.md.

The subject is the artifact. The tensors stand in a table of their own, a blob that the same
ledger entry refers to, so that the statement stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest, parse_digest_set
from stemma_attestations.errors import BadDigest, BadStatement

TYPE = "urn:stemma:tensors:v0.1"


@dataclass(frozen=True)
class Tensors:
    """The table by its digest, and how many files and tensors it lists, for people."""

    table: Digest
    files: int
    tensors: int


def build(said: Tensors) -> dict[str, Any]:
    """The predicate."""
    return {
        "table": {said.table.algorithm: said.table.value},
        "files": said.files,
        "tensors": said.tensors,
    }


def parse(predicate: Mapping[str, Any]) -> Tensors:
    """Read the predicate. Raises BadStatement."""
    try:
        digests = {d.algorithm: d for d in parse_digest_set(predicate.get("table"))}
        table = digests["sha256"]
    except (BadDigest, KeyError) as error:
        raise BadStatement("a table of tensors is named by its SHA-256") from error
    return Tensors(table, _count(predicate, "files"), _count(predicate, "tensors"))


def _count(predicate: Mapping[str, Any], field: str) -> int:
    value = predicate.get(field)
    if type(value) is not int or value < 0:
        raise BadStatement(f"`{field}` of a table of tensors is a number")
    return value
