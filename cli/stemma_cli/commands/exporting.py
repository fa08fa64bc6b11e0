"""export."""

from __future__ import annotations

from pathlib import Path

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session


@click.group()
def export() -> None:
    """Write what the registry knows where other tools look for it."""


@export.command()
@click.argument("repository", metavar="REPO", type=click.Path(path_type=Path, exists=True))
@click.argument("revision", metavar="[REVISION]", required=False)
@click.option(
    "--ref",
    metavar="REF",
    default="refs/notes/stemma",
    help="The notes (refs/notes/stemma unless said).",
)
@pass_session
def notes(session: Session, repository: Path, revision: str | None, ref: str) -> None:
    """Statements about commits, and about what was built from them, as Git notes.

    One bundle a line. What is in a note stays; what is there is not written again. Without
    REVISION: about every commit that the registry knows and the repository has.
    """
    from stemma_registry.commits import noting
    from stemma_registry.gitrepo.repository import Repository

    with session.view() as (registry, view), Repository.open(repository) as target:
        done = noting.write(registry, view, target, revision, ref)
    added = sum(done.notes.values())
    if session.json:
        output.document(
            {
                "ref": done.ref,
                "commit": done.commit,
                "outcome": "unchanged" if done.commit is None else "written",
                "added": added,
                "there": done.there,
                "notes": [{"commit": one, "added": n} for one, n in sorted(done.notes.items())],
            }
        )
        return
    if done.commit is None:
        output.line(f"{done.ref}  unchanged, {done.there} there")
        return
    word = "statement" if added == 1 else "statements"
    output.line(f"{done.ref}  {added} {word} added, {done.there} there, commit {done.commit[:12]}")
