"""gc, erase."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.care.collect import Done, Item, Plan
    from stemma_registry.care.erase import Erased, Preview

SHOWN = 20
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def _period(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    """`7d`, `12h`, `30m`, `0s`."""
    match = re.fullmatch(r"(\d{1,6})([dhms])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a time like 7d, 12h, 30m or 0s", ctx, param)
    return timedelta(seconds=int(match.group(1)) * _UNITS[match.group(2)])


@click.command()
@click.option("--yes", is_flag=True, help="Do it (without, it is only shown).")
@click.option("--dry-run", is_flag=True, help="Only show what would be done (the default).")
@click.option(
    "--grace",
    metavar="TIME",
    callback=_period,
    default="7d",
    show_default=True,
    help="From condemned to deleted: 7d, 12h, 30m, 0s.",
)
@click.option(
    "--sign", metavar="URI", help="The signer: key:FILE, hsm:ID, ... (else the home's key)."
)
@pass_session
def gc(session: Session, yes: bool, dry_run: bool, grace: timedelta, sign: str | None) -> None:
    """Delete what nothing refers to: condemned first, and deleted after a grace period.

    Safe beside pushes and beside itself. It also removes half uploads, and
    finishes what an interrupted `gc` or `erase` has left.
    """
    from stemma_registry.care.collect import Collector, collect, plan

    if yes and dry_run:
        raise click.UsageError("--yes and --dry-run exclude each other")
    if not yes:
        with session.view() as (registry, view):
            _show_plan(session, plan(registry.store, view, grace))
        return
    signer = session.signer(Choice(sign))
    collector = Collector(session.open(), session.trust(), signer, session.now)
    with collector.view() as view:
        before = plan(collector.store, view, grace)
    if before.left:
        output.note(
            f"{_blobs(len(before.left))} may be being deleted by another process, or left by one: "
            "waiting for at most 10 minutes"
        )
    done = collect(collector, grace)
    with collector.view() as view:
        _show_done(session, done, plan(collector.store, view, grace))
    if done.failed:
        click.get_current_context().exit(exits.UNDECIDED)


def _show_plan(session: Session, seen: Plan) -> None:
    if session.json:
        output.document({"dry_run": True, "code": exits.DONE, **_plan(seen)})
        return
    _group("to be condemned (nothing refers to them)", seen.fresh)
    _group("condemned, waiting", seen.waiting)
    _group("to be deleted", seen.due)
    _group("may be being deleted, or were left by an interrupted process", seen.left)
    for stone in seen.erasures:
        output.line(f"erased, but the bytes are still there: {stone.blob.short}, {stone.text}")
    output.line("nothing was changed; --yes does it")


def _show_done(session: Session, done: Done, after: Plan) -> None:
    if session.json:
        output.document(
            {
                "dry_run": False,
                "code": exits.UNDECIDED if done.failed else exits.DONE,
                "condemned": done.condemned,
                "deleted": done.deleted,
                "bytes": done.bytes,
                "erased": done.erased,
                "swept": done.swept,
                "failed": [str(blob) for blob in done.failed],
                "after": _plan(after),
            }
        )
        return
    output.line(f"condemned {_blobs(done.condemned)}")
    output.line(f"deleted   {_blobs(done.deleted)}, {output.size(done.bytes)}")
    if done.erased:
        output.line(f"erased    {_blobs(done.erased)} whose erasure was not finished")
    if done.swept:
        output.line(f"swept     {done.swept} half uploads")
    for blob in done.failed:
        output.line(f"could not delete {blob}: the next `stemma gc` tries again")
    _group("condemned, waiting", after.waiting)


def _group(title: str, items: Sequence[Item]) -> None:
    if not items:
        return
    total = sum(item.size or 0 for item in items)
    output.line(f"{title}: {_blobs(len(items))}, {output.size(total)}")
    for item in items[:SHOWN]:
        due = f", from {item.due:%Y-%m-%d %H:%M} UTC" if item.due else ""
        size = output.size(item.size) if item.size is not None else "not there"
        output.line(f"    {item.blob.short}  {size}{due}")
    if len(items) > SHOWN:
        output.line(f"    ... and {len(items) - SHOWN} more (--json lists all)")


def _blobs(count: int) -> str:
    return f"{count} blob{'s' if count != 1 else ''}"


def _plan(seen: Plan) -> dict[str, Any]:
    return {
        "to_condemn": [_item(item) for item in seen.fresh],
        "waiting": [_item(item) for item in seen.waiting],
        "to_delete": [_item(item) for item in seen.due],
        "left": [_item(item) for item in seen.left],
        "unfinished_erasures": [str(stone.blob) for stone in seen.erasures],
        "bytes_to_delete": sum(item.size or 0 for item in seen.due),
    }


def _item(item: Item) -> dict[str, Any]:
    due = item.due.isoformat() if item.due else None
    return {"blob": str(item.blob), "size": item.size, "due": due}


@click.command()
@click.argument("blob", metavar="BLOB")
@click.option("--path", metavar="FILE", help="This file, where BLOB is NAME:VERSION.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is all that will be left.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what needs it, and erase nothing.")
@signing()
@pass_session
def erase(
    session: Session,
    blob: str,
    path: str | None,
    reason: str,
    yes: bool,
    dry_run: bool,
    sign: Choice,
) -> None:
    """Delete the bytes of one file for ever, and leave a signed tombstone.

    BLOB is sha256:HEX, or NAME:VERSION with --path. Every artifact that has the
    file can no longer be verified or pulled, and says why. There is no undo.
    """
    from stemma_registry.care.collect import Collector
    from stemma_registry.care.erase import erase as run
    from stemma_registry.care.erase import preview

    signer = session.signer(sign)
    with session.view() as (registry, view):
        seen = preview(registry, view, blob, path, signer)
        trust = view.trust
    if not session.json:
        _print(seen)
    done = None
    if not dry_run:
        _confirm(session, seen, yes)
        done = run(Collector(registry, trust, signer, session.now), seen, reason)
    if session.json:
        output.document(_document(seen, done))
    elif done is None:
        output.line("nothing was erased")
    else:
        output.line(f"erased: ledger entry {done.deletion.entry}")
    if done is not None and done.deletion.failed:
        output.note("stemma: the bytes are not deleted yet: run `stemma gc --yes`")
        click.get_current_context().exit(exits.UNDECIDED)


def _confirm(session: Session, seen: Preview, yes: bool) -> None:
    if yes:
        return
    if session.json or not sys.stdin.isatty():
        raise click.UsageError("erasing cannot be undone: look with --dry-run, then say --yes")
    click.confirm(f"Erase {seen.blob.short} for ever?", abort=True, err=True)


def _document(seen: Preview, done: Erased | None) -> dict[str, Any]:
    return {
        "dry_run": done is None,
        "blob": str(seen.blob),
        "size": seen.size,
        "needed_by": [
            {"name": use.name, "artifact": str(use.artifact), "path": use.path} for use in seen.uses
        ],
        "erased_before": seen.erased,
        "record_index": [str(run) for run in seen.runs],
        "entry": done.deletion.entry if done else None,
        "tombstone": str(done.statement) if done else None,
    }


def _print(seen: Preview) -> None:
    size = output.size(seen.size) if seen.size is not None else "its bytes are not in the store"
    output.line(f"{seen.blob}  {size}")
    if seen.erased:
        output.line(f"  {seen.erased}")
    if seen.runs:
        output.line(f"  and its record index: {_blobs(len(seen.runs))}")
    output.line(f"  needed by {len(seen.uses)}:")
    for use in seen.uses[:SHOWN]:
        output.line(f"    {use.name or use.artifact.short}  {use.path}")
    if len(seen.uses) > SHOWN:
        output.line(f"    ... and {len(seen.uses) - SHOWN} more (--json lists all)")
