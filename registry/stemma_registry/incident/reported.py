"""An incident drawn: as plain values, and as the blocks of a report for the post-mortem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stemma_attestations.times import format_time
from stemma_registry.incident import planned, report
from stemma_registry.incident.blocks import Block, Heading, Items, Paragraph, Table
from stemma_registry.incident.report import Incident, Standing
from stemma_registry.incident.timeline import Moment

_MOMENTS = ("Time", "Entry", "What", "About", "By", "Reason or place")


def title(found: Incident) -> str:
    """The title of the report."""
    return f"Incident {found.id.short}: {_bad(found)}"


def document(found: Incident) -> dict[str, Any]:
    """One JSON document; the fields are in docs/cli.md."""
    return {
        "quarantine": str(found.id),
        "state": found.state,
        "entry": found.plan.entry,
        "trust_root": str(found.trust),
        "asked": format_time(found.asked),
        "criterion": dict(found.criterion) if found.criterion is not None else None,
        "act": _moment(found.act),
        "counts": {by: dict(table) for by, table in report.counts(found.plan).items()},
        "timeline": [_moment(one) for one in found.timeline.moments],
        "unheard": found.timeline.unheard,
        "actions": [_moment(one) for one in found.actions],
        "staged": [_standing(one) for one in found.staged],
        "running": [_standing(one) for one in found.running],
        "evidence": [{"name": e.name, "way": list(e.lines)} for e in found.evidence],
        "plan": planned.document(found.plan),
    }


def _bad(found: Incident) -> str:
    """What is bad, in a line."""
    if found.subject is None:
        return planned.headline(found.plan)
    many = len(found.plan.bad)
    return f"{found.subject} ({many} artifact{'s' if many != 1 else ''})"


def _moment(one: Moment) -> dict[str, Any]:
    return {
        "entry": one.entry,
        "time": one.time,
        "proved": format_time(one.proved) if one.proved else None,
        "what": one.what,
        "about": one.about,
        "others": one.others,
        "place": one.place or None,
        "signer": one.by,
        "believed": one.believed,
        "reason": one.reason or None,
        "bundle": str(one.bundle),
    }


def _standing(one: Standing) -> dict[str, Any]:
    return {
        "name": one.name,
        "where": one.where,
        "stopped": one.stopped,
        "reason": one.reason or None,
    }


def blocks(found: Incident) -> list[Block]:
    """The whole report."""
    return [
        Heading(1, title(found)),
        *_summary(found),
        *_standings("Still running", found.running, "No host reports that anything of it runs."),
        *_standings("At a stage", found.staged, "Nothing of it is at a stage."),
        *_actions(found),
        *_timeline(found),
        *_affected(found),
        *planned.blocks(found.plan, level=2),
        Heading(2, "What this report cannot know"),
        Items(
            [
                "What nobody declared: something made from bad data by hand, without provenance.",
                "Hosts that do not report what they run.",
                "Whether a gate that works offline has fetched the status since.",
            ]
        ),
    ]


def _summary(found: Incident) -> list[Block]:
    act, many = found.act, len(found.plan.steps) + found.plan.more
    proved = [["Proved to exist since", format_time(act.proved)]] if act.proved else []
    runs = len(report.serving(found))
    word = "Quarantined" if found.subject is None else "Stopped"
    rows = [
        ["What is bad", _bad(found)],
        ["Reason", act.reason],
        [f"{word} by", _by(act)],
        [f"{word} at", f"{act.time}, ledger entry {act.entry}"],
        *proved,
        ["The quarantine is", found.state],
        ["Reached", f"{many} artifact{'s' if many != 1 else ''}"],
        ["Runs though refused", str(runs)],
        ["As of", f"ledger entry {found.plan.entry}, asked {format_time(found.asked)}"],
        ["Trust root", str(found.trust)],
        ["Quarantine", str(found.id)],
    ]
    return [Table(["", ""], rows)]


def _by(one: Moment) -> str:
    return one.by if one.believed else f"{one.by} (NOT BELIEVED)"


def _standings(heading: str, found: Sequence[Standing], nothing: str) -> list[Block]:
    if not found:
        return [Heading(2, heading), Paragraph(nothing)]
    rows = [[one.name, one.where, report.verdict(one)] for one in found]
    return [Heading(2, heading), Table(["Name", "Where", "The gate says now"], rows)]


def _actions(found: Incident) -> list[Block]:
    return [Heading(2, "What was done"), Table(_MOMENTS, [_row(one) for one in found.actions])]


def _timeline(found: Incident) -> list[Block]:
    moments = found.timeline.moments
    blocks: list[Block] = [Heading(2, "Timeline"), Table(_MOMENTS, [_row(m) for m in moments])]
    if found.timeline.unheard:
        blocks.append(
            Paragraph(f"And {found.timeline.unheard} statements by others who are not believed.")
        )
    return blocks


def _row(one: Moment) -> list[str]:
    about = f"{one.about} and {one.others} more" if one.others else one.about
    proved = f" (proved {format_time(one.proved)})" if one.proved else ""
    return [one.time + proved, str(one.entry), one.what, about, _by(one), one.reason or one.place]


def _affected(found: Incident) -> list[Block]:
    blocks: list[Block] = [Heading(2, "Whom it reached")]
    for by, table in report.counts(found.plan).items():
        if table:
            told = ", ".join(f"{name}: {count}" for name, count in table.items())
            blocks.append(Paragraph(f"By {by}: {told}"))
    for one in found.evidence:
        blocks += [Heading(3, f"How it reached {one.name}"), Items(one.lines, numbered=True)]
    return blocks
