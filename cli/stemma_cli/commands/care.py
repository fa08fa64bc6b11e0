"""audit, rebuild, db."""

from __future__ import annotations

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress


@click.command()
@click.option("--read-data", is_flag=True, help="Hash every blob and list each damaged one.")
@pass_session
def audit(session: Session, read_data: bool) -> None:
    """Check the ledger's chain, and that every blob it refers to is there.

    Exit code 12 if anything is damaged or missing, 14 if the ledger is broken.
    """
    from stemma_registry.audit import audit as run
    from stemma_registry.registry import open_store

    store = open_store(session.location, session.home, cached=False)
    with progress("reading") as advance:
        report = run(store, session.home, session.trust(), read_data, advance)
    broken = any(finding.what == "ledger" for finding in report.findings)
    failure = exits.UNDECIDED if broken else exits.BYTES_DIFFER
    code = exits.DONE if report.whole else failure
    if session.json:
        output.document(
            {
                "whole": report.whole,
                "code": code,
                "entries": report.entries,
                "blobs": report.blobs,
                "bytes_read": report.bytes_read,
                "surplus": report.surplus,
                "findings": [vars(finding) for finding in report.findings],
                "erased": [vars(item) for item in report.erased],
            }
        )
    else:
        _print(report, read_data)
    click.get_current_context().exit(code)


def _print(report, read_data: bool) -> None:  # type: ignore[no-untyped-def]
    read = f", {output.size(report.bytes_read)} hashed" if read_data else ""
    output.line(f"{report.entries} ledger entries, {report.blobs} blobs{read}")
    if report.surplus:
        output.line(f"{report.surplus} blobs that nothing refers to (interrupted pushes)")
    for item in report.erased:
        output.line(f"erased  {item.subject}: {item.detail}")
        output.line(f"    was needed by {item.needed_by}")
    for finding in report.findings:
        output.line(f"{finding.what}  {finding.subject}: {finding.detail}")
        if finding.needed_by:
            output.line(f"    needed by {finding.needed_by}")
    output.line("whole" if report.whole else f"NOT WHOLE: {len(report.findings)} findings")


@click.command()
@pass_session
def rebuild(session: Session) -> None:
    """Drop the catalogue and project the whole ledger again. No answer changes."""
    from stemma_registry.registry import current
    from stemma_registry.registry import rebuild as run

    registry, head = run(session.location, session.home)
    current(registry, session.trust())
    if session.json:
        output.document({"entries": head.n + 1, "catalogue": str(registry.catalogue.path)})
        return
    output.line(f"{head.n + 1} ledger entries projected into {registry.catalogue.path}")


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
