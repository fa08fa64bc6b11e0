"""`verify --git`: what a commit points to, judged without a checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from stemma_cli import exits, output, verdicts
from stemma_cli.session import Session

if TYPE_CHECKING:
    from stemma_registry.gate import Terms
    from stemma_registry.pointers.contents import Contents
    from stemma_registry.pointers.judging import Judged


def verify_git(
    session: Session,
    repository: str,
    subjects: tuple[str, ...],
    expected: str | None,
    trust: str | None,
    terms: Terms,
) -> NoReturn:
    """Judge what REPO@REV holds at a path, print it, and leave with its exit code."""
    from stemma_attestations.names import NameVersion
    from stemma_registry.gitrepo import named
    from stemma_registry.pointers import contents, judging

    if len(subjects) > 1:
        raise click.UsageError("--git takes one PATH of the repository, or none")
    name = NameVersion.parse(expected) if expected else None
    with named.at_hand(repository) as at:
        held = contents.read(at.repo, at.repo.resolve(at.revision), "".join(subjects))
        label = at.label
    with session.view(trust) as (registry, view):
        judged = judging.judge(registry, view, held, label, name, terms)
    code = _worst(judged)
    if session.json:
        output.document(_document(held, label, judged, code))
    else:
        _report(held, judged, code, label)
    click.get_current_context().exit(code)
    raise AssertionError  # `exit` raises


def _worst(judged: list[Judged]) -> int:
    from stemma_registry.pointers import judging

    failure = judging.worst(judged)
    return exits.code_of(failure) if failure else exits.DONE


def _code(one: Judged) -> int:
    return exits.code_of(one.failure) if one.failure else exits.DONE


def _report(held: Contents, judged: list[Judged], code: int, label: str) -> None:
    count = f"{len(judged)} artifact{'s' if len(judged) != 1 else ''}"
    where = f"{label}@{held.commit[:12]}{f':{held.path}' if held.path else ''}"
    output.line(f"{verdicts.headline(code, where)}, {count}")
    for one in judged:
        output.line()
        if one.verdict is not None:
            verdicts.report(one.verdict, _code(one))
        else:
            output.line(verdicts.headline(_code(one), one.path or label))
            output.line(f"  {one.failure}")


def _document(held: Contents, label: str, judged: list[Judged], code: int) -> dict[str, Any]:
    return {
        "verified": code == exits.DONE,
        "code": code,
        "repository": label,
        "git_commit": held.commit,
        "git_tree": held.tree,
        "path": held.path,
        "pointers": len(held.pointers),
        "verdicts": [_one(one) for one in judged],
    }


def _one(one: Judged) -> dict[str, Any]:
    if one.verdict is not None:
        return {"path": one.path, **verdicts.document(one.verdict, _code(one), one.failure)}
    return {
        "path": one.path,
        "verified": False,
        "code": _code(one),
        "kind": type(one.failure).__name__,
        "reason": str(one.failure),
    }
