"""verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import exits, output, verdicts
from stemma_cli.session import Session, pass_session, read_file
from stemma_cli.setverdicts import verify_lock
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.verdict import Verdict
    from stemma_registry.foreign.layout import Condition

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
@signing("Sign the --vsa with key:FILE, hsm:ID, ... (as a bundle).")
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
    dossier: Path | None,
) -> None:
    """Decide whether REF, or the directory DIR, may be served; say why.

    Exit code 0 is the only yes. A directory is held against --as; without it,
    it is judged as whatever its bytes are known as.
    """
    from stemma_attestations.errors import NotVerified
    from stemma_attestations.times import parse_duration
    from stemma_cli.asking import Against, Here
    from stemma_registry.gate import Terms

    if sign and vsa is None:
        raise click.UsageError("--sign signs the verdict: say where with --vsa FILE")
    condition = _condition(layout, layout_keys, run_inspections)
    limit = parse_duration(max_age) if max_age is not None else None
    terms = Terms(session.policy(policy), stage, condition, limit, stale_ok)
    if dossier is not None and (condition or lock):
        raise click.UsageError("--dossier goes without --layout and --lock")
    if lock is not None:
        if expected or vsa or condition or coverage:
            raise click.UsageError("--lock goes without --as, --vsa, --layout and --coverage")
        verify_lock(session, lock, subjects, trust, terms)
    subject = _only(subjects)
    asked: Here | Against = Here(session, subject, expected, trust, terms)
    if dossier is not None:
        how = (policy, stage, limit, stale_ok)
        asked = Against(session, dossier, subject, expected, trust, *how)
    try:
        verdict, failure = asked.verdict(), None
    except NotVerified as error:
        if error.verdict is None:
            if not session.json:
                output.line(verdicts.headline(exits.code_of(error), subject))
            raise
        verdict, failure = error.verdict, error
    if vsa is not None:
        _write(session, vsa, verdict, sign)
    code = exits.code_of(failure) if failure else exits.DONE
    counts = asked.coverage(verdict) if coverage else None
    if session.json:
        document = verdicts.document(verdict, code, failure)
        output.document({**document, "coverage": counts} if coverage else document)
    else:
        verdicts.report(verdict, code)
        if counts is not None:
            output.line(f"  upstream: {_shares(counts)}")
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


def _only(subjects: tuple[str, ...]) -> str:
    if len(subjects) != 1:
        raise click.UsageError("say what is judged: one REF or DIR")
    return subjects[0]


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
