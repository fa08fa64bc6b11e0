"""Everything that came from a node, one line of JSON each, however much it is.

For each descendant its distance, and the edge by which it is nearest: of several the one
that is worth most. It is the same set as `trace` shows, without names: those take longer
than all the rest, and a digest can be asked for. Where there is a sidecar (`csr`) the walk
is in memory; else the database is asked level by level. The lines are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import imported
from stemma_attestations.relations import propagates
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import bulk, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.lineage import csr, support
from stemma_registry.lineage.status import in_force, quarantine_worth, signer_label
from stemma_registry.registry import Snapshot

CONTAINS = "contains"
_IN_A_QUERY = 50_000
ORDER = tuple(Assurance)
# Input, output, statement (0: bytes), relation, and whether it is by a name only.
Row = tuple[int, int, int, str, int]


class Block(NamedTuple):
    """So many whole lines, each with its end."""

    nodes: int
    lines: bytes


@dataclass(frozen=True)
class Descendant:
    """A node, its distance, and how it is nearest: `statement` is a row, 0 for containment."""

    node: int
    depth: int
    parent: int
    relation: str
    statement: int
    assurance: Assurance


@dataclass(frozen=True)
class Said:
    """A statement: its bundle, who signed it (None: nobody), and what its edges are worth.

    `assurance` is None where that hangs on the name that it is about.
    """

    bundle: bytes
    signer: str | None
    assurance: Assurance | None


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
    count = 0
    for level in levels(snapshot, worth, start, depth):
        count += len(level)
        yield Block(len(level), lines(connection, worth, level, stopped))
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
        '{"type":"node","digest":"',
        f'","depth":{depth},"from":"',
        (
            f'","relation":{json.dumps(relation)},"assurance":"{assurance}",'
            f'"signer":{json.dumps(signer)},"bundle":'
        ),
        ',"quarantined":',
        "}\n",
    ]


def lines(
    connection: Connection, worth: Worth, found: Sequence[Descendant], stopped: set[int]
) -> bytes:
    """The lines about nodes of one distance."""
    ids = {one.node for one in found} | {one.parent for one in found}
    names, made = digests(connection, ids), []
    for one in found:
        said = worth.said.get(one.statement)
        name, parent = names[one.node], names[one.parent]
        plain = name.startswith("sha256:") and parent.startswith("sha256:")
        halted = one.node in stopped
        signer = said.signer if said else None
        rank = ORDER.index(one.assurance)
        key = (one.relation, rank, signer or "", signer is None, halted, not plain, name)
        bundle = f'"sha256:{said.bundle.hex()}"' if said else "null"
        parts = template(one.depth, one.relation, one.assurance, signer)
        values = [_quoted(name), _quoted(parent), bundle, "true" if halted else "false", ""]
        text = "".join(a + b for a, b in zip(parts, values, strict=True))
        made.append((key, text.encode()))
    made.sort(key=lambda pair: pair[0])
    return b"".join(text for _, text in made)


def _quoted(name: str) -> str:
    return json.dumps(name)[1:-1]


@dataclass
class Worth:
    """What an edge is worth, for a question about its output; asked once for a statement."""

    snapshot: Snapshot
    said: dict[int, Said] = field(default_factory=dict)
    voices: dict[tuple[Any, str], tuple[Assurance | None, str | None]] = field(default_factory=dict)

    def of(self, rows: Iterable[Row]) -> list[Assurance]:
        """Of each row."""
        asked = list(rows)
        self.learn(row[2] for row in asked)
        return [self.one(row[2], row[1], named=bool(row[4])) for row in asked]

    def one(self, statement: int, output: int, *, named: bool) -> Assurance:
        """Of one edge, whose statement was learned."""
        if not statement:
            return Assurance.CONTAINS
        if named:
            return Assurance.CLAIMED
        worth = self.said[statement].assurance
        return self._named(statement, output) if worth is None else worth

    def learn(self, statements: Iterable[int]) -> None:
        """What each is worth whatever it is about; None where that hangs on the name."""
        new = set(statements) - self.said.keys() - {0}
        sql = "SELECT id, bundle, signer, predicate_type, root FROM statement"
        dated: dict[int, bytes] = {}
        for rows in _by_ids(self.snapshot.connection, sql, new):
            for row_id, bundle, signer, predicate, root in rows:
                if root is not None:
                    dated[row_id] = bundle  # then what is proven about its time counts, too
                    continue
                voice = signer, predicate
                if voice not in self.voices:
                    self.voices[voice] = self._worth(_voice(signer, predicate))
                worth, label = self.voices[voice]
                self.said[row_id] = Said(bundle, label, worth)
        for row_id, fact in query.facts_in(self.snapshot.connection, dated):
            worth, label = self._worth(fact)
            self.said[row_id] = Said(dated[row_id], label, worth)

    def _worth(self, fact: Fact) -> tuple[Assurance | None, str | None]:
        trust = self.snapshot.trust
        if fact.predicate_type == imported.TYPE:
            return Assurance.CLAIMED, self._label(fact)
        if fact.signer is None:
            return Assurance.CLAIMED, None
        patterns = trust.patterns(fact.signer, fact.predicate_type, None, fact.signed)
        label = self._label(fact)
        if not patterns:
            return Assurance.SIGNED, label
        return (Assurance.ATTESTED if "**" in patterns else None), label

    def _label(self, fact: Fact) -> str | None:
        return signer_label(self.snapshot, fact.signer) if fact.signer is not None else None

    def _named(self, statement: int, output: int) -> Assurance:
        said = "SELECT name FROM subject WHERE statement_id = :row AND node_id = :node"
        names = bulk.ask(self.snapshot.connection, said, row=statement, node=output)
        ((_, fact),) = query.facts_in(self.snapshot.connection, [statement])
        trust = self.snapshot.trust
        worths = [
            trust.assurance(fact.signer, fact.predicate_type, name, None, fact.signed)
            for (name,) in names
        ]
        return min(worths, key=ORDER.index, default=Assurance.SIGNED)


class _Rows:
    """Steps in the database."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.parts: set[int] = set()

    def below(self, frontier: Iterable[int]) -> list[Row]:
        """All edges one step down from the frontier."""
        nodes = sorted(frontier)
        sql = "SELECT input_id, output_id, statement_id, relation, mark FROM edge WHERE input_id {}"
        words: dict[str, str] = {}
        found: list[Row] = []
        for source, output, statement, word, mark in self._all(sql, nodes):
            if word not in words:
                words[word] = _text(t.edge.c.relation, word)
            found.append((source, output, statement, words[word], mark == csr.NAMED))
        whole = [node for node in nodes if node not in self.parts]
        held = "SELECT DISTINCT blob_id, artifact_id FROM manifest_entry WHERE blob_id {}"
        found += [(blob, artifact, 0, CONTAINS, 0) for blob, artifact in self._all(held, whole)]
        used = (
            "SELECT DISTINCT m.artifact_id, m.blob_id FROM manifest_entry m "
            "WHERE m.artifact_id {} "
            "AND EXISTS (SELECT 1 FROM edge WHERE edge.input_id = m.blob_id)"
        )
        for artifact, blob in self._all(used, nodes):
            self.parts.add(blob)
            found.append((artifact, blob, 0, CONTAINS, 0))
        return found

    def _all(self, sql: str, nodes: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        among = bulk.AMONG[self.connection.dialect.name]
        for start in range(0, len(nodes), _IN_A_QUERY):
            value = bulk.listed(self.connection, nodes[start : start + _IN_A_QUERY])
            yield from bulk.ask(self.connection, sql.format(among), listed=value)


def levels(
    snapshot: Snapshot, worth: Worth, start: int, depth: int | None = None
) -> Iterator[list[Descendant]]:
    """The same as plain values, one distance at a time, by the database alone."""
    rows = _Rows(snapshot.connection)
    met, done, frontier, level = {start}, set[int](), {start}, 0
    while frontier and (depth is None or level < depth):
        level += 1
        done |= frontier
        here = rows.below(frontier)
        new = [row for row in here if row[1] not in met]
        ranked = sorted(zip(new, worth.of(new), strict=True), key=lambda pair: _rank(*pair))
        found = []
        for (source, output, statement, relation, _), assurance in ranked:
            if output not in met:
                met.add(output)
                found.append(Descendant(output, level, source, relation, statement, assurance))
        if found:
            yield found
        frontier = {row[1] for row in here if row[3] == CONTAINS or propagates(row[3])} - done


def _rank(row: Row, worth: Assurance) -> tuple[int, int, int, str, int]:
    """What comes first tells how a node is nearest."""
    return row[1], ORDER.index(worth), row[0], row[3], row[2]


def digests(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    """Of nodes, as people write them; of those that are known by a name, the name."""
    found, others = {}, set()
    for rows in _by_ids(connection, "SELECT id, scheme, value FROM node", set(ids)):
        for i, scheme, value in rows:
            if scheme == csr.SHA256:
                found[i] = f"sha256:{value.hex()}"
            else:
                others.add(i)
    return {**found, **{i: str(one) for i, one in query.digests(connection, others).items()}}


def _voice(signer: bytes | None, predicate: str) -> Fact:
    """A statement of somebody whose time is not proven."""
    kind = _text(t.statement.c.predicate_type, predicate)
    return Fact(Digest.of(b""), kind, None if signer is None else signer.hex(), 0)


def _text(column: Column[str], value: Any) -> str:
    """What the driver gave, as the column has it."""
    return str(column.type.process_result_value(value, None))  # type: ignore[attr-defined]


def _by_ids(connection: Connection, sql: str, ids: set[int]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows by their ids: listed, or where they lie close together all that are between."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), _IN_A_QUERY):
        part = ordered[start : start + _IN_A_QUERY]
        if part[-1] - part[0] < 4 * len(part):
            between = f"{sql} WHERE id BETWEEN :low AND :high"
            yield bulk.ask(connection, between, low=part[0], high=part[-1])
        else:
            among, value = bulk.AMONG[connection.dialect.name], bulk.listed(connection, part)
            yield bulk.ask(connection, f"{sql} WHERE id {among}", listed=value)
