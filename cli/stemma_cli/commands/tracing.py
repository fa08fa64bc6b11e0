"""trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session

if TYPE_CHECKING:
    from stemma_registry.reference import Resolved
    from stemma_registry.registry import Snapshot

FORMATS = ("tree", "table", "json", "dot", "mermaid")


@click.command()
@click.argument("subject", metavar="REF|FILE")
@click.option("--up", is_flag=True, help="What it came from, instead of what came from it.")
@click.option("--depth", type=click.IntRange(min=1), help="At most so many edges away.")
@click.option("--to", "target", metavar="REF", help="Only the ways from REF to this one.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="tree", show_default=True)
@click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)
@pass_session
def trace(
    session: Session,
    subject: str,
    up: bool,
    depth: int | None,
    target: str | None,
    form: str,
    trust: str | None,
) -> None:
    """Show every descendant of REF, or of a FILE on disk, with the word behind each edge.

    Edges are `attested` (a believed signature), `signed` (a valid one by
    somebody not believed for this), `claimed` (unsigned) or `contains` (bytes).
    """
    from stemma_cli import trace_formats
    from stemma_registry.lineage.trace import Direction, between
    from stemma_registry.lineage.trace import trace as walk

    if target is not None and depth is not None:
        raise click.UsageError("--to shows whole ways between two; it takes no --depth")
    with session.view(trust) as (_, view):
        start = _start(view, subject)
        if target is not None:
            from stemma_registry.reference import resolve

            ends = (start.node, resolve(view, target).node)
            found, paths = between(view, *(ends[::-1] if up else ends))
        else:
            direction = Direction.UP if up else Direction.DOWN
            found, paths = walk(view, start.node, direction, depth), None
    trace_formats.show(found, paths, "json" if session.json else form)
    if target is not None and not paths:
        output.note(f"stemma: there is no way between {subject} and {target}")
        click.get_current_context().exit(exits.NOT_FOUND)


def _start(view: Snapshot, subject: str) -> Resolved:
    """The node of a reference, or of a file's or directory's bytes. Raises NotFound."""
    from stemma_registry.reference import looks_like_reference, resolve

    if looks_like_reference(subject):
        return resolve(view, subject)
    from stemma_registry.directory import identify

    path = Path(subject)
    return resolve(view, str(identify(path)))
