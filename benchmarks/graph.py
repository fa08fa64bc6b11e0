"""A family tree of models as large as one likes: seeded, heavy-tailed, about thirty deep.

Datasets are derived, filtered and merged; base models are trained on them; fine-tunes,
adapters, merges and quantizations go on from there. Within a generation the popular are
chosen far more often than the others, so that a few base models have a large part of
everything below them, and most have nothing.

What is real: every edge is said by a signed lineage statement in the store, and the ledger
refers to it. What is not: a statement speaks of a few hundred outputs at once, as one does
that brings another registry's history over; and there are no files behind the digests.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stemma_attestations.bundle import Bundle
from stemma_attestations.predicates import lineage
from stemma_attestations.statement import TYPE, Statement
from stemma_registry.blobs.contract import Store, put_bytes
from stemma_registry.ledger import segments
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.log import Head, append, entries_after
from stemma_registry.signing import Signer

Numbers = np.ndarray[Any, np.dtype[np.int64]]
GENERATIONS = 30
DATASETS = 9  # the first generations
RELATIONS = (
    "derived-from",
    "filtered-from",
    "merged-from",
    "trained-on",
    "fine-tuned-from",
    "adapter-of",
    "quantized-from",
)
IN_A_STATEMENT = 2_000  # edges, about


@dataclass(frozen=True)
class Graph:
    """`source[i]` went into `output[i]`; nodes are numbered, parents before children."""

    nodes: int
    source: Numbers
    output: Numbers
    relation: Numbers
    seed: int

    def digest(self, node: int) -> str:
        """The SHA-256 that stands for a node, hex."""
        return hashlib.sha256(f"{self.seed}/{node}".encode()).hexdigest()

    def name(self, node: int) -> str:
        """NAME:VERSION of a node."""
        return f"org-{node % 97}/item-{node}:1"


def make(edges: int, seed: int) -> Graph:
    """A graph of about so many edges, half as many nodes."""
    dice = np.random.default_rng(seed)
    count = edges // 2
    share = np.array([0.97**level for level in range(GENERATIONS)])
    share[DATASETS] = 0.02  # base models are few
    sizes = np.maximum((share / share.sum() * count).astype(np.int64), 4)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = [_level(dice, level, starts) for level in range(1, GENERATIONS)]
    source, output, relation = (np.concatenate(part) for part in zip(*found, strict=True))
    rows = np.unique(np.stack([output, source, relation], axis=1), axis=0)
    return Graph(int(starts[-1]), rows[:, 1], rows[:, 0], rows[:, 2], seed)


def _level(
    dice: np.random.Generator, level: int, starts: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """The edges into one generation."""
    own = np.arange(starts[level], starts[level + 1])
    first = _popular(dice, int(starts[level - 1]), int(starts[level]), len(own))
    if level < DATASETS:
        extra = _few(dice, own, 0.9)
        # Most of what is mixed in is raw, and has no history of its own.
        more = _popular(dice, 0, int(starts[min(level, 2)]), len(extra))
        kinds = dice.integers(0, 3, len(own) + len(extra))
    elif level == DATASETS:
        extra = np.repeat(own, dice.integers(0, 20, len(own)))
        more = _popular(dice, 0, int(starts[level]), len(extra))
        kinds = np.full(len(own) + len(extra), 3)
    else:
        extra = _few(dice, own, 1.1)
        data = _popular(dice, 0, int(starts[3]), len(extra))
        merged = _few(dice, own, 0.06)
        merges = _popular(dice, int(starts[DATASETS]), int(starts[level]), len(merged))
        many = np.repeat(own[-1:], 64)  # one merge of 65 in each generation
        wide = _popular(dice, int(starts[DATASETS]), int(starts[level]), 64)
        ways = dice.integers(4, 7, len(own))
        rest = [np.full(len(extra), 3), np.full(len(merged) + 64, 2)]
        outputs = np.concatenate([own, extra, merged, many])
        return np.concatenate([first, data, merges, wide]), outputs, np.concatenate([ways, *rest])
    return np.concatenate([first, more]), np.concatenate([own, extra]), kinds


def _popular(dice: np.random.Generator, low: int, high: int, count: int) -> Numbers:
    """Choices among [low, high): the first are chosen most, by a power law."""
    share = dice.random(count) ** 3  # the density falls with the rank to the power of -2/3
    return (low + share * (high - low)).astype(np.int64)


def _few(dice: np.random.Generator, nodes: Numbers, mean: float) -> Numbers:
    """Each node as often as it has more parents."""
    return np.repeat(nodes, dice.poisson(mean, len(nodes)))


def statements(graph: Graph) -> Iterator[tuple[bytes, int]]:
    """The payloads of lineage statements, each with its number of edges."""
    ends = np.flatnonzero(np.diff(graph.output)) + 1  # where another output begins
    cuts = [0]
    for end in [*ends.tolist(), len(graph.output)]:
        if end - cuts[-1] >= IN_A_STATEMENT or end == len(graph.output):
            cuts.append(end)
    columns = (graph.source.tolist(), graph.output.tolist(), graph.relation.tolist())
    for low, high in itertools.pairwise(cuts):
        part = list(zip(*(column[low:high] for column in columns), strict=True))
        yield _payload(graph, part), high - low


def _payload(graph: Graph, edges: list[tuple[int, int, int]]) -> bytes:
    """Canonical JSON, written out: a library would take longer than everything else."""
    subjects = ",".join(
        f'{{"digest":{{"sha256":"{graph.digest(node)}"}},"name":"{graph.name(node)}"}}'
        for node in dict.fromkeys(output for _, output, _ in edges)
    )
    said = ",".join(
        f'{{"input":{{"digest":{{"sha256":"{graph.digest(source)}"}},'
        f'"name":"{graph.name(source)}"}},'
        f'"output":{{"digest":{{"sha256":"{graph.digest(output)}"}}}},'
        f'"relation":"{RELATIONS[relation]}"}}'
        for source, output, relation in edges
    )
    return (
        f'{{"_type":"{TYPE}","predicate":{{"edges":[{said}]}},'
        f'"predicateType":"{lineage.TYPE}","subject":[{subjects}]}}'
    ).encode()


def fill(store: Store, signer: Signer, graph: Graph) -> int:
    """Say the whole graph in the ledger, statement by statement; how many there are."""
    head = Head()
    for _ in entries_after(store, head):
        pass
    key = put_bytes(store, signer.keys[0])
    count = 0
    for payload, _ in statements(graph):
        bundle: Bundle = signer.sign(Statement.parse(payload))
        event = Event(PUSH, bundles=(put_bytes(store, bundle.raw),), keys=(key,))
        entry = append(store, head, lambda event=event: [event], lambda: head)  # type: ignore[misc]
        if entry is None:
            raise RuntimeError("nothing was appended")
        head.advance(entry)
        segments.write_behind(store, entry.n)
        count += 1
    return count
