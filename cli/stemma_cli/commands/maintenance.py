"""replicate, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress

if TYPE_CHECKING:
    from stemma_registry.care.audit import Report
    from stemma_registry.care.replicate import Copied


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--verify", is_flag=True, help="Hash every blob at DST afterwards, and mend it.")
@pass_session
def replicate(session: Session, source: str, target: str, verify: bool) -> None:
    """Copy what is new in the registry SRC to DST: a replica, or a backup.

    Either is a path or s3://BUCKET/PREFIX. DST is made if it is not there, is a
    registry at every moment, and never goes back. A run that was cut off is
    simply run again. Exit code 12 if something in SRC is damaged or missing: the
    copy then ends before the entry that needs it.
    """
    from stemma_registry.care.audit import audit
    from stemma_registry.care.repair import RegistrySource, repair_all
    from stemma_registry.care.replicate import open_target
    from stemma_registry.care.replicate import replicate as run
    from stemma_registry.registry import open_store

    home, trust = session.home, session.trust(location=source)
    origin = open_store(source, home, cached=False)
    store, report, mended = open_target(target, home), None, list[str]()
    with progress("copying") as advance:
        done = run(origin, store, home, trust, advance)
    if verify:
        with progress("verifying") as advance:
            report = audit(store, home, trust, read_data=True, progress=advance)
        with progress("mending") as advance:
            report, mended = repair_all(
                store, home, trust, report, lambda _: RegistrySource(origin), True, advance
            )
    code = _code(done, report)
    if session.json:
        output.document({"code": code, **_document(done, report, mended)})
    else:
        _print(done, report, mended)
    click.get_current_context().exit(code)


def _code(done: Copied, report: Report | None) -> int:
    if report is not None and not report.decided:
        return exits.UNDECIDED
    wrong = done.lost or (report is not None and not report.whole)
    return exits.BYTES_DIFFER if wrong else exits.DONE


def _document(done: Copied, report: Report | None, mended: list[str]) -> dict[str, Any]:
    verified: dict[str, Any] = {"verified": None}
    if report is not None:
        findings = [vars(finding) for finding in report.findings]
        verified = {"verified": report.whole, "findings": findings, "repaired": mended}
    return {
        "head": done.n,
        "behind": done.behind,
        "entries": done.entries,
        "blobs": done.blobs,
        "bytes": done.bytes,
        "erased": done.erased,
        "lost": [
            {"blob": str(lost.blob), "detail": lost.detail, "needed_by": lost.needed_by}
            for lost in done.lost
        ],
        **verified,
    }


def _print(done: Copied, report: Report | None, mended: list[str]) -> None:
    output.line(
        f"copied {output.count(done.entries, 'ledger entry', 'ledger entries')}, "
        f"{output.count(done.blobs, 'blob')}, {output.size(done.bytes)}"
    )
    if done.erased:
        output.line(f"left out {output.count(done.erased, 'blob')} already erased")
    for subject in mended:
        output.line(f"repaired  {subject}")
    for lost in done.lost:
        output.line(f"lost  {lost.blob}: {lost.detail}")
        for use in lost.needed_by:
            output.line(f"    needed by {use}")
    for finding in report.findings if report is not None else ():
        output.line(f"{finding.what}  {finding.subject}: {finding.detail}")
    if done.lost:
        output.line(
            f"STOPPED behind entry {done.n}: {done.behind} entries were not copied "
            "(mend the source: `stemma audit --repair-from`)"
        )
        return
    at = f"the replica is at entry {done.n}"
    output.line(at if report is None else f"{at}, {'whole' if report.whole else 'NOT WHOLE'}")


@click.command()
@pass_session
def doctor(session: Session) -> None:
    """Say what is missing for Stemma to work here, and how to mend it.

    Looks at the home, the trust root and the registry; on S3 also at what the
    server does and what the bucket is set to, with probe objects that are
    deleted again. Exit code 14 if a check failed.
    """
    from stemma_registry.care.doctor import Outcome, examine

    checks = []
    for check in examine(session.location, session.home, session.now):
        checks.append(check)
        if not session.json:
            output.line(f"{check.outcome:<8} {check.name}: {check.found}")
            if check.mend:
                output.line(f"         {check.mend}")
    bad = sum(check.outcome is Outcome.FAILED for check in checks)
    code = exits.UNDECIDED if bad else exits.DONE
    if session.json:
        rows = [{**vars(check), "outcome": str(check.outcome)} for check in checks]
        output.document({"healthy": not bad, "code": code, "checks": rows})
    else:
        output.line("nothing failed" if not bad else f"FAILED: {bad} checks")
    click.get_current_context().exit(code)
