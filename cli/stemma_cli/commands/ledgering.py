"""ledger export, ledger verify, ledger restore."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress

if TYPE_CHECKING:
    from stemma_registry.gitledger.verifying import Report
    from stemma_registry.gitrepo.repository import Repository

_STALE_OK = click.option(
    "--stale-ok", is_flag=True, help="It may end before the head that was seen here before."
)
_TRUST = click.option(
    "--trust-root", metavar="SOURCE", help="FILE or sha256:DIGEST, else the home's."
)


@click.group()
def ledger() -> None:
    """The whole history as a Git repository: export it, audit a clone, restore from one."""


@ledger.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--object-format",
    type=click.Choice(["sha1", "sha256"]),
    help="Of a new repository; SHA-1 without it.",
)
@pass_session
def export(session: Session, folder: Path, object_format: Any) -> None:
    """Write the ledger to the bare Git repository DIR, or what is new of it.

    One commit an entry, the same on every machine: the branch `ledger`. Exit code 12 if a
    statement is lost, 14 if the repository is of another ledger.
    """
    from stemma_registry.gitledger.exporting import export as run

    home, trust = session.home, session.trust()
    with progress("exporting", "entries") as advance:
        done = run(session.store(), home, trust, folder, object_format, advance)
    if session.json:
        output.document(
            {
                "directory": str(folder),
                "head": done.n,
                "entry": str(done.entry),
                "commit": done.commit,
                "new": done.new,
                "left_out": [str(digest) for digest in done.left_out],
                "checkpoint": done.checkpoint,
                "object_format": done.object_format,
            }
        )
        return
    output.line(f"{folder}  {done.new} new commits, at entry {done.n}")
    output.line(f"  {done.commit}")
    if done.left_out:
        output.line(f"  left out {len(done.left_out)} statements that were erased")
    if done.checkpoint is None:
        output.line("  no signed head lies beside the ledger: the next push writes one")


@ledger.command()
@click.argument("repository", metavar="DIR|URL")
@_TRUST
@_STALE_OK
@pass_session
def verify(session: Session, repository: str, trust_root: str | None, stale_ok: bool) -> None:
    """Audit an exported ledger, or a clone of one, without the registry.

    Checks the chain, every statement's bytes and signatures, and that it is the
    ledger that was seen or signed. Exit code 12 if something in it is not as its
    entry says, 13 if nobody who is believed vouches for it, 14 if the chain breaks
    or it is a fork, or was rewound.
    """
    with _opened(repository) as opened:
        report = _verified(session, opened, trust_root, stale_ok)
    code = _code(report)
    if session.json:
        output.document({"code": code, **_document(report)})
    else:
        _print(report, code)
    click.get_current_context().exit(code)


@ledger.command()
@click.argument("repository", metavar="DIR|URL")
@_TRUST
@_STALE_OK
@pass_session
def restore(session: Session, repository: str, trust_root: str | None, stale_ok: bool) -> None:
    """Put a lost ledger back, from an exported one and the blobs that are still there.

    Verifies it first, replaces nothing, and rebuilds the catalogue. Exit codes as
    of `ledger verify`; `stemma audit` says then which blobs are missing.
    """
    from stemma_registry.blobs.opening import is_remote, store_at
    from stemma_registry.errors import NotFound
    from stemma_registry.gitledger.restoring import restore as run
    from stemma_registry.registry import rebuild

    location, home, trust = session.location, session.home, session.trust(trust_root)
    if not is_remote(location) and not Path(location).is_dir():
        raise NotFound(f"no store at {location}: name the place that has the blobs (--registry)")
    with _opened(repository) as opened:
        report = _verified(session, opened, trust_root, stale_ok)
        code = _code(report)
        if code != exits.DONE:
            _refuse(session, report, code)
        with progress("restoring", "entries") as advance:
            done = run(store_at(location, home, cached=False), opened, trust, report, advance)
    registry, head = rebuild(location, home)
    registry.close()
    if session.json:
        counts = {"entries": done.entries, "blobs": done.blobs, "projected": head.n}
        output.document({"registry": location, **counts, **_document(report)})
        return
    output.line(f"restored {done.entries} ledger entries and {done.blobs} lost statements and keys")
    output.line(f"{location} is at entry {head.n}; `stemma audit` says which blobs are missing")


@contextlib.contextmanager
def _opened(repository: str) -> Iterator[Repository]:
    from stemma_registry.gitledger.rendering import BRANCH, CHECKPOINTS
    from stemma_registry.gitrepo.fetching import fetched

    with (
        tempfile.TemporaryDirectory(prefix="stemma-ledger-") as work,
        fetched(repository, Path(work) / "clone", (BRANCH, f"{CHECKPOINTS}*")) as opened,
    ):
        yield opened


def _verified(
    session: Session, repository: Repository, trust_root: str | None, stale_ok: bool
) -> Report:
    from stemma_registry.blobs.opening import store_at
    from stemma_registry.gitledger.verifying import verify as run

    home, trust = session.home, session.trust(trust_root)
    place = store_at(session.location, home, cached=False).location  # it is not asked
    with progress("verifying", "entries") as advance:
        return run(repository, home, trust, place, session.now, stale_ok, advance)


def _code(report: Report) -> int:
    if not report.whole:
        return exits.BYTES_DIFFER
    return exits.DONE if report.vouched >= 0 else exits.SIGNATURE


def _refuse(session: Session, report: Report, code: int) -> None:
    if session.json:
        output.document({"code": code, **_document(report)})
    else:
        _print(report, code)
    click.get_current_context().exit(code)


def _document(report: Report) -> dict[str, Any]:
    return {
        "whole": report.whole,
        "head": report.n,
        "entry": str(report.entry),
        "commit": report.commit,
        "object_format": report.object_format,
        "statements": report.statements,
        "believed": report.believed,
        "signed": report.signed,
        "unsigned": report.unsigned,
        "erased": report.erased,
        "vouched": report.vouched if report.vouched >= 0 else None,
        "vouched_by": report.by,
        "seen": report.seen,
        "behind": report.behind,
        "wrong": report.wrong,
        "findings": [vars(finding) for finding in report.findings],
        "distrusted": report.distrusted,
        "doubts": [vars(finding) for finding in report.doubts],
        "unweighed": report.unweighed,
    }


def _print(report: Report, code: int) -> None:
    output.line(f"{report.n + 1} entries, {report.statements} statements")
    output.line(
        f"  {report.believed} by signers who are believed, {report.signed} by others, "
        f"{report.unsigned} unsigned, {report.erased} erased"
    )
    if report.unweighed is not None:
        output.line(f"  whether any of them is distrusted was not asked: {report.unweighed}")
    for doubt in report.doubts:
        output.line(f"  entry {doubt.n}: {doubt.detail}")
    if report.distrusted > len(report.doubts):
        output.line(f"  and {report.distrusted - len(report.doubts)} more that are distrusted")
    if report.by is not None:
        output.line(f"  head signed by {report.by}, who is believed: entry {report.vouched}")
    if report.seen is not None:
        output.line(f"  entry {report.seen} was seen here before, and is the same")
    if report.behind:
        output.line(f"  ends {report.behind} entries before the head that was seen here")
    if 0 <= report.vouched < report.n:
        output.line(f"  nobody has signed for the {report.n - report.vouched} entries after that")
    for finding in report.findings:
        output.line(f"wrong  entry {finding.n} ({finding.commit[:12]}): {finding.detail}")
    if report.wrong > len(report.findings):
        output.line(f"       and {report.wrong - len(report.findings)} more")
    if code == exits.SIGNATURE:
        output.line("NOT VERIFIED: whole, but nobody who is believed has signed a head of it")
    else:
        output.line("verified" if code == exits.DONE else f"NOT WHOLE: {report.wrong} commits")
