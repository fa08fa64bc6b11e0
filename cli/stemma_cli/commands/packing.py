"""dossier."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import durations, output
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from datetime import datetime

    from stemma_registry.dossier.container import Content
    from stemma_registry.dossier.making import Made


@click.command()
@click.argument("things", metavar="REF FILE", nargs=-1)
@click.option("--expires", metavar="TIME", help="How long it is good for  [default: 7d]")
@click.option("--policy", metavar="FILE|NAME", help="What must be true (else the home's policy).")
@click.option("--stage", metavar="STAGE", help="Where it would be served: prod.")
@click.option("--max-age", metavar="TIME", help="How old the status may be: 15m, 1h.")
@click.option(
    "--show", is_flag=True, help="Say what a dossier holds: `stemma dossier --show FILE`."
)
@signing()
@pass_session
def dossier(
    session: Session,
    things: tuple[str, ...],
    expires: str | None,
    policy: str | None,
    stage: str | None,
    max_age: str | None,
    show: bool,
    sign: Choice,
) -> None:
    """Write everything that a verdict about REF rests on into one FILE, signed.

    `stemma verify DIR --dossier FILE` then needs no registry. What the gate refuses
    gets no dossier.
    """
    if show:
        if len(things) != 1 or sign or expires or policy or stage or max_age:
            raise click.UsageError("--show FILE stands alone")
        _show(session, Path(things[0]))
        return
    if len(things) != 2:
        raise click.UsageError("say which artifact, and where to: REF FILE")
    from stemma_registry import policy_source
    from stemma_registry.dossier import making
    from stemma_registry.gate import Terms

    limit = durations.given(max_age)
    terms = Terms(session.policy(policy), stage, None, limit)
    wanted = making.Wanted(
        things[0],
        durations.given(expires) or timedelta(days=making.DAYS),
        terms,
        policy_source.chosen_bytes(policy, session.home),
    )
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    with progress("hashing") as advance:
        made = making.make(registry, trust, signer, wanted, Path(things[1]), session.now, advance)
    _report(session, made, things[1])


def _report(session: Session, made: Made, path: str) -> None:
    from stemma_attestations.times import format_time

    said = made.said
    if session.json:
        output.document(
            {
                "artifact": str(made.verdict.artifact),
                "name": str(made.name),
                "file": path,
                "size": made.size,
                "members": len(said.members),
                "entry": said.n,
                "stage": said.stage,
                "expires": format_time(said.expires),
                "status_age": said.age,
                "warnings": list(made.warnings),
            }
        )
        return
    for warning in made.warnings:
        output.note(f"warning: {warning}")
    output.line(f"{path}: the dossier of {made.name}, good until {format_time(said.expires)}")
    output.line(f"  {len(said.members)} members, {made.size} bytes, ledger entry {said.n}")


def _show(session: Session, path: Path) -> None:
    from stemma_registry.dossier import container

    content = container.read(path)
    if session.json:
        output.document(_document(content, session.now))
    else:
        _print(content, session.now)


def _document(content: Content, now: datetime) -> dict[str, object]:
    from stemma_attestations.predicates.dossier import Role
    from stemma_attestations.times import format_time

    said = content.said
    return {
        "artifact": str(content.artifact),
        "name": str(content.name),
        "issued": format_time(said.issued),
        "expires": format_time(said.expires),
        "expired": now >= said.expires,
        "entry": said.n,
        "head": str(said.entry),
        "stage": said.stage,
        "status_age": said.age,
        "trust_root": str(said.trust_root),
        "policy": {
            "name": said.policy_name,
            "digest": str(said.policy),
            "source": dict(said.policy_source),
        },
        "members": {str(role): len(said.of(role)) for role in Role},
    }


def _print(content: Content, now: datetime) -> None:
    from stemma_attestations.times import format_time

    said = content.said
    over = " (it is over)" if now >= said.expires else ""
    output.line(str(content.name))
    output.line(f"  {content.artifact}")
    output.line(f"  made {format_time(said.issued)}, good until {format_time(said.expires)}{over}")
    output.line(f"  ledger entry {said.n}, {said.entry.short}")
    output.line(f"  trust root {said.trust_root.short}, policy {said.policy_name}")
    counts: dict[str, int] = {}
    for member in said.members:
        counts[str(member.role)] = counts.get(str(member.role), 0) + 1
    for role, count in counts.items():
        output.line(f"  {count:>6} {role}")
    output.line("  whether anybody believes it is for `stemma verify --dossier` to say")
