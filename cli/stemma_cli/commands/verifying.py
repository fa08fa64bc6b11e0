"""verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress, read_file
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.verdict import Verdict
    from stemma_registry.foreign.layout import Condition
    from stemma_registry.gate import Terms

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("subject", metavar="REF|DIR")
@click.option("--as", "expected", metavar="NAME:VERSION", help="What the directory should be.")
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
@click.option("--rehash", is_flag=True, help="Read every file, whatever the policy says.")
@click.option("--run-inspections", is_flag=True, help="Run the layout's inspections: commands.")
@pass_session
def verify(
    session: Session,
    subject: str,
    expected: str | None,
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
    rehash: bool,
) -> None:
    """Decide whether REF, or the directory DIR, may be served; say why.

    Exit code 0 is the only yes. A directory is held against --as; without it,
    it is judged as whatever its bytes are known as.
    """
    from stemma_attestations.errors import NotVerified
    from stemma_attestations.times import parse_duration
    from stemma_registry.gate import Terms

    if sign and vsa is None:
        raise click.UsageError("--sign signs the verdict: say where with --vsa FILE")
    condition = _condition(layout, layout_keys, run_inspections)
    try:
        limit = parse_duration(max_age) if max_age is not None else None
        terms = Terms(session.policy(policy), stage, condition, limit, stale_ok, rehash)
        verdict, failure = _verdict(session, subject, expected, trust, terms), None
    except NotVerified as error:
        if error.verdict is None:
            if not session.json:
                output.line(_headline(exits.code_of(error), subject))
            raise
        verdict, failure = error.verdict, error
    if vsa is not None:
        _write(session, vsa, verdict, sign)
    code = exits.code_of(failure) if failure else exits.DONE
    counts = _coverage(session, verdict, trust) if coverage else None
    if session.json:
        document = _document(verdict, code, failure)
        output.document({**document, "coverage": counts} if coverage else document)
    else:
        _print(verdict, code)
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


def _document(verdict: Verdict, code: int, failure: Exception | None) -> dict[str, Any]:
    from stemma_registry import gate

    return {
        "verified": verdict.passed,
        "code": code,
        "kind": type(failure).__name__ if failure else None,
        "reason": str(failure) if failure else None,
        "resource": verdict.resource,
        "artifact": str(verdict.artifact) if verdict.artifact else None,
        "name": str(verdict.name) if verdict.name else None,
        "trust_root": str(verdict.trust_root),
        "policy": {
            "name": verdict.policy.name,
            "digest": str(verdict.policy.digest),
            "source": dict(verdict.policy.source),
        },
        "stage": verdict.stage,
        "entry": verdict.entry,
        "status_age": None if verdict.age is None else int(verdict.age.total_seconds()),
        "warnings": list(verdict.warnings),
        "vsa": json.loads(gate.summary(verdict).raw) if verdict.artifact else None,
        "steps": [
            {
                "number": step.number,
                "title": step.title,
                "outcome": str(step.outcome),
                "details": list(step.details),
            }
            for step in verdict.steps
        ],
    }


def _print(verdict: Verdict, code: int) -> None:
    output.line(_headline(code, verdict.resource))
    for step in verdict.steps:
        output.line(f"  {output.mark(str(step.outcome))} {step.number} {step.title}")
        for detail in step.details:
            output.line(f"      {detail}")
    for warning in verdict.warnings:
        output.line(f"  ! {warning}")


def _headline(code: int, resource: str) -> str:
    if code == exits.DONE:
        return f"VERIFIED  {resource}"
    why = "" if code == exits.NOT_VERIFIED else f"{exits.MEANING[code]}, "
    return f"NOT VERIFIED ({why}exit {code})  {resource}"
