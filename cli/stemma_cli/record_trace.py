"""`stemma trace record:FILE`: which datasets have these records, and what came from those."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output, reports
from stemma_cli.commands.indexing import split

if TYPE_CHECKING:
    from stemma_cli.session import Session
    from stemma_registry.lineage.trace import Trace, TraceNode
    from stemma_registry.records.search import Answer, Dataset, Match
    from stemma_registry.registry import Registry, Snapshot

PREFIX = "record:"
SHOWN = 10  # rows of one record in one file


def run(
    session: Session,
    at: tuple[Registry, Snapshot],
    path: str,
    fields: str | None,
    form: str,
    below: Callable[[Snapshot, int], Trace],
) -> None:
    """Answer, and exit with NOT_FOUND where no dataset has any of the records."""
    from stemma_registry.records import search

    if form not in {"tree", "json"}:
        raise click.UsageError("a trace of records has --format tree or json")
    if not Path(path).is_file():
        raise click.UsageError(f"no file of records at {path}")
    answer = search.search(*at, Path(path), split(fields), below)
    if session.json or form == "json":
        output.document(_document(answer))
    else:
        _show(answer)
    if not answer.found:
        click.get_current_context().exit(exits.NOT_FOUND)


def _affected(answer: Answer) -> list[tuple[TraceNode, list[str]]]:
    """What came from any of the datasets, nearest first, with the datasets it came from."""
    nodes: dict[int, tuple[TraceNode, list[str]]] = {}
    for dataset in answer.found:
        for node in dataset.downstream.nodes.values():
            if node.id == dataset.downstream.start:
                continue
            known, sources = nodes.get(node.id, (node, []))
            nearest = node if node.depth < known.depth else known
            nodes[node.id] = nearest, [*sources, dataset.label]
    return sorted(nodes.values(), key=lambda one: (one[0].depth, one[0].label, one[0].digest))


def _show(answer: Answer) -> None:
    different = f"{answer.asked} record{'s' if answer.asked != 1 else ''}"
    of = f" by {', '.join(answer.fields)}" if answer.fields else ""
    hit = {match.asked for dataset in answer.found for match in dataset.matches}
    where = f"{len(answer.found)} dataset{'s' if len(answer.found) != 1 else ''}"
    output.line(f"{different} asked about{of}, {len(hit)} found in {where}")
    if answer.unread:
        output.note(f"warning: {answer.unread} rows of the question could not be read")
    for dataset in answer.found:
        output.line(dataset.label)
        for match in dataset.matches:
            output.line(f"  {_match(match)}")
    affected = _affected(answer)
    if affected:
        output.line()
        rows = [
            [str(node.depth), node.label, node.kind or "-", _state(node), ", ".join(sources)]
            for node, sources in affected
        ]
        output.table(["DEPTH", "NODE", "KIND", "STATE", "FROM"], rows)
    for one in answer.unsearched:
        output.note(f"warning: {one.label} is not searched whole: {one.reason}")
    if left_out := _left_out(answer):
        output.note(f"stemma: {left_out} more are left out (--limit)")
    output.line(f"{len(affected)} downstream, as of ledger entry {answer.entry}")


def _left_out(answer: Answer) -> int:
    return sum(dataset.downstream.left_out for dataset in answer.found)


def _state(node: TraceNode) -> str:
    return ", ".join(map(reports.mark, node.marks)) or "-"


def _match(match: Match) -> str:
    rows = ", ".join(map(str, match.rows[:SHOWN]))
    more = f" and {match.count - SHOWN} more" if match.count > SHOWN else ""
    how = "" if match.checked else f"  (by the index of {match.signer}: {match.assurance})"
    return f"{match.path} row {rows}{more}: record {match.asked} of the question{how}"


def _document(answer: Answer) -> dict[str, Any]:
    return {
        "asked": answer.asked,
        "unread": answer.unread,
        "fields": list(answer.fields) if answer.fields is not None else None,
        "entry": answer.entry,
        "datasets": [_dataset(dataset) for dataset in answer.found],
        "downstream": [
            {
                "digest": str(node.digest),
                "label": node.label,
                "kind": node.kind,
                "depth": node.depth,
                "quarantined": node.quarantined,
                "from": sources,
            }
            for node, sources in _affected(answer)
        ],
        "left_out": _left_out(answer),
        "unsearched": unsearched(answer),
    }


def unsearched(answer: Answer) -> list[dict[str, str]]:
    """The datasets that are not searched whole, and why."""
    return [
        {"label": one.label, "digest": str(one.digest), "reason": one.reason}
        for one in answer.unsearched
    ]


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "digest": str(dataset.digest),
        "label": dataset.label,
        "names": list(dataset.names),
        "matches": [
            {
                "asked": match.asked,
                "path": match.path,
                "blob": str(match.shard),
                "rows": list(match.rows),
                "count": match.count,
                "checked": match.checked,
                "assurance": str(match.assurance),
                "signer": match.signer,
            }
            for match in dataset.matches
        ],
    }
