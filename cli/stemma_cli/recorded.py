"""`stemma quarantine record:FILE`: every dataset that is known to have any of the records."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output, record_trace
from stemma_cli.commands.indexing import split

if TYPE_CHECKING:
    from stemma_attestations.digest import Digest
    from stemma_attestations.trust import TrustRoot
    from stemma_registry.custody import Preview
    from stemma_registry.measures.recorded import Found
    from stemma_registry.registry import Registry
    from stemma_registry.signing import Signer

Asked = tuple[Path, Iterable[str] | None]


def run(
    at: tuple[Registry, TrustRoot],
    signer: Signer,
    asked: Asked,
    reason: str,
    now: datetime,
    how: tuple[bool, bool],
) -> tuple[Found, Digest | None, int | None]:
    """Stop what has the records: what was found, the statement, its entry.

    `how`: whether only to look, and whether to stop only what is found.
    """
    from stemma_registry.measures import recorded
    from stemma_registry.registry import snapshot

    dry_run, only_found = how
    if not dry_run:
        return recorded.stop(*at, signer, asked, reason, now, not only_found)
    with snapshot(*at, now) as view:
        return recorded.preview(at[0], view, *asked, signer, not only_found), None, None


def asked(text: str, fields: str | None) -> Asked:
    """The file of records, and the fields to compare. Raises UsageError."""
    path = Path(text.removeprefix(record_trace.PREFIX))
    if not path.is_file():
        raise click.UsageError(f"no file of records at {path}")
    return path, split(fields)


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
    if seen.of is None:
        output.line("  what is pushed later is not: ask again, with stemma trace record:FILE")
    else:
        output.line("  and later every dataset whose record index says that it has one")


def document(seen: Found) -> dict[str, Any]:
    """What is not stopped, because nobody can tell."""
    return {
        "criterion": seen.of.document() if seen.of else None,
        "unsure": list(seen.unsure),
        "unsearched": record_trace.unsearched(seen.answer.unsearched),
    }
