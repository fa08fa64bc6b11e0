"""lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import durations, exits, output
from stemma_cli.session import Session, pass_session, progress

if TYPE_CHECKING:
    from stemma_attestations.lock import Lock, Member
    from stemma_registry.gate import Terms
    from stemma_registry.serving.locking import Change, Made

DEFAULT = Path("stemma.lock")


@click.command()
@click.argument("texts", metavar="REF|FILE", nargs=-1)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The file (stemma.lock).")
@click.option("--check", is_flag=True, help="Is the lock in FILE what its references name now?")
@click.option("--update", is_flag=True, help="Write FILE anew from the references in it.")
@click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)
@click.option("--policy", metavar="FILE|NAME", help="What must be true (else the home's policy).")
@click.option("--stage", metavar="STAGE", help="Where it is to be served: prod.")
@click.option("--max-age", metavar="TIME", help="How old the status may be: 15m, 1h.")
@pass_session
def lock(
    session: Session,
    texts: tuple[str, ...],
    out: Path | None,
    check: bool,
    update: bool,
    trust: str | None,
    policy: str | None,
    stage: str | None,
    max_age: str | None,
) -> None:
    """Verify each [WORD=]REF, and write what it is and who signed it to a file for review.

    Nothing is written unless every verdict is a yes; the exit code is the gate's.
    With --check or --update the argument is the lock's FILE (stemma.lock).
    """
    from stemma_registry.gate import Terms

    if check and update:
        raise click.UsageError("--check looks, and --update writes: one of them")
    if check and (policy or stage or max_age):
        raise click.UsageError("--check only looks at what the references name: no gate is run")
    if not (check or update):
        limit = durations.given(max_age)
        _write(session, texts, out, trust, Terms(session.policy(policy), stage, None, limit))
        return
    if out is not None or len(texts) > 1:
        raise click.UsageError("--check and --update are about one FILE")
    path = Path(texts[0]) if texts else DEFAULT
    if check:
        _check(session, path, trust)
    else:
        limit = durations.given(max_age)
        _update(session, path, trust, Terms(session.policy(policy), stage, None, limit))


def _write(
    session: Session, texts: Sequence[str], out: Path | None, trust: str | None, terms: Terms
) -> None:
    from stemma_registry.serving import locking

    if not texts:
        raise click.UsageError("say what is locked: a REF or more")
    path = out or DEFAULT
    locking.check_place(path)
    wanted = locking.asked(texts)
    with session.view(trust) as (registry, view), progress("hashing") as advance:
        made, entry = locking.make(registry, view, wanted, terms, advance), view.n
    locking.write(path, made.lock)
    _told(session, path, made, "written", entry, ())


def _update(session: Session, path: Path, trust: str | None, terms: Terms) -> None:
    from stemma_registry.serving import locking

    locking.check_place(path)
    old, before = locking.read(path)
    with session.view(trust) as (registry, view), progress("hashing") as advance:
        made, entry = locking.update(registry, view, old, terms, advance), view.n
    changes = locking.changes(old, made.lock)
    if changes:
        locking.write(path, made.lock, before)
    _told(session, path, made, "updated" if changes else "unchanged", entry, changes)


def _check(session: Session, path: Path, trust: str | None) -> None:
    from stemma_registry.serving import locking

    found, _ = locking.read(path)
    with session.view(trust) as (_, view):
        changes, entry = locking.moved(view, found), view.n
    code = exits.NOT_VERIFIED if changes else exits.DONE
    if session.json:
        document = {"current": not changes, "code": code, "changes": _changed(changes)}
        output.document({"lock": str(path), "entry": entry, **document})
    else:
        share = "not all" if changes else "all"
        output.line(f"{path}: {share} is what the references name, as of ledger entry {entry}")
        _lines(changes)
    click.get_current_context().exit(code)


def _told(
    session: Session,
    path: Path,
    made: Made,
    outcome: str,
    entry: int,
    changes: Sequence[Change],
) -> None:
    if session.json:
        document = {"lock": str(path), "outcome": outcome, "entry": entry}
        members = [_member(one) for one in made.lock.members]
        more = {"warnings": list(made.warnings), "changes": _changed(changes)}
        output.document({**document, "members": members, **more})
        return
    output.line(f"{path} {outcome}, as of ledger entry {entry}")
    if outcome == "written":
        _members(made.lock)
    _lines(changes)
    for warning in made.warnings:
        output.note(f"warning: {warning}")


def _members(found: Lock) -> None:
    for one in found.members:
        output.line(f"  {one.word}  {one.name}  {one.kind}  {output.size(one.size)}")
        output.line(f"    {one.artifact}")
        output.line(f"    signed by {', '.join(map(str, one.signers))}")


def _lines(changes: Sequence[Change]) -> None:
    for change in changes:
        for line in change.lines:
            output.line(f"  {change.word}: {line}")


def _changed(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [{"word": change.word, "lines": list(change.lines)} for change in changes]


def _member(one: Member) -> dict[str, Any]:
    return {
        "word": one.word,
        "from": one.source,
        "name": str(one.name),
        "kind": one.kind,
        "artifact": str(one.artifact),
        "size": one.size,
        "signers": [str(signer) for signer in one.signers],
    }
