"""What an answer amounts to. Only a true `allow`, and no `deny`, is an allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemma_attestations.rego import Decision
from stemma_attestations.verdict import Outcome
from stemma_registry.plain import plain

MAX_MESSAGES = 20
MAX_CHARACTERS = 300


def decision(where: str, query: str, said: Mapping[str, Any], notes: str = "") -> Decision:
    """The decision of a document with the fields `allow` and, maybe, `deny`.

    `where` says for people who decided, `query` what `allow` is called, `notes` what an
    allow has to say besides.
    """
    messages = said.get("deny", [])
    if not isinstance(messages, list) or not all(isinstance(one, str) for one in messages):
        return _no(where, f"its deny is {_shown(messages)}, not a set of texts")
    if messages:
        more = [f"and {len(messages) - MAX_MESSAGES} more"] if len(messages) > MAX_MESSAGES else []
        lines = [f"denies: {plain(one, MAX_CHARACTERS)}" for one in messages[:MAX_MESSAGES]]
        return _no(where, *lines, *more)
    if "allow" not in said:
        return _no(where, f"{query} is undefined, which is no allow")
    if said["allow"] is not True:
        return _no(where, f"{query} is {_shown(said['allow'])}, not true")
    return Decision(Outcome.PASSED, (f"{where} allows{notes}",))


def _no(where: str, *lines: str) -> Decision:
    return Decision(Outcome.FAILED, tuple(f"{where}: {line}" for line in lines))


def _shown(value: Any) -> str:
    """A value as JSON writes it, cut."""
    words = {None: "null", False: "false", True: "true"}
    return words[value] if value is None or isinstance(value, bool) else f"{value!r:.60}"
