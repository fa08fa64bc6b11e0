"""index: the record index of datasets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.records.attaching import Indexed

SHOWN = 10


@click.command()
@click.argument("refs", metavar="[REF]...", nargs=-1)
@click.option("--missing", is_flag=True, help="Every dataset that has no believed index yet.")
@click.option("--fields", metavar="A,B", help="Of these fields of each record alone.")
@click.option("--near", metavar="A,B", help="Of the text in these fields, for near matches.")
@click.option("--public", is_flag=True, help="Without a key: anybody can test what is in it.")
@signing()
@pass_session
def index(
    session: Session,
    refs: tuple[str, ...],
    missing: bool,
    fields: str | None,
    near: str | None,
    public: bool,
    sign: Choice,
) -> None:
    """Build the record index of datasets: what `stemma trace record:FILE` asks.

    A push makes one. This is for what was pushed without, and for more fields.
    """
    from stemma_registry.records import attaching

    if bool(refs) == missing:
        raise click.UsageError("say what is indexed: REF, or --missing")
    if fields is not None and near is not None:
        raise click.UsageError("--fields and --near are two indexes: make one, then the other")
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    if missing:
        with session.view() as (_, view):
            refs = tuple(attaching.missing(view))
    mode = attaching.PUBLIC if public else attaching.KEYED
    named = split(fields if near is None else near)
    wanted = attaching.wish(registry, trust, session.now, mode, named, near is not None)
    done = []
    for ref in refs:
        with progress("indexing") as advance:
            done.append(attaching.index(registry, trust, signer, ref, wanted, session.now, advance))
    if session.json:
        output.document({"indexed": [document(one) for one in done]})
    else:
        show(done)
        if not done:
            output.line("every dataset has a record index")
    if any(one.note for one in done):
        click.get_current_context().exit(exits.UNEXPECTED)


def split(fields: str | None) -> list[str] | None:
    """The fields of `--fields A,B`."""
    return None if fields is None else [name for name in fields.split(",") if name]


def document(one: Indexed) -> dict[str, Any]:
    """What became of an index, as JSON."""
    return {
        "artifact": str(one.artifact),
        "name": str(one.name) if one.name else None,
        "fields": list(one.fields) if one.fields is not None else None,
        "near": one.near,
        "key": one.key,
        "statement": str(one.statement) if one.statement else None,
        "entry": one.entry,
        "files": one.files,
        "records": one.records,
        "unread": one.unread,
        "skipped": [{"path": path, "reason": reason} for path, reason in one.skipped],
        "warnings": list(one.warnings),
        "note": one.note,
    }


def show(done: Iterable[Indexed]) -> None:
    """The same for people."""
    for one in done:
        for warning in one.warnings:
            output.note(f"warning: {warning}")
        what = "near index" if one.near else "record index"
        label = str(one.name or one.artifact.short)
        for path, reason in one.skipped[:SHOWN]:
            output.note(f"note: {path} has no {what}: {reason}")
        if len(one.skipped) > SHOWN:
            output.note(f"note: {len(one.skipped) - SHOWN} more files have none")
        if one.note:
            output.note(f"note: {label} has no {what}: {one.note}")
            continue
        of = f" of {', '.join(one.fields)}" if one.fields else ""
        how = " for near matches" if one.near else ""
        where = f"ledger entry {one.entry}" if one.entry is not None else "as it was"
        lost = f", {output.count(one.unread, 'row')} could not be read" if one.unread else ""
        records = output.count(one.records, "record")
        output.line(f"{label}  {records}{of} indexed{how}, {where}{lost}")
