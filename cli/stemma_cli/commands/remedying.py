"""plan, incident."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session

if TYPE_CHECKING:
    from stemma_registry.incident.report import Incident

STEPS = 1_000
_TRUST = click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)
_LIMIT = click.option(
    "--limit", type=click.IntRange(min=1), default=STEPS, show_default=True, help="So many steps."
)


@click.command()
@click.argument("ref", metavar="REF")
@click.option(
    "--replace", multiple=True, metavar="BAD=GOOD", help="Show what would be clean after that."
)
@_LIMIT
@click.option(
    "--format", "form", type=click.Choice(["table", "markdown"]), default="table", show_default=True
)
@_TRUST
@pass_session
def plan(
    session: Session, ref: str, replace: tuple[str, ...], limit: int, form: str, trust: str | None
) -> None:
    """List what to make again if REF is bad, each thing after what it is made from.

    With its owner, where it is deployed, and what survives. REF need not be
    quarantined; what was quarantined together with it counts as bad too.
    """
    from stemma_registry.incident import blocks, planned
    from stemma_registry.incident.plan import plan as make

    with session.view(trust) as (registry, view):
        found = make(registry, view, ref, replace, limit)
    if session.json:
        output.document(planned.document(found))
        return
    if form == "markdown":
        click.echo(blocks.markdown(planned.blocks(found)).encode(), nl=False)
        return
    if found.steps:
        output.table(planned.HEADERS, planned.rows(found))
    for note in planned.notes(found):
        output.line(note)
    for title, things in (("survives", found.survives), ("not believed", found.suspect)):
        for one in things[:limit]:
            output.line(f"{title}: {one.label}  {planned.because(one)}")
        if len(things) > limit:
            output.line(f"{title}: {len(things) - limit} more (--json lists all)")
    count = len(found.steps) + found.more
    output.line(f"{count} to make again, as of ledger entry {found.entry}")


@click.command()
@click.argument("quarantine", metavar="ID|REF")
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html"]),
    default="markdown",
    show_default=True,
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write incident.md and incident.html there instead.",
)
@_LIMIT
@_TRUST
@pass_session
def incident(
    session: Session,
    quarantine: str,
    form: str,
    folder: Path | None,
    limit: int,
    trust: str | None,
) -> None:
    """Report everything about one quarantine: timeline, whom it reached, what was done.

    ID is what `quarantine` printed, REF what was quarantined, if it was once.
    """
    from stemma_registry.incident import reported
    from stemma_registry.incident.report import incident as collect

    with session.view(trust) as (registry, view):
        found = collect(registry, view, quarantine, limit)
    if folder is not None:
        files = {name: _form(found, name) for name in ("markdown", "html")}
        written = _write(folder, {"incident.md": files["markdown"], "incident.html": files["html"]})
        if session.json:
            output.document(reported.document(found))
            return
        for path in written:
            output.line(f"wrote {path}")
    elif session.json:
        output.document(reported.document(found))
    else:
        click.echo(_form(found, form).encode(), nl=False)


def _form(found: Incident, form: str) -> str:
    from stemma_registry.incident import blocks, reported

    parts = reported.blocks(found)
    return (
        blocks.markdown(parts) if form == "markdown" else blocks.html(reported.title(found), parts)
    )


def _write(folder: Path, files: dict[str, str]) -> list[Path]:
    from stemma_registry.errors import Refused

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"cannot write to {folder}: {error.strerror}") from error
    return [folder / name for name in files]
