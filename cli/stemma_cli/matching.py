"""`stemma quarantine pkg:...`: whatever has a package in it is stopped, now and later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output, reports
from stemma_cli.commands import feeding, measures

if TYPE_CHECKING:
    from stemma_cli.session import Session
    from stemma_cli.signers import Choice
    from stemma_registry.measures.matching import Preview

PREFIX = "pkg:"


def run(session: Session, text: str, reason: str, dry_run: bool, sign: Choice) -> None:
    """Quarantine by a criterion, or show what that would stop."""
    from stemma_registry.measures import matching

    signer, of = session.signer(sign), matching.packages(text)
    with session.view() as (registry, view):
        seen = matching.preview(view, of, signer)
        trust = view.trust

    def put() -> measures.Done:
        done = matching.stop(registry, trust, signer, of, reason, session.now)
        return *done, feeding.announce(session, registry, trust)

    done = None if dry_run else put()
    measures.conclude(session, "quarantine", done, _document(seen), lambda: _print(seen, dry_run))


def refuse_options(include: tuple[str, ...], artifact_only: bool) -> None:
    """Raise UsageError for what is about the files of one artifact."""
    if include or artifact_only:
        raise click.UsageError("--include and --artifact-only are of an artifact")


def _document(seen: Preview) -> dict[str, Any]:
    met = {(str(item.version.name), item.digest) for item in seen.met}
    return {
        "criterion": seen.of.document(),
        "targets": [],
        "shared": [],
        "affected": [
            {
                "name": str(item.version.name),
                "kind": item.version.kind,
                "artifact": str(item.digest),
                "blocked": item.blocked,
                "suspect": item.suspect,
                "met": (str(item.version.name), item.digest) in met,
                "path": list(item.path),
            }
            for item in seen.affected
        ],
        "silent": seen.silent,
        "counts": measures.counted(seen.counts),
        "deployed": [reports.document(one) for one in seen.deployed.found],
        "warnings": list(seen.warnings),
    }


def _print(seen: Preview, dry_run: bool) -> None:
    for warning in seen.warnings:
        output.note(f"warning: {warning}")
    output.line(f"{'would stop' if dry_run else 'stops'}  whatever has {seen.of.label}")
    output.line(f"  has it, as its BOM says: {len(seen.met)}")
    measures.some([f"    {item.version.name}  {item.version.kind}" for item in seen.met])
    direct = {(item.version.name, item.digest) for item in seen.met}
    below = [i for i in seen.affected if i.blocked and (i.version.name, i.digest) not in direct]
    output.line(f"  blocked with that: {len(below)}")
    measures.some([f"    {item.version.name}  {item.version.kind}" for item in below])
    measures.beside(seen.affected)
    if seen.silent:
        output.line(f"  models without a believed BOM, which nobody can tell of: {seen.silent}")
    if dry_run:
        measures.count_lines(seen.counts)
    runs = seen.deployed.believed
    if runs:
        output.line(f"  deployed now: {len(runs)}, on {reports.hosts(len(seen.deployed.hosts))}")
        measures.some([f"    {one.name}  {reports.line(one)}" for one in runs])
