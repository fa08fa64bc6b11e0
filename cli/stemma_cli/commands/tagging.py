"""tags."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.trust import TrustRoot
    from stemma_registry.gitrepo.repository import Repository
    from stemma_registry.tagging.asked import Synced
    from stemma_registry.tagging.keeping import Keeper
    from stemma_registry.tagging.listing import Artifact, Version
    from stemma_registry.tagging.planning import Result
    from stemma_registry.tagging.reading import Listed

SHOWN = 20
_QUIET = ("claimed", "passed", "agrees")  # of these only how many
_PLACE = click.argument(
    "place", metavar="[REPO]", default=".", type=click.Path(path_type=Path, exists=True)
)
_SCOPE = click.option(
    "--scope", metavar="NAME", help="What the repository is called (else by Git)."
)
_TRUST = click.option(
    "--trust", "trusted", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST."
)


@click.group()
def tags() -> None:
    """Read, write and follow Git tags in GTO's grammar: NAME@v1.2.0, NAME#prod#3."""


@tags.command()
@click.argument("tag", metavar="TAG")
@click.argument("revision", metavar="[REV]", default="HEAD")
@click.option("--repo", "place", metavar="DIR", default=".", type=click.Path(path_type=Path))
@click.option("--sign", is_flag=True, help="Sign it as your Git is configured to.")
@click.option("-m", "--message", metavar="TEXT", help="What is said in it.")
@pass_session
def create(
    session: Session, tag: str, revision: str, place: Path, sign: bool, message: str | None
) -> None:
    """Tag a commit: NAME@v1.2.0 registers, NAME#STAGE assigns, `!` behind it takes back.

    It is your own `git tag` in your own repository. A stage gets the next number.
    """
    from stemma_registry.gitrepo.repository import Repository
    from stemma_registry.tagging import creating

    with Repository.open(place) as repository:
        made = creating.create(repository, tag, revision, message, sign=sign)
    if session.json:
        output.document({"tag": made.tag, "id": made.id, "commit": made.commit, "signed": sign})
        return
    output.line(f"{made.tag}  commit {made.commit[:12]}{', signed' if sign else ', unsigned'}")


@tags.command(name="list")
@_PLACE
@_SCOPE
@_TRUST
@pass_session
def list_(session: Session, place: Path, scope: str | None, trusted: str | None) -> None:
    """List artifacts, versions and stages as the tags say, and who signed them."""
    from stemma_registry.tagging import listing

    trust = session.trust(trusted)
    with _read(session, place, scope, trust) as (_, _, _, found):
        artifacts = listing.fold(found.tags)
    if session.json:
        output.document([_artifact(one, trust) for one in artifacts])
        return
    rows = [_row(one, version, trust) for one in artifacts for version in one.versions]
    if not rows:
        output.line("no tag registers a version or assigns a stage (stemma tags create)")
        return
    output.table(["NAME", "VERSION", "COMMIT", "STAGES", "TAGGED", "SIGNED BY"], rows)


@tags.command()
@_PLACE
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@_SCOPE
@_TRUST
@click.option("--policy", metavar="FILE|NAME", help="What must be true (else the home's policy).")
@signing()
@pass_session
def sync(
    session: Session,
    place: Path,
    dry_run: bool,
    scope: str | None,
    trusted: str | None,
    policy: str | None,
    sign: Choice,
) -> None:
    """Follow signed tags: give names, move stages by the gate; note the others as claims.

    What it cannot tell, or the gate refuses, is listed and is no error.
    """
    from stemma_registry.stages.desk import Desk
    from stemma_registry.tagging import syncing
    from stemma_registry.tagging.asked import Asked

    trust, registry, signer = session.trust(trusted), session.open(), session.signer(sign)
    held_to = session.policy(policy)
    with (
        _read(session, place, scope, trust) as (repository, name, keeper, found),
        progress("hashing") as advance,
    ):
        desk = Desk(registry, trust, signer, session.now, advance)
        asked = Asked(repository, name, found, keeper, held_to)
        done = syncing.sync(desk, asked, dry_run)
        keeper.save()
    if session.json:
        output.document(_document(done, name, found.others, dry_run, signer.id))
    else:
        _print(done, name, dry_run)


