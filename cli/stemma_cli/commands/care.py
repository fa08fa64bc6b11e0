"""audit, rebuild, db."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress

if TYPE_CHECKING:
    from stemma_registry.care.audit import Report
    from stemma_registry.care.repair import Source


SHOWN = 20


@click.command()
@click.option("--read-data", is_flag=True, help="Hash every blob.")
@click.option(
    "--repair-from",
    metavar="LOCATION",
    help="Take good bytes from this registry, or from the files of this directory.",
)
@click.option("--signatures", is_flag=True, help="Verify every signed statement again.")
@click.option(
    "--trust",
    metavar="SOURCE",
    help="With --signatures: what this trust root would change (FILE or sha256:DIGEST).",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Of what --signatures finds, list so much of each kind.",
)
@pass_session
def audit(
    session: Session,
    read_data: bool,
    repair_from: str | None,
    signatures: bool,
    trust: str | None,
    limit: int,
) -> None:
    """Check that the registry is whole: the ledger's chain, and every blob it refers to.

    Names everything that is damaged, missing, truncated or swapped, with what
    needs it; with --signatures also what the catalogue says and no signature
    does. Exit code 12 if there is any, 14 if the ledger is broken.
    """
    if trust is not None and not signatures:
        raise click.UsageError("--trust says what would change: it needs --signatures")
    report, mended = _audited(session, read_data, repair_from)
    again = None
    if signatures:
        from stemma_cli import signatures as verifying

        again = verifying.run(session, report, trust, limit)
    failure = exits.BYTES_DIFFER if report.decided else exits.UNDECIDED
    code = exits.DONE if report.whole else failure
    if session.json:
        found = {"signatures": again.document() if again else None}
        output.document({"whole": report.whole, "code": code, **_document(report, mended), **found})
    else:
        _print(report, read_data, mended, again.lines() if again else ())
    click.get_current_context().exit(code)


def _audited(
    session: Session, read_data: bool, repair_from: str | None
) -> tuple[Report, list[str]]:
    """The report on the store, and what was mended before it was made."""
    from stemma_registry.blobs.opening import is_remote, store_at
    from stemma_registry.care.audit import audit as run
    from stemma_registry.registry import open_store

    home, trust = session.home, session.trust()
    if repair_from is not None and (is_remote(session.location) or os.path.isdir(session.location)):
        store = store_at(session.location, home, cached=False)  # its first entry may be lost
    else:
        store = open_store(session.location, home, cached=False)
    with progress("reading") as advance:
        report, mended = run(store, home, trust, read_data, advance), list[str]()
    if repair_from is not None:
        from stemma_registry.care.repair import open_source, repair_all

        def source(seen: Report) -> Source:
            return open_source(repair_from, home, seen)

        source(report)  # also where nothing is to be mended: a place that is not there is said
        with progress("repairing") as advance:
            report, mended = repair_all(store, home, trust, report, source, read_data, advance)
        open_store(session.location, home, cached=False)  # or there is no registry, and was none
    return report, mended


def _document(report: Report, mended: list[str]) -> dict[str, Any]:
    return {
        "entries": report.entries,
        "blobs": report.blobs,
        "bytes_read": report.bytes_read,
        "findings": [asdict(finding) for finding in report.findings],
        "warnings": [asdict(warning) for warning in report.warnings],
        "repaired": mended,
        "erased": [{"blob": str(blob), "is": text} for blob, text in report.erased.items()],
        "surplus_certain": report.certain,
        "surplus": [
            {"blob": str(each.blob), "size": each.size, "state": each.state}
            for each in report.surplus
        ],
        "strays": [{"name": stray.name, "size": stray.size} for stray in report.strays],
        "unfinished": report.unfinished,
    }


def _print(
    report: Report, read_data: bool, mended: list[str], signatures: Iterable[str] = ()
) -> None:
    read = f", {output.size(report.bytes_read)} hashed" if read_data else ""
    output.line(
        f"{output.count(report.entries, 'ledger entry', 'ledger entries')}, "
        f"{output.count(report.blobs, 'blob')}{read}"
    )
    for subject in mended:
        output.line(f"repaired  {subject}")
    for blob, text in report.erased.items():
        output.line(f"{blob}: {text}")
    if report.unfinished:
        output.line(
            f"{output.count(report.unfinished, 'unfinished upload')} (`stemma gc` removes old ones)"
        )
    if report.surplus:
        perhaps = "" if report.certain else ", as far as the ledger can be read"
        total = output.size(sum(each.size for each in report.surplus))
        blobs = output.count(len(report.surplus), "blob")
        output.line(f"{blobs} that nothing refers to{perhaps}: {total} (see `stemma gc`)")
        _listed([f"{e.blob}  {output.size(e.size)}  {e.state}".rstrip() for e in report.surplus])
    if report.strays:
        output.line(f"{len(report.strays)} things that are not Stemma's:")
        _listed([f"{stray.name}  {output.size(stray.size)}" for stray in report.strays])
    for text in signatures:
        output.line(text)
    for warning in report.warnings:
        output.line(f"note  {warning.subject}: {warning.detail}")
    for finding in report.findings:
        output.line(f"{finding.what}  {finding.subject}: {finding.detail}")
        for use in finding.needed_by:
            output.line(f"    needed by {use}")
        if finding.what != "ledger" and finding.needs > len(finding.needed_by):
            output.line(f"    ... and {finding.needs - len(finding.needed_by)} more")
    count = len(report.findings)
    findings = f"{count} finding{'s' if count != 1 else ''}"
    output.line("whole" if report.whole else f"NOT WHOLE: {findings}")


def _listed(lines: list[str]) -> None:
    for text in lines[:SHOWN]:
        output.line(f"    {text}")
    if len(lines) > SHOWN:
        output.line(f"    ... and {len(lines) - SHOWN} more (--json lists all)")


@click.command()
@pass_session
def rebuild(session: Session) -> None:
    """Drop the catalogue and project the whole ledger again. No answer changes."""
    from stemma_registry.registry import current
    from stemma_registry.registry import rebuild as run

    registry, head = run(session.location, session.home)
    with contextlib.closing(registry):
        current(registry, session.trust())
    if session.json:
        output.document({"entries": head.n + 1, "catalogue": registry.catalogue.database.label})
        return
    output.line(f"{head.n + 1} ledger entries projected into {registry.catalogue.database.label}")


@click.group()
def db() -> None:
    """Upgrade or check the catalogue's schema."""


@db.command("upgrade")
@pass_session
def db_upgrade(session: Session) -> None:
    """Bring the catalogue's schema up to date (opening it does the same)."""
    _tell(session, session.open().catalogue.revision(), [])


@db.command("current")
@pass_session
def db_current(session: Session) -> None:
    """Print the revision the catalogue is at."""
    from stemma_registry.registry import catalogue_revision

    _tell(session, catalogue_revision(session.location, session.home), [])


@db.command("check")
@pass_session
def db_check(session: Session) -> None:
    """Compare the catalogue's schema with what this version expects."""
    catalogue = session.open().catalogue
    differences = catalogue.schema_differences()
    _tell(session, catalogue.revision(), differences)
    click.get_current_context().exit(exits.UNEXPECTED if differences else exits.DONE)


def _tell(session: Session, revision: str | None, differences: list[str]) -> None:
    if session.json:
        output.document({"revision": revision, "differences": differences})
        return
    output.line(f"revision {revision or 'none'}")
    for difference in differences:
        output.line(f"differs: {difference}")
