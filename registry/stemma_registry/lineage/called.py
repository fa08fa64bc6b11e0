"""Traces that know what each statement calls what it speaks of: for who shows that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stemma_registry.catalogue import evidence
from stemma_registry.lineage.trace import Trace, TraceEdge
from stemma_registry.lineage.words import Word
from stemma_registry.registry import Snapshot

Paths = list[list[TraceEdge]]


def with_names(snapshot: Snapshot, trace: Trace, paths: Paths | None) -> tuple[Trace, Paths | None]:
    """The same trace and paths, each word with what its statement calls the output, if anything."""
    outputs = {edge.output for edge in trace.edges if _nameless(edge.words)}
    if snapshot.trust.goes_by_name or not outputs:  # then that was asked for already
        return trace, paths
    names = evidence.names(snapshot.connection, outputs)

    def named(edge: TraceEdge) -> TraceEdge:
        return edge._replace(words=tuple(_called(word, edge.output) for word in edge.words))

    def _called(word: Word, output: int) -> Word:
        found = names.get((output, word.fact.bundle))
        if found is None or word.fact.name is not None:
            return word
        return word._replace(fact=word.fact._replace(name=found[0], version=found[1]))

    edges = tuple(named(edge) for edge in trace.edges)
    told = None if paths is None else [[named(edge) for edge in path] for path in paths]
    return replace(trace, edges=edges), told


def _nameless(words: Sequence[Word]) -> bool:
    return any(word.fact.name is None for word in words)
