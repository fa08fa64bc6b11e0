"""verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import exits, output, verdicts
from stemma_cli.session import Session, pass_session, progress, read_file
from stemma_cli.setverdicts import verify_lock
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.verdict import Verdict
    from stemma_registry.foreign.layout import Condition
    from stemma_registry.gate import Terms

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
@signing("Sign the --vsa, or what --record records: key:FILE, hsm:ID, ...")
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
@click.option("--record", is_flag=True, help="Put the signed verdict into the ledger.")
@click.option("--coverage", is_flag=True, help="Also say how much of what is upstream is signed.")
@click.option("--run-inspections", is_flag=True, help="Run the layout's inspections: commands.")
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
    record: bool,
    coverage: bool,
    max_age: str | None,
    stale_ok: str | None,
) -> None:
    """Decide whether REF, or the directory DIR, may be served; say why.

    Exit code 0 is the only yes. A directory is held against --as; without it,
    it is judged as whatever its bytes are known as.
    """
    from stemma_attestations.errors import NotVerified
    from stemma_attestations.times import parse_duration
    from stemma_registry.gate import Terms

    if sign and vsa is None and not record and stale_ok is None:
        raise click.UsageError("--sign signs the verdict: say where with --vsa FILE, or --record")
    condition = _condition(layout, layout_keys, run_inspections)
    limit = parse_duration(max_age) if max_age is not None else None
    terms = Terms(session.policy(policy), stage, condition, limit, stale_ok)
    if lock is not None:
        if expected or vsa or condition or coverage or record:
            raise click.UsageError(
                "--lock goes without --as, --vsa, --record, --layout, --coverage"
            )
        verify_lock(session, lock, subjects, trust, terms)
    if len(subjects) != 1:
        raise click.UsageError("say what is judged: one REF or DIR")
    (subject,) = subjects
    try:
        verdict, failure = _verdict(session, subject, expected, trust, terms), None
    except NotVerified as error:
        if error.verdict is None:
            if not session.json:
                output.line(verdicts.headline(exits.code_of(error), subject))
            raise
        verdict, failure = error.verdict, error
    if vsa is not None:
        _write(session, vsa, verdict, sign)
    entry = _record(session, verdict, trust, sign, record)
    code = exits.code_of(failure) if failure else exits.DONE
    counts = _coverage(session, verdict, trust) if coverage else None
    if session.json:
        document = verdicts.document(verdict, code, failure)
        document |= {"coverage": counts} if coverage else {}
        document |= {"recorded": entry} if record or verdict.let_pass else {}
        output.document(document)
    else:
        verdicts.report(verdict, code)
        if counts is not None:
            output.line(f"  upstream: {_shares(counts)}")
        if entry is not None:
            output.line(f"  recorded in ledger entry {entry}")
    click.get_current_context().exit(code)


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


def _record(
    session: Session, verdict: Verdict, trust: str | None, sign: Choice, asked: bool
) -> int | None:
    """Record the verdict where that was asked for, or an old status had to do; the entry.

    A yes that was to be recorded and cannot be is none. What let an old status pass is
    recorded if it can be: the registry may be the very thing that is down.
    """
    from stemma_attestations.errors import StemmaError
    from stemma_registry.stages.recording import record_verdict

    if not asked and not (verdict.passed and verdict.let_pass):
        return None
    try:
        registry, signer = session.open(), session.signer(sign)
        done = record_verdict(registry, session.trust(trust), signer, verdict, session.now)
    except StemmaError as error:
        if asked and verdict.passed:
            raise
        what = "that an old status did" if verdict.passed else "the verdict"
        output.note(f"WARNING: {what} is NOT recorded in the ledger: {error}")
        return None
    for warning in done.warnings:
        output.note(f"warning: {warning}")
    return done.entry


def _coverage(session: Session, verdict: Verdict, trust: str | None) -> dict[str, int]:
    from stemma_registry import gate

    with session.view(trust) as (registry, view):
        return gate.coverage(registry, view, verdict)


def _shares(counts: dict[str, int]) -> str:
    whole = sum(counts.values())
    shares = [
        f"{count} {word} ({count * 100 // whole}%)" for word, count in counts.items() if count
    ]
    return ", ".join(shares) or "nothing"


def _write(session: Session, path: Path, verdict: Verdict, sign: Choice) -> None:
    from stemma_registry import gate

    statement = gate.summary(verdict)
    raw = session.signer(sign).sign(statement).raw if sign else statement.raw
    path.write_bytes(raw)
