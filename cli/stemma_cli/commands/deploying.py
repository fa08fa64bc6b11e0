"""deployments."""

from __future__ import annotations

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session

SHOWN = 100


@click.command()
@click.argument("ref", metavar="[REF]", required=False)
@click.option("--host", metavar="HOST", help="Only on that host.")
@click.option("--service", metavar="SERVICE", help="Only of that service.")
@click.option("--stage", metavar="STAGE", help="Only at that stage.")
@click.option("--all", "ended", is_flag=True, help="Also what has stopped, or was last heard of.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="At most so many."
)
@click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)
@pass_session
def deployments(
    session: Session,
    ref: str | None,
    host: str | None,
    service: str | None,
    stage: str | None,
    ended: bool,
    limit: int,
    trust: str | None,
) -> None:
    """List what runs where, as far as records say: of REF alone, or of everything.

    Records are left by `exec --report` and `verify --report`. What nobody who is
    believed says comes last, marked, and counts for nothing.
    """
    from stemma_attestations.times import format_time
    from stemma_cli import reports, slips
    from stemma_registry.catalogue.deployed import Wanted
    from stemma_registry.lineage.deployments import NOW, load
    from stemma_registry.reference import resolve

    with session.view(trust) as (_, view):
        node = resolve(view, ref).node if ref is not None else None
        slips.stage(session, view.connection, stage)
        found = load(view, Wanted(node, host, service, stage), ended)
        entry = view.n
    shown = found.found[:limit]
    more = len(found.found) - len(shown)
    if session.json:
        output.document(
            {
                "entry": entry,
                "deployments": [reports.document(one) for one in shown],
                "more": more,
                "unheard": found.unheard,
            }
        )
        return
    rows = [
        [
            f"{one.name}",
            one.spot.host,
            one.spot.service or "-",
            one.spot.stage or "-",
            str(one.state),
            format_time(one.since),
            format_time(one.until),
            one.by + ("" if one.believed else "  NOT BELIEVED"),
        ]
        for one in shown
    ]
    if rows:
        output.table(["NAME", "HOST", "SERVICE", "STAGE", "STATE", "SINCE", "UNTIL", "BY"], rows)
    if more:
        output.line(f"and {more} more (--limit)")
    if found.unheard:
        output.line(f"and {found.unheard} records more that nobody who is believed left")
    now = [one for one in found.believed if one.state in NOW]
    hosts = reports.hosts(len({one.spot.host for one in now}))
    output.line(f"deployed now: {len(now)}, on {hosts}, as of ledger entry {entry}")
