"""quarantine, release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stemma_cli import matching, output, record_trace, recorded, reports
from stemma_cli.commands import feeding, measures
from stemma_cli.session import Session, pass_session
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.custody import Preview
    from stemma_registry.measures.recorded import Found


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--reason", required=True, metavar="TEXT", help="Why; people will read it.")
@click.option("--dry-run", is_flag=True, help="Show what would be stopped, and stop nothing.")
@click.option("--include", multiple=True, metavar="PATH", help="Also this file, though shared.")
@click.option("--fields", metavar="A,B", help="Of record:FILE: compare these fields alone.")
@click.option("--only-found", is_flag=True, help="Of record:FILE: only what has one today.")
@click.option("--artifact-only", is_flag=True, help="Leave the artifact's files alone.")
@signing()
@pass_session
def quarantine(
    session: Session,
    ref: str,
    reason: str,
    dry_run: bool,
    include: tuple[str, ...],
    fields: str | None,
    only_found: bool,
    artifact_only: bool,
    sign: Choice,
) -> None:
    """Stop REF and everything that descends from it, now and later.

    An artifact takes along the files that only it and its descendants contain. REF may also
    be pkg:pypi/NAME@VERSION (or @>=2.0,<2.3): all that has it in it, as a believed BOM says;
    or record:FILE: the datasets that have any record of FILE, as their record indexes say.
    """
    of_records = ref.startswith(record_trace.PREFIX)
    if of_records or ref.startswith(matching.PREFIX):
        matching.refuse_options(include, artifact_only)
    if (fields is not None or only_found) and not of_records:
        raise click.UsageError("--fields and --only-found are of record:FILE")
    if ref.startswith(matching.PREFIX):
        matching.run(session, ref, reason, dry_run, sign)
        return
    from stemma_registry import custody
    from stemma_registry.registry import snapshot

    signer = session.signer(sign)
    registry, trust = session.open(), session.trust()
    found = statement = entry = said = None
    if of_records:
        asked = recorded.asked(ref, fields)
        found, statement, entry = recorded.run(
            (registry, trust), signer, asked, reason, session.now, (dry_run, only_found)
        )
        seen = found.preview
    else:
        with snapshot(registry, trust, session.now) as view:
            seen = custody.preview(view, ref, signer, include, artifact_only, registry.store)
        if not dry_run:
            statement, entry = custody.quarantine(
                registry, trust, signer, seen.targets, reason, session.now
            )
    if not dry_run:
        said = feeding.announce(session, registry, trust)
    if session.json:
        done = {
            "dry_run": dry_run,
            "entry": entry,
            "quarantine": str(statement) if statement else None,
        }
        unsearched = {} if found is None else recorded.document(found)
        output.document({**done, **_document(seen), **unsearched, "feed": said})
        return
    _print(seen, found, dry_run)
    if statement is not None:
        output.line(f"quarantined: ledger entry {entry}")
        output.line(f"undo it with: stemma release {statement.short} --reason TEXT")


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--reason", required=True, metavar="TEXT", help="Why; people will read it.")
@signing()
@pass_session
def release(session: Session, ref: str, reason: str, sign: Choice) -> None:
    """Lift the quarantine of REF (a reference, or the digest of the quarantine itself).

    It lifts that one only: what stands under another quarantine stays stopped. A distrust, a
    retirement and what stops records are released by their digests.
    """
    from stemma_registry.measures import lifting

    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    done = lifting.release(registry, trust, signer, ref, reason, session.now)
    said = feeding.announce(session, registry, trust)
    if session.json:
        document = {"released": str(done.quarantine), "entry": done.entry, "feed": said}
        output.document({**document, "waits": done.waits})
        return
    output.line(f"released: ledger entry {done.entry}, quarantine {done.quarantine.short}")
    measures.waiting(done.waits)


def _document(seen: Preview) -> dict[str, Any]:
    return {
        "criterion": None,
        "targets": [
            {
                "digest": str(target.digest),
                "name": str(target.name) if target.name else None,
                "path": target.path,
                "alias": target.alias,
            }
            for target in seen.targets
        ],
        "shared": [
            {"path": s.path, "digest": str(s.digest), "others": s.others, "example": s.example}
            for s in seen.shared
        ],
        "affected": [
            {
                "name": str(item.version.name),
                "kind": item.version.kind,
                "artifact": str(item.digest),
                "blocked": item.blocked,
                "suspect": item.suspect,
                "path": list(item.path),
            }
            for item in seen.affected
        ],
        "counts": measures.counted(seen.counts),
        "deployed": [reports.document(one) for one in seen.deployed.found],
        "warnings": list(seen.warnings),
    }


def _print(seen: Preview, found: Found | None, dry_run: bool) -> None:
    for warning in seen.warnings:
        output.note(f"warning: {warning}")
    more = seen.targets[1:]
    files = [target for target in more if target.alias is None]
    if found is not None:
        recorded.show(found, dry_run)
    else:
        first, word = seen.targets[0], "would stop" if dry_run else "stops"
        output.line(f"{word}  {first.label}  {first.digest.short}")
    if files and found is None:
        output.line(f"  and its {len(files)} exclusive file{'s' if len(files) != 1 else ''}:")
        measures.some([f"    {target.path}" for target in files])
    measures.some(
        [f"  and its {target.label}, a name it has too" for target in more if target.alias]
    )
    if seen.shared:
        output.line("  not included, because others have them too (--include PATH adds one):")
        measures.some(
            [f"    {s.path}  in {s.others} more, such as {s.example}" for s in seen.shared]
        )
    blocked = [item for item in seen.affected if item.blocked]
    output.line(f"  blocked: {len(blocked)}")
    measures.some([f"    {item.version.name}  {item.version.kind}" for item in blocked])
    if dry_run:
        measures.count_lines(seen.counts)
    measures.beside(seen.affected)
    runs, others = seen.deployed.believed, [o for o in seen.deployed.found if not o.believed]
    if runs:
        output.line(f"  deployed now: {len(runs)}, on {reports.hosts(len(seen.deployed.hosts))}")
        measures.some([f"    {one.name}  {reports.line(one)}" for one in runs])
    if others:
        output.line(f"  said to be deployed, which is not believed: {len(others)}")
