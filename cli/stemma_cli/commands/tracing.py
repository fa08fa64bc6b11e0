"""trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import exits, output, record_trace
from stemma_cli.session import Session, pass_session

if TYPE_CHECKING:
    from stemma_registry.reference import Resolved
    from stemma_registry.registry import Snapshot

FORMATS = ("tree", "table", "json", "jsonl", "csv", "dot", "mermaid", "html", "cyclonedx")


@click.command()
@click.argument("subject", metavar="REF|FILE|record:FILE|tensor:DIGEST")
@click.option("--up", is_flag=True, help="What it came from, instead of what came from it.")
@click.option("--depth", type=click.IntRange(min=1), help="At most so many edges away.")
@click.option("--to", "target", metavar="REF", help="Only the ways from REF to this one.")
@click.option("--deployed", is_flag=True, help="Only what runs somewhere, and the ways there.")
@click.option("--stage", metavar="STAGE", help="Only what runs at that stage.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="tree", show_default=True)
@click.option("--fields", metavar="A,B", help="Of record:FILE: compare these fields alone.")
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
    deployed: bool,
    stage: str | None,
    form: str,
    fields: str | None,
    trust: str | None,
) -> None:
    """Show every descendant of REF, or of a FILE on disk, with the word behind each edge.

    Edges are `attested` (a believed signature), `signed` (a valid one by
    somebody not believed for this), `claimed` (unsigned) or `contains` (bytes).
    record:FILE finds the datasets that have any record of FILE, and all that
    came from them.
    """
    if subject.startswith(record_trace.PREFIX):
        if up or depth or target or deployed or stage:
            raise click.UsageError("record:FILE takes --fields, --format and --trust alone")
        record_trace.run(session, subject[len(record_trace.PREFIX) :], fields, form, trust)
        return
    if fields is not None:
        raise click.UsageError("--fields is of record:FILE")
    from stemma_cli import trace_formats
    from stemma_registry.catalogue.deployed import Wanted
    from stemma_registry.lineage import deployments, whereabouts
    from stemma_registry.lineage.trace import Direction, between
    from stemma_registry.lineage.trace import trace as walk

    if target is not None and depth is not None:
        raise click.UsageError("--to shows whole ways between two; it takes no --depth")
    only = deployed or stage is not None
    if target is not None and only:
        raise click.UsageError("--to shows whole ways between two; it takes no --deployed, --stage")
    if subject.startswith("tensor:") and (up or only or depth is not None or target is not None):
        raise click.UsageError("what holds a tensor is traced downward, and whole")
    with session.view(trust) as (_, view):
        if subject.startswith("tensor:"):
            from stemma_registry.tensors import showing

            held = showing.trace(view, subject)
            trace_formats.show(held, None, "json" if session.json else form)
            return
        start = _start(view, subject)
        if target is not None:
            from stemma_registry.reference import resolve

            ends = (start.node, resolve(view, target).node)
            found, paths = between(view, *(ends[::-1] if up else ends))
        else:
            direction = Direction.UP if up else Direction.DOWN
            found, paths = walk(view, start.node, direction, depth), None
        running = deployments.load(view, Wanted(stage=stage))
        found = whereabouts.with_deployments(found, running)
    if only:
        trace_formats.show_deployed(whereabouts.only_deployed(found), _form(session, form))
        return
    trace_formats.show(found, paths, _form(session, form))
    if target is not None and not paths:
        output.note(f"stemma: there is no way between {subject} and {target}")
        click.get_current_context().exit(exits.NOT_FOUND)


def _form(session: Session, form: str) -> str:
    """The format: `--json` is a format too."""
    return "json" if session.json else form


def _start(view: Snapshot, subject: str) -> Resolved:
    """The node of a reference, or of a file's or directory's bytes. Raises NotFound."""
    from stemma_registry.reference import looks_like_reference, resolve

    if looks_like_reference(subject):
        return resolve(view, subject)
    from stemma_registry.directory import identify

    path = Path(subject)
    return resolve(view, str(identify(path)))
