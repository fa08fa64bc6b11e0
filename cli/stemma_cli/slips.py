"""Words in a question that nothing has: an empty answer to a slip would read like an all-clear.

Others may say what Stemma never says, and a stage may be new: so they are only warned of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stemma_cli import output

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from stemma_cli.session import Session


def relations(words: Iterable[str]) -> None:
    """Warn of every relation that nobody writes."""
    from stemma_attestations.relations import CONTAINS, RELATIONS, SAME_AS

    odd = [word for word in words if word not in RELATIONS]
    if not odd:
        return
    from stemma_registry import aliased
    from stemma_registry.questions import commit_starts, package_starts, signer_starts, stage_starts

    starts = (aliased, commit_starts, package_starts, signer_starts, stage_starts)
    # What edges are called that no statement says: what follows from bytes, what starts lead to.
    unsaid = {SAME_AS, CONTAINS, *(one.RELATION for one in starts)}
    for word in odd:
        if word not in unsaid:
            _warn("--relation", word, "none that Stemma writes", RELATIONS)


def stage(session: Session, connection: Connection, word: str | None) -> None:
    """Warn of a stage that the policy does not have and that nothing was ever said to be at."""
    from stemma_registry.catalogue import stages

    if word is None or stages.is_said(connection, word):
        return
    from stemma_attestations.errors import StemmaError
    from stemma_attestations.policy import BUILTIN

    try:
        known = session.policy().stages
    except StemmaError:  # a question about lineage does not wait until the policy is mended
        known = BUILTIN.stages
    if word not in known:
        words = {*known, *stages.words(connection)}
        _warn("--stage", word, "none of the policy, and nothing was ever said to be at it", words)


def _warn(option: str, word: str, why: str, known: Iterable[str]) -> None:
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(known), 1)
    meant = f"; is {near[0]} meant?" if near else ""
    output.note(f"warning: {option} {word!r:.40} is {why}{meant}")
