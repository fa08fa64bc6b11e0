"""A request to quarantine something: a file that people review. See docs/formats/policy-sync.md."""

from __future__ import annotations

from dataclasses import dataclass

from stemma_attestations import yaml_strict
from stemma_attestations.errors import Malformed

FORMAT = "urn:stemma:quarantine-request:v0.1"
MAX_BYTES = 64 * 1024
MAX_TEXT = 4_000
_FIELDS = ("format", "target", "reason", "requested_by")


class BadRequest(Malformed):
    """A file that is no request, or says too little."""


@dataclass(frozen=True)
class QuarantineRequest:
    """`target` is NAME:VERSION or a digest, `requested_by` whom to ask."""

    target: str
    reason: str
    requested_by: str


def parse(raw: bytes) -> QuarantineRequest:
    """Read a request. Raises BadRequest."""
    if len(raw) > MAX_BYTES:
        raise BadRequest(f"a request of {len(raw)} bytes, at most {MAX_BYTES} are read")
    document = yaml_strict.load(raw, BadRequest)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadRequest(f"`format: {FORMAT}` is missing")
    unknown = [key for key in document if key not in _FIELDS]
    if unknown:
        raise BadRequest(f"unknown field {unknown[0]!r:.60} (known: {', '.join(_FIELDS)})")
    return QuarantineRequest(*(_text(document.get(field), field) for field in _FIELDS[1:]))


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"`{field}` is a text, and is missing")
    if len(value) > MAX_TEXT:
        raise BadRequest(f"`{field}` has more than {MAX_TEXT} characters")
    return value.strip()
