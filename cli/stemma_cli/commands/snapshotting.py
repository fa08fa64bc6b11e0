"""snapshot."""

from __future__ import annotations

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session
from stemma_cli.signers import Choice


@click.command()
@click.option(
    "--sign", metavar="URI", help="The signer: key:FILE, hsm:ID, ... (else the home's key)."
)
@pass_session
def snapshot(session: Session, sign: str | None) -> None:
    """Write what lets a fresh machine answer at once: segments, and a signed snapshot.

    For cron. A snapshot is believed about everything the catalogue says, by
    whoever trusts its signer for `urn:stemma:snapshot:v0.1`.
    """
    from stemma_registry.catalogue import snapshots
    from stemma_registry.ledger import segments
    from stemma_registry.registry import current

    signer, trust, registry = session.signer(Choice(sign)), session.trust(), session.open()
    head = current(registry, trust)
    written = segments.write_missing(registry.store, head.n)
    done = snapshots.write(registry.catalogue, trust, signer, session.now)
    said = snapshots.read(registry.store, trust)
    if session.json:
        output.document(
            {
                "head": head.n,
                "segments": len(written),
                "written": done,
                "n": said.n if said else None,
                "size": said.size if said else None,
                "chunks": [str(chunk.blob) for chunk in said.chunks] if said else [],
            }
        )
        return
    output.line(f"wrote {len(written)} segments of {segments.SIZE} ledger entries")
    if said is not None:
        what = "wrote a snapshot" if done else "there is a snapshot"
        chunks = _count(len(said.chunks), "chunk")
        output.line(f"{what} at entry {said.n}: {output.size(said.size)} in {chunks}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"