@contextlib.contextmanager
def _read(
    session: Session, place: Path, scope: str | None, trust: TrustRoot
) -> Iterator[tuple[Repository, str, Keeper, Listed]]:
    """The repository, what it is called, what is known of it, and its tags."""
    from stemma_registry.gitrepo.repository import Repository
    from stemma_registry.tagging import reading, signatures
    from stemma_registry.tagging.keeping import Keeper
    from stemma_registry.trust.roots import TrustedRoots

    with Repository.open(place) as repository:
        name = scope or reading.name_of(repository, place)
        roots = TrustedRoots(session.home.roots).present(trust.roots)
        keeper = Keeper(session.home, name, signatures.basis(trust, roots))
        found = reading.read(repository, signatures.by(trust, roots), keeper)
        keeper.save()
        yield repository, name, keeper, found


def _print(done: Synced, name: str, dry_run: bool) -> None:
    from stemma_registry.tagging.asked import counts

    plan = done.plan
    for seen in plan.gone:
        output.note(f"warning: {seen.tag} was {seen.outcome}, and is gone: nothing was undone")
    for one in plan.results:
        if one.outcome in ("moved", "ignored"):
            output.note(f"warning: {one.tag.name} is {one.outcome}: {one.reason}")
    loud = [one for one in plan.results if one.outcome not in (*_QUIET, "moved", "ignored")]
    for one in loud[:SHOWN]:
        output.line(f"  {one.outcome:<11} {_words(one)}")
    if len(loud) > SHOWN:
        output.line(f"  and {len(loud) - SHOWN} more")
    found = counts(plan.results)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.items()))
    entry = "entries" if len(done.entries) > 1 else "entry"
    entries = f", ledger {entry} {', '.join(map(str, done.entries))}" if done.entries else ""
    would = " (nothing was written)" if dry_run else entries
    output.line(f"{name}: {told or 'nothing new'}, {plan.settled} settled before{would}")


def _words(one: Result) -> str:
    about = f" is {one.name}" if one.name is not None and one.tag.said.stage else ""
    by = f", signed by {one.principal}" if one.principal else ""
    why = f": {one.reason}" if one.reason else ""
    return f"{one.tag.name}{about}{by}{why}"


def _document(done: Synced, name: str, others: int, dry_run: bool, signer: str) -> dict[str, Any]:
    from stemma_registry.tagging.asked import counts

    return {
        "repository": name,
        "dry_run": dry_run,
        "counts": counts(done.plan.results),
        "settled": done.plan.settled,
        "other_tags": others,
        "tags": [_result(one) for one in done.plan.results],
        "gone": [
            {"tag": seen.tag, "id": seen.id, "outcome": seen.outcome} for seen in done.plan.gone
        ],
        "entries": done.entries,
        "signer": signer,
    }


def _result(one: Result) -> dict[str, Any]:
    return {
        "tag": one.tag.name,
        "id": one.tag.id,
        "commit": one.tag.commit or None,
        "act": str(one.tag.said.act),
        "outcome": one.outcome,
        "reason": one.reason or None,
        "signed_by": one.principal,
        "version": str(one.name) if one.name else None,
        "artifact": str(one.artifact) if one.artifact else None,
    }


def _row(one: Artifact, version: Version, trust: TrustRoot) -> list[str]:
    from stemma_registry.tagging import listing

    tag = version.tag
    when = tag.fact.time if tag is not None else None
    stages = [
        f"#{stage} ({listing.signer(by, trust)})" for stage, by in sorted(version.stages.items())
    ]
    return [
        one.name + (" (deprecated)" if one.deprecated else ""),
        version.version or "-",
        version.commit[:12],
        ", ".join(stages) or "-",
        _time(when) or "-",
        listing.signer(tag, trust) if tag is not None else "-",
    ]


def _artifact(one: Artifact, trust: TrustRoot) -> dict[str, Any]:
    return {
        "name": one.name,
        "deprecated": one.deprecated,
        "versions": [_version(version, trust) for version in one.versions],
    }


def _version(version: Version, trust: TrustRoot) -> dict[str, Any]:
    from stemma_registry.tagging import listing

    tag = version.tag
    return {
        "version": version.version,
        "commit": version.commit,
        "tag": tag.name if tag else None,
        "time": _time(tag.fact.time) if tag else None,
        "signed_by": listing.signer(tag, trust) if tag else None,
        "stages": {
            stage: {"tag": by.name, "signed_by": listing.signer(by, trust)}
            for stage, by in sorted(version.stages.items())
        },
    }


def _time(seconds: int | None) -> str | None:
    from stemma_attestations.times import format_time

    try:
        return None if seconds is None else format_time(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None
