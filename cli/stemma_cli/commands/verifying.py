"""verify."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output, verdicts
from stemma_cli.reports import Wish, reporting
from stemma_cli.session import Session, pass_session, read_file
from stemma_cli.setverdicts import verify_lock
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from datetime import timedelta

    from stemma_attestations.predicates.deployment import Spot
    from stemma_attestations.verdict import Verdict
    from stemma_cli.asking import Against, Here
    from stemma_registry.foreign.layout import Condition
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
@signing("Sign the --vsa (as a bundle), or the --report, with key:FILE, hsm:ID, ...")
@click.option(
    "--layout", type=_PATH, help="An in-toto layout that the attached links must satisfy."
)
@click.option(
    "--layout-key",
    "layout_keys",
    multiple=True,
    type=_PATH,
    help="A public key (PEM) that must have signed the layout. Repeat.",
)
@click.option("--policy", metavar="FILE|NAME", help="What must be true (else the home's policy).")
@click.option("--stage", metavar="STAGE", help="Where it would be served: prod.")
@click.option("--max-age", metavar="TIME", help="How old the status may be: 15m, 1h.")
@click.option("--stale-ok", metavar="REASON", help="Break glass, where the policy permits it.")
@click.option("--coverage", is_flag=True, help="Also say how much of what is upstream is signed.")
@click.option("--dossier", type=_PATH, help="Hold DIR against this; no registry is needed.")
@click.option("--run-inspections", is_flag=True, help="Run the layout's inspections: commands.")
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
    layout: Path | None,
    layout_keys: tuple[Path, ...],
    run_inspections: bool,
    policy: str | None,
    stage: str | None,
    coverage: bool,
    max_age: str | None,
    stale_ok: str | None,
    report: Wish | None,
    dossier: Path | None,
) -> None:
    """Decide whether REF, or the directory DIR, may be served; say why.

    Exit code 0 is the only yes. A directory is held against --as; without it,
    it is judged as whatever its bytes are known as.
    """
    from stemma_attestations.errors import NotVerified

    if sign and vsa is None and report is None:
        raise click.UsageError("--sign signs the verdict: say where with --vsa FILE, or --report")
    asked = (policy, stage, max_age, stale_ok)
    _check_dossier(dossier, layout or lock or report)
    deploy = (report.spot(stage), report.life) if report else None
    if lock is not None:
        if expected or vsa or coverage or layout or layout_keys or run_inspections or report:
            raise click.UsageError(
                "--lock goes without --as, --vsa, --layout, --coverage and --report"
            )
        verify_lock(session, lock, subjects, trust, _terms(session, None, *asked))
    if len(subjects) != 1:
        raise click.UsageError("say what is judged: one REF or DIR")
    (subject,) = subjects
    if vsa is not None:
        _forget(vsa)
    condition = _condition(layout, layout_keys, run_inspections)
    signer = session.signer(sign) if sign and vsa is not None else None
    with _told(session, subject):
        try:
            terms = _terms(session, condition, *asked)
            where = _where(session, subject, expected, trust, terms, dossier, policy)
            verdict, failure = where.verdict(), None
        except NotVerified as error:
            if error.verdict is None:
                raise
            verdict, failure = error.verdict, error
        counts = _coverage(where, verdict) if coverage else None
    code = exits.code_of(failure) if failure else exits.DONE
    if vsa is not None:
        _write(vsa, verdict, signer)
    more: dict[str, Any] = {"coverage": counts} if coverage else {}
    if deploy is not None:
        more["report"] = _report(session, verdict, trust, sign, deploy) if not failure else None
    lost = "error" in (more.get("report") or {})
    end = exits.UNDECIDED if lost else code
    if session.json:
        output.document({**verdicts.document(verdict, end, failure), **more})
    else:
        verdicts.report(verdict, code)
        if coverage:
            output.line(f"  upstream: {_shares(more['coverage'])}")
        _print_report(more.get("report"))
    click.get_current_context().exit(end)


def _check_dossier(dossier: Path | None, others: object) -> None:
    if dossier is not None and others:
        raise click.UsageError("--dossier goes without --layout, --lock and --report")


def _where(
    session: Session,
    subject: str,
    expected: str | None,
    trust: str | None,
    terms: Terms,
    dossier: Path | None,
    policy: str | None,
) -> Here | Against:
    from stemma_cli.asking import Against, Here

    if dossier is None:
        return Here(session, subject, expected, trust, terms)
    how = (policy, terms.stage, terms.max_age, terms.stale_ok)
    return Against(session, dossier, subject, expected, trust, *how)


def _report(
    session: Session,
    verdict: Verdict,
    trust: str | None,
    sign: Choice,
    deploy: tuple[Spot, timedelta],
) -> dict[str, Any]:
    """The record that was left after a yes, or why it could not be."""
    from stemma_attestations.errors import StemmaError
    from stemma_attestations.predicates.deployment import VERIFIED, Deployment
    from stemma_cli.reports import document_of
    from stemma_registry import deploying

    now, (spot, life) = session.now, deploy
    said = Deployment(spot, VERIFIED, deploying.new_instance(), now, now, now + life, verdict.entry)
    try:
        signer = session.signer(sign)
        with session.view(trust) as (registry, view):
            subjects = deploying.subjects_of(view, [verdict])
        left = deploying.leave(registry, session.trust(trust), signer, subjects, said)
    except StemmaError as error:
        return {"error": str(error)}
    return document_of(left)


def _print_report(report: dict[str, Any] | None) -> None:
    if report is None:
        return
    if "error" in report:
        output.note(f"stemma: NOT REPORTED: {report['error']}")
        return
    for warning in report["warnings"]:
        output.note(f"warning: {warning}")
    output.line(f"  reported: on {report['host']}, ledger entry {report['entry']}")


def _terms(
    session: Session,
    condition: Condition | None,
    policy: str | None,
    stage: str | None,
    max_age: str | None,
    stale_ok: str | None,
) -> Terms:
    from stemma_attestations.times import parse_duration
    from stemma_registry.gate import Terms

    limit = parse_duration(max_age) if max_age is not None else None
    return Terms(session.policy(policy), stage, condition, limit, stale_ok)


def _condition(layout: Path | None, keys: tuple[Path, ...], run: bool) -> Condition | None:
    if layout is None:
        if keys or run:
            raise click.UsageError("--layout-key and --run-inspections are about a --layout")
        return None
    if not keys:
        raise click.UsageError("--layout is believed by a key: say whose with --layout-key PUB")
    from stemma_attestations.json_strict import MAX_BYTES
    from stemma_registry.foreign.layout import Condition
    from stemma_registry.signing import MAX_KEY_BYTES

    pems = tuple(read_file(key, MAX_KEY_BYTES) for key in keys)
    return Condition(read_file(layout, MAX_BYTES), pems, run)


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
