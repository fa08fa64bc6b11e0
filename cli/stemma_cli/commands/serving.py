"""exec."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import exits, output
from stemma_cli.reports import Wish, document_of, reporting
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.deploying import Left
    from stemma_registry.gate import Terms
    from stemma_registry.serving import Approved
    from stemma_registry.serving.reporting import Report
    from stemma_registry.serving.running import Ended
    from stemma_registry.serving.served import Served
    from stemma_registry.serving.watching import Rhythm

_SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL")


@click.command(name="exec")
@click.argument("subject", metavar="REF|DIR", required=False)
@click.argument("command", metavar="CMD", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--lock", type=click.Path(path_type=Path), help="Run CMD on its members, instead of REF."
)
@click.option("--as", "expected", metavar="NAME:VERSION", help="What the directory should be.")
@click.option("--also", multiple=True, metavar="NAME=REF", help="Another one, for {NAME}. Repeat.")
@click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)
@click.option("--policy", metavar="FILE|NAME", help="What must be true (else the home's policy).")
@click.option("--stage", metavar="STAGE", help="Where it is served: prod.")
@click.option("--watch", metavar="INTERVAL", help="Ask again: 60s, 15m. A quarantine stops CMD.")
@click.option(
    "--max-age",
    metavar="DURATION",
    help="How old the last answer may be, with --watch (10 intervals).",
)
@click.option(
    "--signal", "ending", type=click.Choice(_SIGNALS), default="TERM", help="What stops CMD (TERM)."
)
@click.option(
    "--grace", metavar="DURATION", default="10s", help="After that it is killed, if stopped (10s)."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="Where the private copies are made (else the run-time directory, or the home).",
)
@reporting
@signing("The signer of the records: key:FILE, hsm:ID, ... (else the home's key).")
@pass_session
def exec_(
    session: Session,
    subject: str | None,
    command: tuple[str, ...],
    lock: Path | None,
    expected: str | None,
    also: tuple[str, ...],
    trust: str | None,
    policy: str | None,
    stage: str | None,
    watch: str | None,
    max_age: str | None,
    ending: str,
    grace: str,
    folder: Path | None,
    report: Wish | None,
    sign: Choice,
) -> None:
    """Verify REF, the directory DIR or a lock, and run CMD on a private, read-only copy of it.

    Write `--` before CMD, and {path} in it for the copy. Its exit code is passed
    on. Unless the verdict is a yes nothing is run, and the exit code is the gate's.
    """
    from stemma_registry.gate import Terms
    from stemma_registry.serving.asking import Place
    from stemma_registry.serving.launching import Serving, seconds, serve
    from stemma_registry.serving.running import Job

    left: list[Left] = []
    terms = Terms(session.policy(policy), stage)
    if lock is not None:  # then the first word behind `--` is the command's
        command = (subject, *command) if subject is not None else ()
        subject = None
    if not command:
        raise click.UsageError("Missing argument 'CMD...'.")
    serving = Serving(
        Place(session.location, session.home, trust),
        _served(lock, subject, expected, also, terms),
        command,
        folder.absolute() if folder is not None else None,
        _rhythm(watch, max_age),
        _reporter(session, report, stage, sign, left),
    )
    stdout = 2 if session.json else None  # one JSON document is on stdout, and nothing else
    job = Job(command, {}, signal.Signals[f"SIG{ending}"], seconds(grace), stdout=stdout)
    with progress("hashing") as advance:
        approved, ended = serve(serving, job, os.environ, advance, lambda: _clear(advance))
    code = exits.code_of(ended.stopped) if ended.stopped else ended.code
    for text in (ended.note, f"stopped: {ended.stopped}" if ended.stopped else None):
        if text:
            output.note(f"stemma: {text}")
    if session.json:
        told = {"reports": [document_of(one) for one in left]} if report else {}
        output.document({**_document(approved, ended, code), **told})
    click.get_current_context().exit(code)


def _clear(advance: object) -> None:
    """Take the progress off the terminal: from here on it is the command's."""
    if (clear := getattr(advance, "clear", None)) is not None:
        clear()


def _served(
    lock: Path | None,
    subject: str | None,
    expected: str | None,
    also: tuple[str, ...],
    terms: Terms,
) -> Served:
    """The seam to the gate: what `verify` would be asked."""
    from stemma_attestations.names import NameVersion
    from stemma_registry.serving.asking import Question
    from stemma_registry.serving.locking import read
    from stemma_registry.serving.served import Served

    if lock is not None:
        if expected or also:
            raise click.UsageError("--lock says what is served: without --as and --also")
        found, _ = read(lock)
        return Served.locked(found, terms)
    if subject is None:
        raise click.UsageError("Missing argument 'REF|DIR'.")
    name = NameVersion.parse(expected) if expected else None
    return Served.of(Question(subject, name, terms), also)


def _rhythm(watch: str | None, max_age: str | None) -> Rhythm | None:
    from stemma_registry.serving.launching import seconds
    from stemma_registry.serving.watching import Rhythm

    if watch is None:
        if max_age is not None:
            raise click.UsageError("--max-age is how old the last answer to --watch may be")
        return None
    interval = seconds(watch)
    return Rhythm(interval, seconds(max_age) if max_age is not None else 10 * interval)


def _reporter(
    session: Session, report: Wish | None, stage: str | None, sign: Choice, left: list[Left]
) -> Report | None:
    from stemma_registry.serving.reporting import Report

    if report is None:
        if sign:
            raise click.UsageError("--sign, --timestamp and --log are about a --report")
        return None
    spot, life = report.spot(stage), report.life

    def tell(text: str) -> None:
        output.note(f"stemma: {text}")

    return Report(session.signer(sign), spot, tell, left.append, life)


def _document(approved: Sequence[Approved], ended: Ended, code: int) -> dict[str, object]:
    return {
        "code": code,
        "stopped": str(ended.stopped) if ended.stopped else None,
        "verified": [
            {
                "resource": one.verdict.resource,
                "artifact": str(one.verdict.artifact),
                "name": str(one.verdict.name) if one.verdict.name else None,
                "entry": one.verdict.entry,
                "trust_root": str(one.verdict.trust_root),
            }
            for one in approved
        ],
    }
