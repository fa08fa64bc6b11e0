"""scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.foreign.attest import Attested
    from stemma_registry.formats.report import Report, Scanned


@click.command()
@click.argument("subject", metavar="REF|PATH")
@signing()
@click.option("--report-only", is_flag=True, help="Of a REF too, sign and record nothing.")
@pass_session
def scan(session: Session, subject: str, sign: Choice, report_only: bool) -> None:
    """Look at the files of REF, or of a directory or file PATH, by their bytes.

    Nothing is loaded. Of a REF the result is signed and put into the registry, as
    a test result about the artifact. Exit code 10: something dangerous,
    malformed or undecided was found; code is noted, and is no failure.
    """
    from stemma_registry.formats import scan as looking
    from stemma_registry.reference import looks_like_reference

    said: Attested | None = None
    if not looks_like_reference(subject):
        if sign:
            raise click.UsageError("--sign signs what is said of a REF; a PATH is only reported")
        path = Path(subject)
        report = looking.of_directory(path) if path.is_dir() else looking.of_file(path)
    else:
        report, said = _artifact(session, subject, sign, report_only)
    code = exits.NOT_VERIFIED if report.result == "FAILED" else exits.DONE
    if session.json:
        output.document({**report.to_json(), "evidence": _evidence(said)})
    else:
        _print(report, subject, said)
    click.get_current_context().exit(code)


def _artifact(
    session: Session, ref: str, sign: Choice, report_only: bool
) -> tuple[Report, Attested | None]:
    from stemma_registry.formats import evidence

    if report_only:
        if sign:
            raise click.UsageError("--report-only signs nothing")
        with session.view() as (registry, view):
            return evidence.look(registry, view, ref)[0], None
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    return evidence.look_and_say(registry, trust, signer, ref, session.now)


def _evidence(said: Attested | None) -> dict[str, object] | None:
    if said is None:
        return None
    return {
        "artifact": str(said.artifact),
        "name": str(said.name) if said.name else None,
        "statement": str(said.statement),
        "outcome": "unchanged" if said.entry is None else "added",
        "entry": said.entry,
        "warnings": list(said.warnings),
    }


def _print(report: Report, subject: str, said: Attested | None) -> None:
    output.line(f"{report.result}  {subject}")
    formats = ", ".join(f"{number} {name}" for name, number in report.formats.items())
    count = f"{len(report.files)} file{'' if len(report.files) == 1 else 's'}"
    output.line(f"  {count}: {formats}" if formats else "  no files")
    for file in report.files:
        _print_file(file)
    if said is not None:
        for warning in said.warnings:
            output.note(f"warning: {warning}")
        how = "unchanged" if said.entry is None else f"added, ledger entry {said.entry}"
        output.line(f"  statement {said.statement}  {how}")


def _print_file(file: Scanned) -> None:
    for finding in file.findings:
        where = f" {finding.where}:" if finding.where else ""
        output.line(f"  {finding.severity}  {file.path}:{where} {finding.text} ({finding.rule})")
