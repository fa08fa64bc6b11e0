"""`stemma quarantine record:FILE`: every dataset that is known to have any of the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output, record_trace
from stemma_cli.commands.indexing import split

if TYPE_CHECKING:
    from stemma_registry.custody import Preview
    from stemma_registry.measures.recorded import Found
    from stemma_registry.registry import Registry, Snapshot
    from stemma_registry.signing import Signer


def found(at: tuple[Registry, Snapshot], signer: Signer, text: str, fields: str | None) -> Found:
    """What has the records, and what a quarantine of it would do. Raises NotFound, Refused."""
    from stemma_registry.measures import recorded

    path = Path(text.removeprefix(record_trace.PREFIX))
    if not path.is_file():
        raise click.UsageError(f"no file of records at {path}")
    return recorded.preview(*at, path, split(fields), signer)


def show(seen: Found, dry_run: bool) -> None:
    """The datasets and files that are stopped, before what they reach."""
    preview: Preview = seen.preview
    named = [target for target in preview.targets if target.alias is None]
    whole = [target for target in named if target.path is None]
    word = "would stop" if dry_run else "stops"
    output.line(f"{word}  {len(whole)} dataset{'s' if len(whole) != 1 else ''} with such a record")
    for target in named:
        output.line(f"    {target.label}" if target.path is None else f"      {target.path}")
    for label in seen.unsure:
        output.note(f"warning: {label} is not stopped: only a stranger says that it has one")
    for one in seen.answer.unsearched:
        output.note(f"warning: {one.label} is not searched whole: {one.reason}")
    output.line("  what is pushed later is not: ask again, with stemma trace record:FILE")


def document(seen: Found) -> dict[str, Any]:
    """What is not stopped, because nobody can tell."""
    return {
        "unsure": list(seen.unsure),
        "unsearched": record_trace.unsearched(seen.answer.unsearched),
    }
