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

    digest = str(query.digests(view.connection, [start])[start])
    waiting, count = [_line("trace", start=digest, direction="down", entry=view.n)], 0
    sidecar = registry.catalogue.path.with_suffix(csr.SUFFIX)
    with progress("tracing", things="nodes") as advance:
        for block in descent.blocks(view, start, depth, sidecar):
            if advance is not None:
                advance(block.nodes)
            waiting.append(block.lines)
            # What is found first is seen at once; then no more often than need be.
            if not count or sum(map(len, waiting)) >= _ENOUGH:
                click.echo(b"".join(waiting), nl=False)
                waiting = []
            count += block.nodes
    waiting.append(_line("end", nodes=count, left_out=0))
    click.echo(b"".join(waiting), nl=False)


def _line(kind: str, **values: str | int) -> bytes:
    return f"{json.dumps({'type': kind, **values})}\n".encode()
