"""trust root."""

from __future__ import annotations

from pathlib import Path

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session, read_file

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("root")
def roots() -> None:
    """The Sigstore trusted roots of this machine: which authorities and logs an instance has."""


@roots.command("add")
@click.argument("file", type=_FILE)
@pass_session
def root_add(session: Session, file: Path) -> None:
    """Keep a trusted root (or the one in a trust configuration) under its digest.

    That believes nobody yet: `trust add --identity ... --root DIGEST` does.
    """
    from stemma_registry.trust.roots import MAX_BYTES, TrustedRoots

    digest = TrustedRoots(session.home.roots).add(read_file(file, MAX_BYTES))
    if session.json:
        output.document({"root": str(digest)})
        return
    output.line(str(digest))


@roots.command("list")
@pass_session
def root_list(session: Session) -> None:
    """List them by digest."""
    from stemma_registry.trust import public_good
    from stemma_registry.trust.roots import TrustedRoots

    digests = TrustedRoots(session.home.roots).digests()
    if session.json:
        output.document({"roots": [str(digest) for digest in digests]})
        return
    for digest in digests:
        public = digest == public_good.TRUSTED_ROOT
        output.line(f"{digest}{'  the public instance' if public else ''}")


@roots.command("update")
@click.option("--url", metavar="URL", help="A private TUF repository  [default: the public one]")
@click.option("--root", "anchor", type=_FILE, help="A root.json of that repository.")
@click.option("--old", metavar="DIGEST", help="What to compare with  [default: the public one]")
@pass_session
def root_update(session: Session, url: str | None, anchor: Path | None, old: str | None) -> None:
    """Fetch an instance's newest trusted root through its TUF repository, and keep it.

    Shows what is new in it. No trust root is changed: who is to be believed
    under it is added in review.
    """
    from stemma_attestations.digest import Digest
    from stemma_registry.trust import public_good
    from stemma_registry.trust import root_update as updating
    from stemma_registry.trust.roots import MAX_BYTES, TrustedRoots

    if (url is None) != (anchor is None):
        raise click.UsageError("a private repository needs --url URL and --root FILE")
    here = TrustedRoots(session.home.roots)
    before = Digest.parse(old) if old else None if url else public_good.TRUSTED_ROOT
    was = here.read(before) if before else None
    raw = read_file(anchor, MAX_BYTES) if anchor else public_good.tuf_root()
    repository = updating.Repository(url or public_good.TUF_URL, raw)
    now = updating.update(repository, session.home)
    changes = updating.changes(was, here.read(now))
    if session.json:
        before_text = str(before) if before else None
        output.document({"old": before_text, "new": str(now), "changes": changes})
        return
    output.line(f"old  {before or 'none (--old DIGEST compares)'}")
    output.line(f"new  {now}")
    for change in changes:
        output.line(f"  {change}")
    if now == before:
        output.line("nothing is new")
        return
    output.line("It is kept in the home, and nobody is believed under it yet. In review, give each")
    output.line("identity that may use it a second item in the trust root, with the line")
    output.line(f'      root: "{now}"')
