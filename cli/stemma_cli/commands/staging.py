"""promote, rollback, stages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import durations, exits, output
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.errors import NotVerified
    from stemma_attestations.trust import TrustRoot
    from stemma_registry.gate import Terms
    from stemma_registry.stages.desk import Desk
    from stemma_registry.stages.listing import Placed
    from stemma_registry.stages.promoting import Changed


def _judging(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of whoever changes a stage; the command is called with `terms` and `trust`."""

    @click.option("--reason", help="Why; everybody can read it.")
    @click.option(
        "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
    )
    @click.option(
        "--policy", metavar="FILE|NAME", help="What must be true (else the home's policy)."
    )
    @click.option("--max-age", metavar="TIME", help="How old the status may be: 15m, 1h.")
    @click.option("--stale-ok", metavar="REASON", help="Break glass, where the policy permits it.")
    @signing()
    @pass_session
    @functools.wraps(command)
    def call(
        *arguments: Any,
        trust: str | None,
        policy: str | None,
        max_age: str | None,
        stale_ok: str | None,
        **others: Any,
    ) -> Any:
        from stemma_registry.gate import Terms

        session: Session = arguments[0]
        limit = durations.given(max_age)
        terms = Terms(session.policy(policy), max_age=limit, stale_ok=stale_ok)
        return command(*arguments, terms=terms, trust=session.trust(trust), **others)

    return call


@click.command()
@click.argument("ref", metavar="REF")
@click.argument("stage", metavar="STAGE")
@_judging
def promote(
    session: Session,
    ref: str,
    stage: str,
    reason: str | None,
    terms: Terms,
    trust: TrustRoot,
    sign: Choice,
) -> None:
    """Put REF at a stage of its name, if the gate says yes for that stage.

    The signed verdict and what is there now go into the ledger together. Of two
    at once one wins, and the other is told.
    """
    from stemma_registry.stages import promoting

    _change(session, lambda desk: promoting.promote(desk, ref, stage, terms, reason), trust, sign)


@click.command()
@click.argument("name", metavar="NAME")
@click.argument("stage", metavar="STAGE")
@_judging
def rollback(
    session: Session,
    name: str,
    stage: str,
    reason: str | None,
    terms: Terms,
    trust: TrustRoot,
    sign: Choice,
) -> None:
    """Put the newest earlier version back that the gate says yes to now.

    What it skips is named with the reason. The next rollback goes further back.
    """
    from stemma_attestations.names import check_name
    from stemma_registry.stages import promoting

    check_name(name)
    _change(session, lambda desk: promoting.rollback(desk, name, stage, terms, reason), trust, sign)


@click.command()
@click.argument("name", metavar="NAME", required=False)
@click.option("--history", is_flag=True, help="All that was said, newest first, believed or not.")
@pass_session
def stages(session: Session, name: str | None, history: bool) -> None:
    """List what is at which stage, since when and by whom."""
    from stemma_attestations.names import check_name
    from stemma_registry.stages import listing

    with session.view() as (_, view):
        rows = listing.placed(view, check_name(name) if name else None, history)
    if session.json:
        output.document([_placed(row) for row in rows])
        return
    if not rows:
        output.line("nothing is at a stage (stemma promote NAME:VERSION STAGE)")
        return
    output.table(
        ["NAME#STAGE", "VERSION", "DIGEST", "SINCE", "ENTRY", "BY", "STATUS"],
        [
            [
                one.row.where,
                one.row.name.version,
                one.row.digest.value[:12],
                one.row.time,
                str(one.row.fact.n),
                one.signer,
                _words(one),
            ]
            for one in rows
        ],
    )


def _change(
    session: Session, change: Callable[[Desk], Changed], trust: TrustRoot, sign: Choice
) -> None:
    from stemma_attestations.errors import NotVerified
    from stemma_registry.stages.desk import Desk

    registry, signer = session.open(), session.signer(sign)
    try:
        with progress("hashing") as advance:
            done = change(Desk(registry, trust, signer, session.now, advance))
    except NotVerified as error:
        if not session.json:
            _print_refusal(error)
        raise
    if session.json:
        output.document(_document(done, signer.id))
    else:
        _print(done)


def _print_refusal(error: NotVerified) -> None:
    """The steps that did not pass; the conclusion comes from where all errors are reported."""
    for step in error.verdict.steps if error.verdict is not None else ():
        if step.failure is not None:
            output.line(f"  {output.mark(str(step.outcome))} {step.number} {step.title}")
            for detail in step.details:
                output.line(f"      {detail}")


def _print(done: Changed) -> None:
    for one in done.skipped:
        output.note(f"skipped {one.name}: {one.failure}")
    for warning in done.verdict.warnings:
        output.note(f"warning: {warning}")
    where = f"{done.name.name}#{done.stage}"
    if done.entry is None:
        output.line(f"{where} is {done.name} already: nothing was changed")
        return
    output.line(f"{where} is {done.name}, ledger entry {done.entry}")
    output.line(f"  {done.digest}")
    if done.before is not None:
        output.line(f"  before   {done.before.name}")
    output.line(f"  verdict  {done.summary}")


def _document(done: Changed, signer_id: str) -> dict[str, Any]:
    before = done.before
    return {
        "name": done.name.name,
        "version": done.name.version,
        "artifact": str(done.digest),
        "stage": done.stage,
        "outcome": "unchanged" if done.entry is None else "changed",
        "entry": done.entry,
        "statement": str(done.statement),
        "verdict": str(done.summary),
        "before": None
        if before is None
        else {"version": before.name.version, "artifact": str(before.digest)},
        "skipped": [
            {
                "version": one.name.version,
                "artifact": str(one.digest),
                "code": exits.code_of(one.failure),
                "reason": str(one.failure),
            }
            for one in done.skipped
        ],
        "signer": signer_id,
        "warnings": list(done.verdict.warnings),
    }


def _words(one: Placed) -> str:
    words = [] if one.current else ["before" if one.counts else f"does not count, {one.assurance}"]
    words += ["quarantined"] if one.quarantined else []
    return ", ".join(words) or "-"


def _placed(one: Placed) -> dict[str, Any]:
    row = one.row
    return {
        "name": row.name.name,
        "stage": row.stage,
        "version": row.name.version,
        "artifact": str(row.digest),
        "action": row.action,
        "current": one.current,
        "counts": one.counts,
        "quarantined": one.quarantined,
        "entry": row.fact.n,
        "time": row.time,
        "signer": one.signer,
        "assurance": str(one.assurance),
        "reason": row.reason or None,
        "statement": f"sha256:{row.statement}",
        "previous": f"sha256:{row.previous}" if row.previous else None,
        "verdict": f"sha256:{row.verdict}",
        "bundle": str(row.fact.bundle),
    }
