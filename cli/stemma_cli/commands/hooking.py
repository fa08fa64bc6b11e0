"""hook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from stemma_cli import exits, markdown, output
from stemma_cli.conditions import Conditions
from stemma_cli.session import Session, pass_session

if TYPE_CHECKING:
    from stemma_registry.pointers.pushed import Changed, Vouched

_REPO = click.Path(path_type=Path, exists=True, file_okay=False)
_repo = click.option(
    "--repo", type=_REPO, default=Path(), metavar="DIR", help="The repository (else around here)."
)
_policy = click.option("--policy", metavar="FILE|NAME", help="What must be true.")
_stage = click.option("--stage", metavar="STAGE", help="Where it would be served: prod.")
SHOWN = 50
_MOST = 64 * 1024 * 1024  # what Git tells of a push
NO_VERIFY = "`git push --no-verify` pushes all the same; who verifies is stopped later"


@click.group()
def hook() -> None:
    """Refuse commits with Git LFS pointers to bytes that are missing, unverified or stopped."""


@hook.command("install")
@_repo
@pass_session
def install(session: Session, repo: Path) -> None:
    """Install the pre-push hook of a repository; a hook that is there is called afterwards."""
    from stemma_registry.gitrepo.repository import Repository
    from stemma_registry.pointers import hook as room

    with Repository.open(repo) as opened:
        done = room.install(opened)
    if session.json:
        before = None if done.before is None else str(done.before)
        said = {"hook": str(done.path), "before": before, "unchanged": done.unchanged}
        output.document(said)
        return
    output.line(f"{done.path}{' (unchanged)' if done.unchanged else ''}")
    if done.before is not None:
        output.line(f"  then calls {done.before}")


@hook.command("pre-push")
@_repo
@_policy
@_stage
@click.argument("remote", metavar="REMOTE")
@click.argument("url", metavar="URL", required=False)
@pass_session
def pre_push(
    session: Session,
    repo: Path,
    policy: str | None,
    stage: str | None,
    remote: str,
    url: str | None,
) -> None:
    """What Git calls before a push, with what is pushed on standard input."""
    del url  # Git says it to every such hook
    from stemma_registry.gitrepo.repository import Repository
    from stemma_registry.pointers import pushed

    told = sys.stdin.buffer.read(_MOST).decode(errors="surrogateescape")
    if len(told) == _MOST:
        raise click.UsageError("a push of more references than are looked at")
    with Repository.open(repo) as opened:
        changed = pushed.of_push(opened, remote, pushed.lines(told))
    _judge(session, changed, Conditions(policy, stage), "text")


@hook.command("check")
@_repo
@_policy
@_stage
@click.argument("commits", metavar="BASE..HEAD")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown"]),
    default="text",
    help="For a terminal, or for a comment.",
)
@pass_session
def check(
    session: Session,
    repo: Path,
    policy: str | None,
    stage: str | None,
    commits: str,
    form: str,
) -> None:
    """Ask the same about the commits of a pull request, for example in CI."""
    from stemma_registry.gitrepo.repository import Repository
    from stemma_registry.pointers import pushed

    with Repository.open(repo) as opened:
        changed = pushed.of_range(opened, commits)
    _judge(session, changed, Conditions(policy, stage), form)


def _judge(session: Session, changed: list[Changed], said: Conditions, form: str) -> NoReturn:
    from stemma_registry.pointers import pushed

    vouched: list[Vouched] = []
    if changed:  # what holds no pointer needs no registry
        terms = said.terms(session)
        with session.view() as (registry, view):
            vouched = pushed.judge(registry, view, changed, terms)
    bad = pushed.refused(vouched)
    code = _code(bad)
    if session.json:
        output.document({"code": code, "pointers": [_document(one) for one in vouched]})
    elif form == "markdown":
        click.echo(markdown.comment(vouched, bad))
    else:
        _report(vouched, bad)
    click.get_current_context().exit(code)
    raise AssertionError  # `exit` raises


def _code(bad: list[Vouched]) -> int:
    """Of all of them the most severe; that nothing could be decided only where nothing failed."""
    from stemma_registry.pointers.pushed import State

    states = {one.state for one in bad}
    if State.QUARANTINED in states:
        return exits.QUARANTINED
    if states - {State.UNDECIDED}:
        return exits.NOT_VERIFIED
    return exits.UNDECIDED if states else exits.DONE


def _document(one: Vouched) -> dict[str, Any]:
    path = one.changed.path.encode(errors="surrogateescape").decode(errors="replace")
    return {
        "path": path,
        "commit": one.changed.commit,
        "oid": one.changed.pointer.sha256.value,
        "size": one.changed.pointer.size,
        "state": str(one.state),
        "reason": one.why,
        "artifact": one.artifact,
    }


def _report(vouched: list[Vouched], bad: list[Vouched]) -> None:
    from stemma_registry.pointers.pushed import MEND

    if not bad:
        output.note(f"stemma: {output.count(len(vouched), 'pointer')} verified")
        return
    output.note(f"stemma: {len(bad)} of {output.count(len(vouched), 'pointer')} refused")
    for one in bad[:SHOWN]:
        output.note(f"  {one.changed.path}  {one.state}  (commit {one.changed.commit[:12]})")
        output.note(f"    {one.why}")
        output.note(f"    mend: {MEND[one.state]}")
    if len(bad) > SHOWN:
        output.note(f"  ... and {len(bad) - SHOWN} more (--json lists all)")
    output.note(f"  {NO_VERIFY}")
