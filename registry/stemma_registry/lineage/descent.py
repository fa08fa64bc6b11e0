"""Everything that came from a node, one line of JSON each, however much it is.

For each descendant its distance, and the edge by which it is nearest: of several the one
that is worth most. It is the same set as `trace` shows, without names: those take longer
than all the rest, and a digest can be asked for. Where there is a sidecar (`csr`) the walk
is in memory; else the database is asked level by level, in plain queries that a replica
answers, too. The lines are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from stemma_attestations.relations import CONTAINS, propagates
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import bulk, columns, query
from stemma_registry.config import LIMITS
from stemma_registry.lineage import csr, support
from stemma_registry.lineage.status import in_force, quarantine_worth
from stemma_registry.lineage.worth import CLAIMED, ORDER, ROWS, Worth, by_ids, portions
from stemma_registry.registry import Snapshot

OPENING = '{"type":"node","digest":"'
AT_ONCE = 20_000  # lines
# Input, output, statement (0: bytes), relation and mark as they are coded (None: containment).
Row = tuple[int, int, int, str | None, str | None]
# How a node is nearest: the place of its assurance, what it came from, relation and statement.
# The least of several counts.
Edge = tuple[int, int, str, int]
_NONE = frozenset[int]()


class Block(NamedTuple):
    """So many whole lines, each with its end."""

    nodes: int
    lines: bytes


def blocks(
    snapshot: Snapshot, start: int, depth: int | None = None, sidecar: Path | None = None
) -> Iterator[Block]:
    """The lines about everything downstream of a node within `depth` edges, nearest first.

    Of one distance they are in the order of relation, assurance, signer and digest. `sidecar` is
    where the arrays of this catalogue are, or may be put once this has shown to be worth it.
    Raises as queries do.
    """
    connection, found = snapshot.connection, None
    if sidecar is not None and not csr.is_possible(connection, LIMITS.sidecar_nodes):
        sidecar = None
    if sidecar is not None:
        found = csr.layers(connection, sidecar, LIMITS.sidecar_share)
    worth, stopped = Worth(snapshot), stopping(snapshot)
    if found is not None:
        from stemma_registry.lineage.strides import walk  # it needs numpy

        yield from walk(worth, found, start, depth, stopped)
        return
    count, lines = 0, Lines(worth, stopped)
    for level, found_here in levels(worth, start, depth):
        count += len(found_here)
        yield from lines.about(found_here, level)
    if sidecar is not None and count >= LIMITS.sidecar_worth:
        csr.make(connection, sidecar)


def stopping(snapshot: Snapshot) -> set[int]:
    """The nodes that are stopped themselves, on a word that is believed."""
    return {
        row.node_id
        for row in (*in_force(snapshot), *support.all_lost(snapshot))
        if quarantine_worth(snapshot, row, None) is Assurance.ATTESTED
    }


def template(depth: int, relation: str, assurance: Assurance, signer: str | None) -> list[str]:
    """A line without its two digests, the bundle, and whether it is stopped."""
    return [
        OPENING,
        f'","depth":{depth},"from":"',
        (
            f'","relation":{json.dumps(relation)},"assurance":"{assurance}",'
            f'"signer":{json.dumps(signer)},"bundle":'
        ),
        ',"quarantined":',
        "}\n",
    ]


class Lines:
    """Writes what is said about nodes, distance by distance."""

    def __init__(self, worth: Worth, stopped: set[int]) -> None:
        self.worth, self.stopped = worth, stopped
        self.before: dict[int, str] = {}  # most of what they came from is one step nearer

    def about(self, found: Mapping[int, Edge], depth: int) -> Iterator[Block]:
        """The lines about nodes of one distance: sorted by all that is said, and by digest."""
        plain, named = self._digests(found)
        groups, kinds = _Groups(self.worth, depth), dict[tuple[object, ...], Kind]()
        for node, (rank, source, relation, statement) in found.items():
            key = rank, relation, statement, node in self.stopped
            kind = kinds.get(key)
            if kind is None:
                kind = kinds[key] = groups.kind(*key)
            name, parent = plain.get(node), plain.get(source)
            if name is not None and parent is not None:
                kind.add(f"{name}{kind.middle}{parent}{kind.end}")
            else:
                name = f"sha256:{name}" if name else named[node]
                parent = f"sha256:{parent}" if parent else named[source]
                kind.by_name.append((name, parent, kind))
        yield from groups.blocks()

    def _digests(self, found: Mapping[int, Edge]) -> tuple[dict[int, str], dict[int, str]]:
        """Of those that are known by their SHA-256 this, of the others what people write."""
        connection, before = self.worth.snapshot.connection, self.before
        sources = {source for _, source, _, _ in found.values()}
        plain = {i: before[i] for i in sources & before.keys()}
        asked = found.keys() | (sources - plain.keys())
        self.before = here = {}
        for rows in by_ids(connection, "SELECT id, scheme, value FROM node", asked):
            for i, scheme, value in rows:
                if scheme == csr.SHA256:
                    here[i] = value.hex()
        plain.update(here)
        others = {} if asked <= here.keys() else query.digests(connection, asked - here.keys())
        return plain, {i: str(one) for i, one in others.items()}


class Kind(NamedTuple):
    """The lines of one statement, relation and so on, between their digests and after them."""

    add: Callable[[str], None]
    by_name: list[tuple[str, str, Kind]]
    middle: str
    end: str


class _Groups:
    """Lines of one distance that begin to differ at their digests, in order."""

    def __init__(self, worth: Worth, depth: int) -> None:
        self.worth, self.depth = worth, depth
        self.found: dict[tuple[object, ...], tuple[list[str], list[tuple[str, str, Kind]]]] = {}

    def kind(self, rank: int, relation: str, statement: int, halted: bool) -> Kind:
        """What such lines have in common, and where they go."""
        said = self.worth.said.get(statement)
        signer = said.signer if said else None
        key = relation, rank, signer or "", signer is None, halted
        texts, by_name = self.found.setdefault(key, ([], []))
        _, middle, third, fourth, last = template(self.depth, relation, ORDER[rank], signer)
        bundle = f'"sha256:{said.bundle.hex()}"' if said else "null"
        end = f"{third}{bundle}{fourth}{'true' if halted else 'false'}{last}"
        return Kind(texts.append, by_name, f"{middle}sha256:", end)

    def blocks(self) -> Iterator[Block]:
        """All of them."""
        for _, (texts, by_name) in sorted(self.found.items(), key=lambda pair: pair[0]):
            texts.sort()
            opening = f"{OPENING}sha256:"
            for start in range(0, len(texts), AT_ONCE):
                some = texts[start : start + AT_ONCE]
                yield Block(len(some), (opening + opening.join(some)).encode())
            if by_name:
                by_name.sort(key=lambda one: one[0])
                made = [
                    f"{OPENING}{_quoted(name)}{kind.middle.removesuffix('sha256:')}"
                    f"{_quoted(parent)}{kind.end}"
                    for name, parent, kind in by_name
                ]
                yield Block(len(made), "".join(made).encode())


def _quoted(name: str) -> str:
    return json.dumps(name)[1:-1]


class _Rows:
    """Steps in the database."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def below(self, nodes: Sequence[int], whole: Sequence[int]) -> Iterator[tuple[list[Row], bool]]:
        """All edges one step down, a portion at a time, and whether they lead to mere parts.

        Of `whole` what contains them, and of `nodes` what else there is.
        """
        edges = (
            "SELECT input_id, output_id, statement_id, relation, mark FROM edge WHERE input_id {}"
        )
        yield from ((rows, False) for rows in self._all(edges, nodes))
        held = (
            "SELECT DISTINCT blob_id, artifact_id, 0, NULL, NULL FROM manifest_entry "
            "WHERE blob_id {}"
        )
        yield from ((rows, False) for rows in self._all(held, whole))
        used = (
            "SELECT DISTINCT m.artifact_id, m.blob_id, 0, NULL, NULL FROM manifest_entry m "
            "WHERE m.artifact_id {} "
            "AND EXISTS (SELECT 1 FROM edge WHERE edge.input_id = m.blob_id)"
        )
        yield from ((rows, True) for rows in self._all(used, nodes))

    def _all(self, sql: str, nodes: Sequence[int]) -> Iterator[list[Any]]:
        among = bulk.AMONG[self.connection.dialect.name]
        for part in portions(nodes):
            value = bulk.listed(self.connection, part)
            yield from bulk.chunks(self.connection, sql.format(among), ROWS, listed=value)


