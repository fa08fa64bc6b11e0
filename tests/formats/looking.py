"""Scanning bytes that are in memory."""

from __future__ import annotations

import contextlib
import io

from stemma_registry.formats.findings import BOUNDS, Bounds, Severity
from stemma_registry.formats.report import Scanned
from stemma_registry.formats.scan import Item, scan_file
from stemma_registry.formats.sources import Opened


def scan(name: str, data: bytes, bounds: Bounds = BOUNDS) -> Scanned:
    return scan_file(Item(name, lambda: contextlib.nullcontext(Opened(io.BytesIO(data)))), bounds)


def rules(file: Scanned) -> set[str]:
    return {finding.rule for finding in file.findings}


def bad(file: Scanned) -> list[str]:
    """The findings that fail a scan."""
    return [f"{f.rule} {f.where}: {f.text}" for f in file.findings if f.severity != Severity.CODE]
