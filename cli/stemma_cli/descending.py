"""`stemma trace --nearest`: descendants as lines of JSON while they are found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from stemma_cli.session import progress

if TYPE_CHECKING:
    from stemma_registry.registry import Registry, Snapshot

_ENOUGH = 64 * 1024  # bytes that are worth a system call


def show(registry: Registry, view: Snapshot, start: int, depth: int | None) -> None:
    """Print a line for the question, one for each descendant, and one with the counts."""
    from stemma_registry.catalogue import query
    from stemma_registry.lineage import csr, descent

    out = click.get_binary_stream("stdout")
    count = waiting = 0
    digest = str(query.digests(view.connection, [start])[start])
    out.write(_line("trace", start=digest, direction="down", entry=view.n))
    sidecar = registry.catalogue.path.with_suffix(csr.SUFFIX)
    with progress("tracing", things="nodes") as advance:
        for block in descent.blocks(view, start, depth, sidecar):
            out.write(block.lines)
            if advance is not None:
                advance(block.nodes)
            # What is found first is seen at once; then no more often than need be.
            waiting = waiting + len(block.lines) if count else _ENOUGH
            count += block.nodes
            if waiting >= _ENOUGH:
                out.flush()
                waiting = 0
    out.write(_line("end", nodes=count, left_out=0))
    out.flush()


def _line(kind: str, **values: str | int) -> bytes:
    return f"{json.dumps({'type': kind, **values})}\n".encode()
