"""verify."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output, verdicts
from stemma_cli.conditions import Conditions, conditional
from stemma_cli.leaving import Ledger, tell
from stemma_cli.reports import Wish, reporting
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.setverdicts import verify_lock
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.verdict import Verdict
    from stemma_registry.gate import Terms
    from stemma_registry.signing import Signer

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("subjects", metavar="REF|DIR", nargs=-1)
@click.option("--as", "expected", metavar="NAME:VERSION", help="What the directory should be.")
@click.option(
    "--lock",
    "lock",
    type=_PATH,
    help="Hold it, or [WORD=]REF|DIR of each member, to a lock; without any, what is stored.",
)
@click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)
@click.option("--vsa", type=_PATH, help="Write the verdict as a SLSA verification summary.")
@signing("Sign the --vsa, the --report, what --record records: key:FILE, hsm:ID, ...")
@conditional
@click.option("--record", is_flag=True, help="Put the signed verdict into the ledger.")
@click.option("--coverage", is_flag=True, help="Also say how much of what is upstream is signed.")
@reporting
@pass_session
def verify(
    session: Session,
    subjects: tuple[str, ...],
    expected: str | None,
    lock: Path | None,
    trust: str | None,
    vsa: Path | None,
    sign: Choice,
    conditions: Conditions,
    record: bool,
    coverage: bool,
    report: Wish | None,
) -> None:
    """Decide whether REF, or the directory DIR, may be served; say why.

    Exit code 0 is the only yes. A directory is held against --as; without it,
    it is judged as whatever its bytes are known as.
    """
    from stemma_attestations.errors import NotVerified

    if sign and vsa is None and not (report or record or conditions.stale_ok):
        raise click.UsageError(
            "--sign signs the verdict: say where with --vsa FILE, --record or --report"
        )
    if lock is not None:
        _check_lock(
            conditions, as_=expected, vsa=vsa, record=record, coverage=coverage, report=report
        )
        verify_lock(session, lock, subjects, trust, conditions.terms(session))
    if len(subjects) != 1:
        raise click.UsageError("say what is judged: one REF or DIR")
    (subject,) = subjects
    if vsa is not None:
        _forget(vsa)
    deploy = (report.spot(conditions.stage), report.life) if report else None
    signer = session.signer(sign) if sign and vsa is not None else None
    with _told(session, subject):
        try:
            terms = conditions.terms(session)
            verdict, failure = _verdict(session, subject, expected, trust, terms), None
        except NotVerified as error:
            if error.verdict is None:
                raise
            verdict, failure = error.verdict, error
        more: dict[str, Any] = {}
        if coverage:
            more["coverage"] = _coverage(session, verdict, trust)
        ledger = Ledger(session, trust, sign)
        more |= ledger.record(verdict, record)
    code = exits.code_of(failure) if failure else exits.DONE
    if vsa is not None:
        _write(vsa, verdict, signer)
    if deploy is not None:
        more["report"] = None if failure else ledger.report(verdict, *deploy)
    end = exits.UNDECIDED if "error" in (more.get("report") or {}) else code
    if session.json:
        output.document({**verdicts.document(verdict, end, failure), **more})
    else:
        verdicts.report(verdict, code)
        if coverage:
            output.line(f"  upstream: {_shares(more['coverage'])}")
        tell(more)
    click.get_current_context().exit(end)


def _check_lock(others: dict[str, object]) -> None:
    """Raises UsageError for what a lock goes without."""
    for name, value in others.items():
        if value:
            raise click.UsageError(f"--lock goes without --{name}")


def _verdict(
    session: Session,
    subject: str,
    expected: str | None,
    trust: str | None,
    terms: Terms,
) -> Verdict:
    from stemma_attestations.names import NameVersion
    from stemma_registry import gate
    from stemma_registry.reference import looks_like_reference

    name = NameVersion.parse(expected) if expected else None
    with session.view(trust) as (registry, view), progress("hashing") as advance:
        if name is None and looks_like_reference(subject):
            return gate.verify_reference(registry, view, subject, advance, terms)
        return gate.verify_directory(registry, view, Path(subject), name, advance, terms)


def _coverage(session: Session, verdict: Verdict, trust: str | None) -> dict[str, int] | None:
    """What is upstream; None where it cannot be counted, and the verdict is a no in any case."""
    from stemma_attestations.errors import StemmaError
    from stemma_registry import gate

    try:
        with session.view(trust) as (registry, view):
            return gate.coverage(registry, view, verdict)
    except StemmaError:
        if verdict.passed:  # a yes that leaves out what was asked for is none
            raise
        return None


@contextlib.contextmanager
def _told(session: Session, subject: str) -> Iterator[None]:
    """The verdict on the first line, also where there is none to print."""
    from stemma_attestations.errors import StemmaError

    try:
        yield
    except StemmaError as error:
        code = exits.code_of(error)
        if not session.json and code != exits.USAGE:
            output.line(verdicts.headline(code, subject))
        raise


def _shares(counts: dict[str, int]) -> str:
    whole = sum(counts.values())
    shares = [
        f"{count} {word} ({count * 100 // whole}%)" for word, count in counts.items() if count
    ]
    return ", ".join(shares) or "nothing"


def _forget(path: Path) -> None:
    """Take away the summary of an earlier run: where this one has none, it would be read as its."""
    if path.is_file():
        if path.is_symlink():  # the link is somebody's
            path.write_bytes(b"")
        else:
            path.unlink()


def _write(path: Path, verdict: Verdict, signer: Signer | None) -> None:
    from stemma_registry import files, gate

    statement = gate.summary(verdict)
    raw = statement.raw if signer is None else signer.sign(statement).raw
    if path.exists() or path.is_symlink():  # a pipe, a device: whoever reads it is there
        path.write_bytes(raw)
    else:
        files.replace(path, "verdict", raw)
