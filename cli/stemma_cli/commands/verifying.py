"""verify."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output, verdicts
from stemma_cli.asking import Against, Asked, Here
from stemma_cli.conditions import Conditions, conditional
from stemma_cli.gitverdicts import verify_git
from stemma_cli.leaving import Ledger, tell
from stemma_cli.reports import Wish, reporting
from stemma_cli.session import Session, pass_session
from stemma_cli.setverdicts import verify_lock
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.verdict import Verdict
    from stemma_registry.signing import Signer

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("subjects", metavar="REF|DIR|PATH", nargs=-1)
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
@click.option("--dossier", type=_PATH, help="Hold DIR against this; no registry is needed.")
@click.option(
    "--git", "git", metavar="REPO[@REV]", help="Judge what a commit holds at a PATH, unseen."
)
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
    dossier: Path | None,
    git: str | None,
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
    extra = {"record": record, "report": report, "layout": conditions.of_layout}
    if dossier is not None:
        _goes_without("dossier", extra | {"lock": lock})
    if git is not None:
        _goes_without("git", extra | {"lock": lock, "dossier": dossier})
        _goes_without("git", {"vsa": vsa, "coverage": coverage})
        verify_git(session, git, subjects, expected, trust, conditions.terms(session))
    if lock is not None:
        _goes_without("lock", extra | {"as": expected, "vsa": vsa, "coverage": coverage})
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
            asked = Asked(session, subject, expected, trust, conditions)
            where = Here(asked) if dossier is None else Against(asked, dossier)
            verdict, failure = where.verdict(), None
        except NotVerified as error:
            if error.verdict is None:
                raise
            verdict, failure = error.verdict, error
        more: dict[str, Any] = {}
        if coverage:
            more["coverage"] = _coverage(where, verdict)
        ledger = Ledger(session, trust, sign)
        more |= ledger.record(verdict, record)
    code = exits.code_of(failure) if failure else exits.DONE
    if vsa is not None:
        _write(vsa, verdict, signer)
    if deploy is not None:
        more["report"] = None if failure else ledger.report(verdict, *deploy)
    end = exits.UNDECIDED if "error" in (more.get("report") or {}) else code
    _show(session, verdict, failure, end, more)
    click.get_current_context().exit(end)


def _show(
    session: Session, verdict: Verdict, failure: Exception | None, code: int, more: dict[str, Any]
) -> None:
    """The verdict, and `more`: what was asked for beside it."""
    if session.json:
        output.document({**verdicts.document(verdict, code, failure), **more})
        return
    verdicts.report(verdict, exits.code_of(failure) if failure else exits.DONE)
    if "coverage" in more:
        output.line(f"  upstream: {_shares(more['coverage'])}")
    tell(more)


def _goes_without(option: str, others: Mapping[str, object]) -> None:
    """Raises UsageError for what is said beside it."""
    for name, value in others.items():
        if value:
            raise click.UsageError(f"--{option} goes without --{name}")


def _coverage(where: Here | Against, verdict: Verdict) -> dict[str, int] | None:
    """What is upstream; None where it cannot be counted, and the verdict is a no in any case."""
    from stemma_attestations.errors import StemmaError

    try:
        return where.coverage(verdict)
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
