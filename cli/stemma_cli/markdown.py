"""Verdicts as Markdown, for a comment that others read. Names in it come from anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stemma_cli import output

if TYPE_CHECKING:
    from stemma_registry.pointers.pushed import Vouched

MARK = "<!-- stemma hook check -->"  # by which a comment is found again
SHOWN = 100
LONGEST = 300
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ")


def quoted(text: str) -> str:
    """`text` as it is, in <code>, where it can neither format, link, mention nor break a line.

    What is no letter or digit of ASCII is a character reference: CommonMark takes none of those
    for structure, and within <code> nobody is mentioned.
    """
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    return f"<code>{''.join(map(_character, text))}</code>"


def _character(character: str) -> str:
    if character in _PLAIN:
        return character
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"):
        return f"&#92;u{ord(character):04x}"
    return f"&#{ord(character)};"


def comment(vouched: Sequence[Vouched], bad: Sequence[Vouched]) -> str:
    """The whole comment."""
    from stemma_registry.pointers.pushed import MEND

    lines = [MARK]
    if not bad:
        many = output.count(len(vouched), "pointer")
        return "\n".join([*lines, f"**Verified**: {many} of this change.", ""])
    many = output.count(len(vouched), "pointer")
    lines += [f"**Not verified**: {len(bad)} of {many} of this change.", ""]
    lines += ["| file | | why | commit |", "|---|---|---|---|"]
    lines += [
        f"| {quoted(one.changed.path)} | {one.state} | {quoted(one.why)} "
        f"| {one.changed.commit[:12]} |"
        for one in bad[:SHOWN]
    ]
    if len(bad) > SHOWN:
        lines += ["", f"And {len(bad) - SHOWN} more."]
    states = dict.fromkeys(one.state for one in bad)
    lines += ["", *(f"- {state}: {MEND[state]}" for state in states), ""]
    return "\n".join(lines)