class _Words(dict[str | None, tuple[str, bool]]):
    """What a coded relation means, and whether a quarantine flows along it."""

    def __missing__(self, code: str | None) -> tuple[str, bool]:
        word = CONTAINS if code is None else columns.word(code)
        self[code] = found = word, code is None or propagates(word)
        return found


@dataclass(frozen=True)
class _Front:
    """What is walked on from: of `whole` also what contains it is asked.

    `closed` was walked on from as a part of an artifact: it may be reached as a whole later.
    """

    nodes: list[int]
    whole: list[int]
    closed: frozenset[int] = _NONE

    def beyond(self, on: set[int], mere: set[int]) -> _Front:
        """The next: `on` was reached, and `mere` parts."""
        whole, parts = sorted(on), mere - on
        if not parts and not self.closed:
            return _Front(whole, whole)
        return _Front(sorted((on - self.closed) | parts), whole, (self.closed | parts) - on)


def levels(worth: Worth, start: int, depth: int | None) -> Iterator[tuple[int, dict[int, Edge]]]:
    """Each distance with the nodes that are so far away, by the database alone."""
    connection = worth.snapshot.connection
    ((last,),) = bulk.ask(connection, "SELECT max(id) FROM node")
    rows, words = _Rows(connection), _Words()
    met, done = (bytearray(max(last or 0, start) + 1) for _ in range(2))
    met[start] = 1
    front, level = _Front([start], [start]), 0
    while (front.nodes or front.whole) and (depth is None or level < depth):
        level += 1
        for node in front.nodes:
            done[node] = 1
        found, on, mere = dict[int, Edge](), set[int](), set[int]()
        for part, are_parts in rows.below(front.nodes, front.whole):
            reached, again = (mere, _NONE) if are_parts else (on, front.closed)
            ranks, named = worth.ranks(part, met)
            for source, output, statement, code, mark in part:
                relation, flows = words[code]
                if not met[output]:
                    rank = CLAIMED if mark == csr.NAMED and statement else ranks[statement]
                    if rank < 0:
                        rank = named[statement, output]
                    edge = rank, source, relation, statement
                    best = found.get(output)
                    if best is None or edge < best:
                        found[output] = edge
                if flows and (not done[output] or output in again):
                    reached.add(output)
        for node in found:
            met[node] = 1
        if found:
            yield level, found
        front = front.beyond(on, mere)
