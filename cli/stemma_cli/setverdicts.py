"""`verify --lock`: the members of a lock, judged as one set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from stemma_cli import exits, output, verdicts
from stemma_cli.session import Session, progress

if TYPE_CHECKING:
    from stemma_attestations.lock import Lock
    from stemma_registry.gate import Terms
    from stemma_registry.serving.sets import Part, SetVerdict


def verify_lock(
    session: Session, path: Path, subjects: Sequence[str], trust: str | None, terms: Terms
) -> NoReturn:
    """Judge a set, print it, and leave with its exit code."""
    from stemma_registry.serving import locking, sets

    lock, _ = locking.read(path)
    held = _held(lock, subjects)
    with session.view(trust) as (registry, view), progress("hashing") as advance:
        asked = sets.questions(view, lock, terms, held)
        verdict = sets.judge_set(registry, view, asked, advance)
    failure = verdict.failure
    code = exits.code_of(failure) if failure else exits.DONE
    if session.json:
        output.document(_document(path, verdict, code))
    else:
        _report(path, verdict, code)
    click.get_current_context().exit(code)
    raise AssertionError  # `exit` raises


def _held(lock: Lock, subjects: Sequence[str]) -> dict[str, str]:
    """Word -> what is held to that member. Raises BadLock."""
    from stemma_attestations.errors import BadLock

    known, found = lock.by_word, dict[str, str]()
    for text in subjects:
        word, separator, subject = text.partition("=")
        if not separator or "/" in word:
            if len(known) != 1:
                raise BadLock(f"the lock has {', '.join(known)}: say which with WORD={text}")
            (word,), subject = known, text
        if word not in known:
            raise BadLock(f"the lock has no member {word!r:.80} (it has {', '.join(known)})")
        if word in found:
            raise BadLock(f"{word} is there twice")
        if not subject:
            raise BadLock(f"{word}= says nothing: a directory or a reference is expected")
        found[word] = subject
    return found


def _report(path: Path, verdict: SetVerdict, code: int) -> None:
    count = len(verdict.parts)
    members = "1 member" if count == 1 else f"{count} members"
    output.line(f"{verdicts.headline(code, str(path))}, {members}")
    for line in verdict.fit.wrong:
        output.line(f"  {output.mark('failed')} {line}")
    for line in verdict.fit.warnings:
        output.line(f"  ! {line}")
    for part in verdict.parts:
        output.line()
        if part.verdict is not None:
            verdicts.report(part.verdict, _code(part), f"{part.word}: ")
        else:
            output.line(verdicts.headline(_code(part), f"{part.word}: {part.question.subject}"))
            output.line(f"  {part.failure}")


def _code(part: Part) -> int:
    return exits.code_of(part.failure) if part.failure else exits.DONE


def _document(path: Path, verdict: SetVerdict, code: int) -> dict[str, Any]:
    failure = verdict.failure
    return {
        "verified": failure is None,
        "code": code,
        "kind": type(failure).__name__ if failure else None,
        "reason": str(failure) if failure else None,
        "lock": str(path),
        "entry": verdict.entry,
        "trust_root": str(verdict.trust_root),
        "misfits": list(verdict.fit.wrong),
        "warnings": list(verdict.fit.warnings),
        "verdicts": [_member(part) for part in verdict.parts],
    }


def _member(part: Part) -> dict[str, Any]:
    if part.verdict is not None:
        found = verdicts.document(part.verdict, _code(part), part.failure)
        return {"word": part.word, **found}
    return {
        "word": part.word,
        "verified": False,
        "code": _code(part),
        "kind": type(part.failure).__name__,
        "reason": str(part.failure),
        "resource": part.question.subject,
    }
