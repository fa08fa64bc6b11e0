"""policy sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output
from stemma_cli.commands import feeding
from stemma_cli.session import Session, pass_session
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.policysync.syncing import Synced


@click.command("sync")
@click.argument("where", metavar="REPO@REF")
@click.option("--path", default="", metavar="DIR", help="The folder that holds the files.")
@click.option(
    "--name", metavar="NAME", help="What grants call the repository (else its URL says it)."
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@signing()
@pass_session
def sync(
    session: Session, where: str, path: str, name: str | None, dry_run: bool, sign: Choice
) -> None:
    """Take policy.yaml, trust.yaml and quarantine/*.yaml from a signed commit.

    Whoever signed the commit, or a tag on it, must be let say urn:stemma:policy:v0.1 about the
    repository by the trust root that holds now. The commit must contain what was taken before.
    """
    from stemma_registry.policysync import place, syncing

    registry = session.open()
    desk = syncing.Desk(registry, session.trust(), lambda: session.signer(sign), session.now)
    with place.at(where, name) as at:
        done = syncing.sync(desk, at, path, dry_run)
        commit, url = at.commit, at.url
    said = None
    if done.entry is not None and (done.quarantines or done.trust_changed or done.adopted):
        said = feeding.announce(session, registry, session.trust())
    if session.json:
        output.document({**_document(done, dry_run), "commit": commit, "url": url, "feed": said})
        return
    _print(done, dry_run)


def _document(done: Synced, dry_run: bool) -> dict[str, Any]:
    from stemma_attestations.digest import Digest

    found = done.offered
    made = {one.path: str(one.quarantine) for one in done.quarantines}
    return {
        "dry_run": dry_run,
        "repository": done.repository,
        "tree": found.tree,
        "path": found.path,
        "entry": done.entry,
        "adopted": done.adopted,
        "policy": str(found.policy.digest) if found.policy else None,
        "trust": str(Digest.of(found.trust_raw)) if found.trust_raw else None,
        "trust_changed": done.trust_changed,
        "trust_pinned": done.pinned,
        "voices": [
            {
                "kind": one.voice.kind,
                "signer": one.voice.signer,
                "principals": sorted(one.principals),
            }
            for one in done.heard
        ],
        "requests": [
            {
                "path": one.request.path,
                "target": one.request.says.target,
                "requested_by": one.request.says.requested_by,
                "quarantine": made.get(one.request.path),
                "blocked": one.blocked,
            }
            for one in done.new
        ],
        "requests_before": [
            {"path": one.path, "quarantine": str(one.quarantine)} for one in done.old
        ],
    }


def _print(done: Synced, dry_run: bool) -> None:
    found = done.offered
    who = sorted({name for one in done.heard for name in one.principals})
    signed = f", signed by {', '.join(who)}" if who else ""
    output.line(f"commit {found.commit[:12]} of {done.repository or 'the repository'}{signed}")
    if found.policy is not None:
        output.line(f"  policy      {found.policy.digest}")
    if found.trust is not None:
        changed = " (changed)" if done.trust_changed else ""
        output.line(f"  trust root  {found.trust.digest}{changed}")
        if done.trust_changed and done.pinned:
            output.note("the configuration pins the trust root: write the new digest there")
    for one in done.new:
        word = "would stop" if dry_run else "stops"
        stopped = output.count(one.blocked, "name")
        output.line(f"  {one.request.path}  {word} {one.request.says.target} ({stopped})")
    if done.old:
        output.line(f"  {output.count(len(done.old), 'request')} made before")
    if dry_run:
        return
    if done.entry is not None:
        output.line(f"synced: ledger entry {done.entry}")
    elif done.adopted:
        output.line("synced: the ledger had it already")
    else:
        output.line("unchanged")
