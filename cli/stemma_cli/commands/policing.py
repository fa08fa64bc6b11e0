"""policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.commands.policysyncing import sync
from stemma_cli.session import Session, pass_session, read_file

if TYPE_CHECKING:
    from stemma_attestations.policy import Policy

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_policy = click.argument("policy", metavar="FILE|NAME")


@click.group()
def policy() -> None:
    """Check, explain, test or sync a policy: what must be true before something is served."""


policy.add_command(sync)


@policy.command("new")
@click.argument("file", type=click.Path(path_type=Path))
@pass_session
def new(session: Session, file: Path) -> None:
    """Write a policy to begin with to FILE."""
    from stemma_attestations.policies import STARTER
    from stemma_registry import files

    files.write_new(file, "policy", STARTER)
    if session.json:
        output.document({"policy": str(file)})
    else:
        output.line(f"{file} (read it, and hold it against your cases: stemma policy test)")


@policy.command("check")
@_policy
@click.option("--trust", metavar="TRUST", help="Also ask this trust root for its principals.")
@pass_session
def check(session: Session, policy: str, trust: str | None) -> None:
    """Read a policy and its Rego; say where it is wrong, by line.

    With --trust, exit code 10 where it asks for a principal whom that does not know.
    """
    from stemma_registry.rego import evaluator

    found = session.policy(policy)
    evaluator.check(found)
    strangers: list[str] = []
    if trust is not None:
        known = {signer.principal for signer in session.trust(trust).signers}
        strangers = sorted({who for rule in found.rules for who in rule.principals} - known)
    code = exits.NOT_VERIFIED if strangers else exits.DONE
    if session.json:
        output.document({**_summary(found), "unknown_principals": strangers})
        click.get_current_context().exit(code)
    output.line(f"{found.name} {found.digest}")
    for name, value in found.source.items():
        output.line(f"  {name} {value}")
    count = len(found.rules)
    output.line(f"  {count} {'rule' if count == 1 else 'rules'}, stages {', '.join(found.stages)}")
    for line in _rego(found):
        output.line(f"  Rego: {line}")
    if not found.rules:
        output.line("  It allows nothing.")
    for who in strangers:
        output.line(f"  nobody in the trust root is {who}")
    click.get_current_context().exit(code)


@policy.command("explain")
@_policy
@click.argument("name", metavar="NAME")
@click.option("--stage", metavar="STAGE", help="Where it would be served: prod.")
@pass_session
def explain(session: Session, policy: str, name: str, stage: str | None) -> None:
    """Say what a policy asks of NAME at a stage; exit code 10 if it allows nothing there."""
    from stemma_attestations.names import check_name
    from stemma_attestations.policy_words import words

    found = session.policy(policy)
    rules = found.rules_for(check_name(name), stage) if _known(found, stage) else ()
    if session.json:
        output.document(
            {
                **_summary(found),
                "name": name,
                "stage": stage,
                "asks": [{"rule": rule.label, "lines": words(rule)} for rule in rules],
            }
        )
    else:
        where = f" at stage {stage}" if stage else ""
        output.line(f"{found.name} of {name}{where}:")
        for rule in rules:
            output.line(rule.label)
            for line in words(rule):
                output.line(f"  {line}")
        if not rules:
            output.line("  no rule is about it: nothing is allowed")
    click.get_current_context().exit(exits.DONE if rules else exits.NOT_VERIFIED)


@policy.command("test")
@_policy
@click.argument("cases", type=_FILE)
@pass_session
def test(session: Session, policy: str, cases: Path) -> None:
    """Hold a policy against a table of cases; exit code 10 if one comes out otherwise."""
    from stemma_attestations.policy_cases import run
    from stemma_attestations.yaml_strict import MAX_BYTES
    from stemma_registry.rego.evaluator import Evaluator

    found = session.policy(policy)
    results = list(run(found, read_file(cases, MAX_BYTES), session.now, Evaluator()))
    wrong = [result for result in results if not result.passed]
    if session.json:
        output.document(
            {
                **_summary(found),
                "passed": len(results) - len(wrong),
                "failed": len(wrong),
                "cases": [
                    {
                        "case": result.label,
                        "line": result.line,
                        "expected": result.expected,
                        "verdict": result.verdict,
                        "passed": result.passed,
                        "reasons": list(result.reasons),
                    }
                    for result in results
                ],
            }
        )
    else:
        for result in results:
            word = "passed" if result.passed else "failed"
            output.line(f"{output.mark(word)} {result.verdict:5}  {result.label}")
            if not result.passed:
                because = f" because {result.because}" if result.because else ""
                output.line(f"    line {result.line} expects {result.expected}{because}")
                for reason in result.reasons:
                    output.line(f"      {reason}")
        output.line(f"{len(results) - len(wrong)} passed, {len(wrong)} failed")
    click.get_current_context().exit(exits.NOT_VERIFIED if wrong or not results else exits.DONE)


def _summary(found: Policy) -> dict[str, Any]:
    return {
        "policy": found.name,
        "digest": str(found.digest),
        "source": dict(found.source),
        "stages": list(found.stages),
        "rules": len(found.rules),
        "rego": _rego(found),
    }


def _rego(found: Policy) -> list[str]:
    """The Rego that the rules ask for, each as a verdict cites it."""
    from stemma_attestations.policy_rego import named

    asked = dict.fromkeys(rule.rego for rule in found.rules if rule.rego is not None)
    return [named(one) for one in asked]


def _known(found: Policy, stage: str | None) -> bool:
    return stage is None or stage in found.stages
