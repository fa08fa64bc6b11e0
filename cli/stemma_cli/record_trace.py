"""`stemma trace record:FILE`: which datasets have these records, and what came from those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output, reports
from stemma_cli.commands.indexing import split

if TYPE_CHECKING:
    from stemma_cli.session import Session
    from stemma_registry.lineage.trace import TraceNode
    from stemma_registry.records.answers import (
        Answer,
        Dataset,
        Match,
        Near,
        NearDataset,
        NearMatch,
        Unsearched,
    )
    from stemma_registry.records.search import Below
    from stemma_registry.registry import Registry, Snapshot

PREFIX = "record:"
SHOWN = 10  # rows of one record in one file


def run(
    session: Session,
    at: tuple[Registry, Snapshot],
    path: str,
    fields: str | None,
    form: str,
    near: float | None,
    below: Below,
) -> None:
    """Answer, and exit with NOT_FOUND where no dataset has any of the records, or nearly."""
    from stemma_registry.records import near_search, search

    if form not in {"tree", "json"}:
        raise click.UsageError("a trace of records has --format tree or json")
    if not Path(path).is_file():
        raise click.UsageError(f"no file of records at {path}")
    asked, nearly = (*at, Path(path), split(fields)), None
    if near is None:
        answer = search.search(*asked, below)
    else:
        answer, nearly = near_search.search(*asked, near, below)
    if session.json or form == "json":
        output.document({**_document(answer), "near": _near_document(nearly)})
    else:
        _show(answer)
        if nearly is not None:
            _show_near(nearly)
    if not answer.found and not (nearly and nearly.found):
        click.get_current_context().exit(exits.NOT_FOUND)


def _affected(
    datasets: Iterable[Dataset | NearDataset],
) -> list[tuple[TraceNode, list[str]]]:
    """What came from any of the datasets, nearest first, with the datasets it came from."""
    nodes: dict[int, tuple[TraceNode, list[str]]] = {}
    for dataset in datasets:
        for node in dataset.downstream.nodes.values():
            if node.id == dataset.downstream.start:
                continue
            known, sources = nodes.get(node.id, (node, []))
            nearest = node if node.depth < known.depth else known
            nodes[node.id] = nearest, [*sources, dataset.label]
    return sorted(nodes.values(), key=lambda one: (one[0].depth, one[0].label, one[0].digest))


def _show(answer: Answer) -> None:
    different = output.count(answer.asked, "record")
    of = f" by {', '.join(answer.fields)}" if answer.fields else ""
    hit = {match.asked for dataset in answer.found for match in dataset.matches}
    where = output.count(len(answer.found), "dataset")
    output.line(f"{different} asked about{of}, {len(hit)} found in {where}")
    if answer.unread:
        output.note(
            f"warning: {output.count(answer.unread, 'row')} of the question could not be read"
        )
    for dataset in answer.found:
        output.line(dataset.label)
        for match in dataset.matches:
            output.line(f"  {_match(match)}")
    affected = _affected(answer.found)
    _table(affected)
    for one in answer.unsearched:
        output.note(f"warning: {one.label} is not searched whole: {one.reason}")
    if left_out := _left_out(answer.found):
        output.note(f"stemma: {left_out} more are left out (--limit)")
    output.line(f"{len(affected)} downstream, as of ledger entry {answer.entry}")


def _left_out(datasets: Iterable[Dataset | NearDataset]) -> int:
    return sum(dataset.downstream.left_out for dataset in datasets)


def _show_near(near: Near) -> None:
    """What is nearly the same, behind what is the same and apart from it."""
    from stemma_registry.records.near_search import NONE

    output.line()
    hit = {match.asked for dataset in near.found for match in dataset.matches}
    where = output.count(len(near.found), "dataset")
    output.line(
        f"near matches, {near.threshold:g} or more: {output.count(len(hit), 'record')} in {where}"
    )
    for dataset in near.found:
        output.line(dataset.label)
        for match in dataset.matches[:SHOWN]:
            output.line(f"  {_near_match(match)}")
        if len(dataset.matches) > SHOWN:
            output.line(f"  and {len(dataset.matches) - SHOWN} more")
    affected = _affected(near.found)
    _table(affected)
    without = sum(one.reason == NONE for one in near.unsearched)
    for one in near.unsearched:
        if one.reason != NONE:
            output.note(
                f"warning: {one.label} is not searched whole for near matches: {one.reason}"
            )
    if without:
        verb = "has" if without == 1 else "have"
        output.note(
            f"warning: {output.count(without, 'dataset')} {verb} no near index "
            "(`stemma index REF --near FIELDS` makes one)"
        )
    output.line(f"{len(affected)} downstream of near matches")


def _table(affected: Sequence[tuple[TraceNode, list[str]]]) -> None:
    if not affected:
        return
    output.line()
    rows = [
        [str(node.depth), node.label, node.kind or "-", _state(node), ", ".join(sources)]
        for node, sources in affected
    ]
    output.table(["DEPTH", "NODE", "KIND", "STATE", "FROM"], rows)


def _near_match(match: NearMatch) -> str:
    how = (
        "" if match.checked else f"  (estimated, by the index of {match.signer}: {match.assurance})"
    )
    of = f"record {match.asked} in {', '.join(match.fields)}"
    return f"{match.path} row {match.row}: {match.similarity:.2f} like {of}{how}"


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
        "downstream": _downstream(answer.found),
        "left_out": _left_out(answer.found),
        "unsearched": unsearched(answer.unsearched),
    }


def _downstream(datasets: Iterable[Dataset | NearDataset]) -> list[dict[str, Any]]:
    return [
        {
            "digest": str(node.digest),
            "label": node.label,
            "kind": node.kind,
            "depth": node.depth,
            "quarantined": node.quarantined,
            "from": sources,
        }
        for node, sources in _affected(datasets)
    ]


def unsearched(some: Iterable[Unsearched]) -> list[dict[str, str]]:
    """What is not searched whole, and why."""
    return [{"label": one.label, "digest": str(one.digest), "reason": one.reason} for one in some]


def _near_document(near: Near | None) -> dict[str, Any] | None:
    if near is None:
        return None
    return {
        "threshold": near.threshold,
        "datasets": [
            {
                "digest": str(dataset.digest),
                "label": dataset.label,
                "names": list(dataset.names),
                "matches": [_near_match_document(match) for match in dataset.matches],
            }
            for dataset in near.found
        ],
        "downstream": _downstream(near.found),
        "unsearched": unsearched(near.unsearched),
    }


def _near_match_document(match: NearMatch) -> dict[str, Any]:
    return {
        "asked": match.asked,
        "path": match.path,
        "blob": str(match.shard),
        "row": match.row,
        "similarity": round(match.similarity, 4),
        "checked": match.checked,
        "fields": list(match.fields),
        "assurance": str(match.assurance),
        "signer": match.signer,
    }


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
