"""What a signer's word holds up, and how much of an ancestry is vouched for, on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stemma_cli import output

if TYPE_CHECKING:
    from stemma_attestations.times import Window
    from stemma_registry.questions.losses import Judged, Loss, Losses


def show(losses: Losses, subject: str, window: Window, limit: int | None, form: str) -> None:
    """Print them, all or the first so many."""
    shown = losses.found[:limit]
    if form == "json":
        _json(losses, shown, subject, window)
        return
    from stemma_registry.questions.signer_starts import label

    rows = [
        [one.label, one.kind or "-", _verdict(one), ", ".join(one.lost) or "-"] for one in shown
    ]
    output.table(["NAME", "KIND", "VERDICT", "LOSES THE LAST"], rows)
    turned = sum(one.turns for one in losses.found)
    rises = sum(one.rises for one in losses.found)
    undated = f", {losses.undated} without a proven time" if losses.undated else ""
    output.line(
        f"{output.count(losses.statements, 'statement')} by {subject}{label(window)}{undated}"
    )
    output.line(f"{_turning(turned)} to no, as of ledger entry {losses.entry}")
    if rises:
        output.line(f"{_turning(rises)} to YES: quarantines, or their ways, would be lost")
    if len(losses.found) > len(shown):
        output.note(f"stemma: {len(losses.found) - len(shown)} more are left out (--limit {limit})")


def _turning(number: int) -> str:
    return f"{output.count(number, 'verdict')} turn{'s' if number == 1 else ''}"


def _verdict(one: Loss) -> str:
    if one.before is None or one.after is None:
        return "-"
    before, after = ("yes" if judged.passed else "no" for judged in (one.before, one.after))
    return before if before == after else f"{before} -> {after.upper()}"


def _json(losses: Losses, shown: tuple[Loss, ...], subject: str, window: Window) -> None:
    from stemma_attestations.times import format_time

    ends = [format_time(at) if at else None for at in (window.start, window.end)]
    output.document(
        {
            "signer": subject,
            "between": ends,
            "entry": losses.entry,
            "statements": losses.statements,
            "undated": losses.undated,
            "turned": sum(one.turns for one in losses.found),
            "losses": [
                {
                    "artifact": str(one.digest),
                    "name": str(one.name) if one.name else None,
                    "kind": one.kind,
                    "lost": list(one.lost),
                    "edges": [{"relation": r, "input": name} for r, name in one.edges],
                    "before": _judged(one.before),
                    "after": _judged(one.after),
                }
                for one in shown
            ],
            "left_out": len(losses.found) - len(shown),
        }
    )


def _judged(judged: Judged | None) -> dict[str, object] | None:
    if judged is None:
        return None
    return {"passed": judged.passed, "reasons": list(judged.reasons)}


def show_coverage(counts: Mapping[str, int], subject: str, entry: int, form: str) -> None:
    """Print how an ancestry stands."""
    total = sum(counts.values())
    if form == "json":
        output.document({"of": subject, "entry": entry, "ancestors": total, "coverage": counts})
        return
    rows = [
        [word, str(count), f"{100 * count / total:.0f} %"]
        for word, count in counts.items()
        if count
    ]
    output.table(["STANDING", "ANCESTORS", "SHARE"], rows)
    output.line(f"{total} ancestors of {subject}, as of ledger entry {entry}")
