"""approve, admit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session, read_file
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.foreign.letting import Let

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_MAX_LIST = 4 * 1024 * 1024
NEVER = "never"
SHOWN = 10


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--stage", required=True, metavar="STAGE", help="Where it may be served: prod.")
@click.option("--reason", required=True, help="Why; everybody can read it.")
@click.option("--until", metavar="TIME", help="When the approval ends (else never).")
@signing()
@pass_session
def approve(
    session: Session, ref: str, stage: str, reason: str, until: str | None, sign: Choice
) -> None:
    """Approve exactly the bytes of REF, under its NAME:VERSION, for a stage.

    Other bytes need another approval, and nobody approves what he made.
    """
    from stemma_attestations.policy_file import check_stage
    from stemma_attestations.predicates.approval import Approval
    from stemma_registry.foreign import letting

    now = session.now
    said = Approval(check_stage(stage), _reason(reason), now, end_of(until or NEVER, now))
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    done = letting.approve(registry, trust, signer, ref, said)
    _report(session, done, f"approved for {stage}", signer.id, said.until)


@click.command()
@click.argument("refs", metavar="[REF]...", nargs=-1)
@click.option("--from", "source", type=_FILE, help="A file of more references, one a line.")
@click.option("--reason", required=True, help="Why; everybody can read it.")
@click.option(
    "--until",
    required=True,
    metavar="TIME",
    help="When it ends: 2027-01-31, 2027-01-31T12:00:00Z, 90d, or never.",
)
@signing()
@pass_session
def admit(
    session: Session,
    refs: tuple[str, ...],
    source: Path | None,
    reason: str,
    until: str,
    sign: Choice,
) -> None:
    """Let in what has no provenance that would do: an unsigned estate, a public model.

    A bare digest may be of anything that something here was made from.
    """
    from stemma_attestations.predicates.admission import Admission
    from stemma_registry.foreign import letting

    texts = [*refs, *(_listed(source) if source else ())]
    if not texts:
        raise click.UsageError("say what is admitted: REF, or --from FILE")
    now = session.now
    said = Admission(_reason(reason), now, end_of(until, now))
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    done = letting.admit(registry, trust, signer, texts, said)
    _report(session, done, "admitted", signer.id, said.until)


def _listed(source: Path) -> list[str]:
    """The references in a file; a line that begins with # is a remark."""
    try:
        lines = read_file(source, _MAX_LIST).decode().splitlines()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{source} is not UTF-8") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _reason(text: str) -> str:
    if not text.strip():
        raise click.UsageError("--reason is empty")
    return text


def end_of(text: str, now: datetime) -> datetime | None:
    """When something ends that is let in now. A date is the beginning of that day, in UTC."""
    from stemma_attestations.errors import Malformed
    from stemma_attestations.times import parse_duration, parse_time

    if text == NEVER:
        return None
    try:
        end = now + parse_duration(text) if text[-1:] in "smhd" else None
        if end is None:
            end = parse_time(f"{text}T00:00:00Z" if len(text) == len("2027-01-31") else text)
    except (Malformed, OverflowError) as error:
        raise click.UsageError(
            f"--until {text!r:.40} is no time (2027-01-31, 2027-01-31T12:00:00Z, 90d, never)"
        ) from error
    if end <= now:
        raise click.UsageError(f"--until {text} is over")
    return end.astimezone(UTC)


def _report(session: Session, done: Let, what: str, signer_id: str, until: datetime | None) -> None:
    from stemma_attestations.times import format_time

    end = format_time(until) if until else None
    if session.json:
        output.document(
            {
                "subjects": [
                    {"artifact": str(one.digest), "name": str(one.name) if one.name else None}
                    for one in done.subjects
                ],
                "until": end,
                "statement": str(done.statement),
                "entry": done.entry,
                "signer": signer_id,
                "warnings": list(done.warnings),
            }
        )
        return
    for warning in done.warnings:
        output.note(f"warning: {warning}")
    output.line(f"{what} {f'until {end}' if end else 'without an end'}, ledger entry {done.entry}")
    for one in done.subjects[:SHOWN]:
        output.line(f"  {f'{one.name} ' if one.name else ''}{one.digest.short}")
    if len(done.subjects) > SHOWN:
        output.line(f"  and {len(done.subjects) - SHOWN} more")
    output.line(f"  statement {done.statement}")
