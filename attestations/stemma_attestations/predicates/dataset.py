"""`urn:stemma:dataset:v0.1`: what a dataset is made of. See docs/formats/dataset.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.errors import BadStatement
from stemma_attestations.manifest import Manifest
from stemma_attestations.statement import text

TYPE = "urn:stemma:dataset:v0.1"


@dataclass(frozen=True)
class Dataset:
    """`files` and `size` (bytes) in all; `formats` counts files by their suffix."""

    files: int
    size: int
    formats: Mapping[str, int]
    source: str | None
    licence: str | None
    raw: Mapping[str, Any]


def build(
    manifest: Manifest, *, source: str | None = None, licence: str | None = None
) -> dict[str, Any]:
    """The predicate about the dataset that `manifest` describes."""
    formats: dict[str, int] = {}
    for entry in manifest.entries:
        stem, dot, suffix = entry.path.rpartition("/")[2].rpartition(".")
        suffix = suffix.lower() if dot and stem else ""
        formats[suffix] = formats.get(suffix, 0) + 1
    predicate: dict[str, Any] = {
        "files": len(manifest.entries),
        "size": manifest.size,
        "formats": formats,
    }
    if source is not None:
        predicate["source"] = source
    if licence is not None:
        predicate["license"] = licence
    return predicate


def parse(predicate: Mapping[str, Any]) -> Dataset:
    """Read a dataset predicate. Raises BadStatement."""
    files, size = predicate.get("files"), predicate.get("size")
    formats = predicate.get("formats", {})
    counts = [files, size, *(formats.values() if isinstance(formats, dict) else [None])]
    if not all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in counts):
        raise BadStatement("a dataset has files, size and formats, counted in whole numbers")
    return Dataset(
        files=predicate["files"],
        size=predicate["size"],
        formats=formats,
        source=text(predicate, "source"),
        licence=text(predicate, "license"),
        raw=predicate,
    )
