"""What edges are worth to whoever asks what came from a node: so many at once, each asked once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import imported
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import bulk, made, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.prepared import AT_ONCE
from stemma_registry.catalogue.rows import Fact
from stemma_registry.lineage.hops import signer_label
from stemma_registry.registry import Snapshot

ROWS = 2_000  # at once: as many as stay in a processor's cache
ORDER = tuple(Assurance)
CLAIMED, CONTAINED = ORDER.index(Assurance.CLAIMED), ORDER.index(Assurance.CONTAINS)
BY_NAME = -1  # in the place of a rank: it hangs on the name that a statement is about


class Said(NamedTuple):
    """A statement: its bundle, who signed it (None: nobody), and what its edges are worth."""

    bundle: bytes
    signer: str | None
    rank: int


@dataclass
class Worth:
    """What an edge is worth, for a question about its output, as a place in ORDER."""

    snapshot: Snapshot
    said: dict[int, Said] = field(default_factory=dict)
    _voices: dict[tuple[Any, str], tuple[Fact, int, str | None]] = field(default_factory=dict)
    _facts: dict[int, Fact] = field(default_factory=dict)  # of those that hang on a name
    _known: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def ranks(
        self, rows: Sequence[tuple[int, int, int, Any, Any]], met: bytearray
    ) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
        """Of the statements of rows (input, output, statement, and so on).

        Of those that hang on the name also of each statement and output that is not met.
        """
        said = {row[2] for row in rows}
        self.learn(said)
        ranks = {one: self.said[one].rank if one else CONTAINED for one in said}
        if BY_NAME not in ranks.values():
            return ranks, {}
        pairs = [(row[2], row[1]) for row in rows if ranks[row[2]] == BY_NAME and not met[row[1]]]
        return ranks, dict(zip(pairs, self.named(pairs), strict=True))

    def learn(self, statements: Iterable[int]) -> None:
        """What each is worth whatever it is about, and who says it."""
        new = set(statements) - self.said.keys() - {0}
        sql = "SELECT id, bundle, signer, predicate_type, root FROM statement"
        dated: dict[int, bytes] = {}
        for rows in by_ids(self.snapshot.connection, sql, new):
            for row_id, bundle, signer, predicate, root in rows:
                if root is not None:
                    dated[row_id] = bundle  # then what is proven about its time counts, too
                    continue
                voice = self._voices.get((signer, predicate))
                if voice is None:
                    voice = self._voices[signer, predicate] = self._worth(_voice(signer, predicate))
                self._keep(row_id, bundle, *voice)
        for row_id, fact in query.facts_in(self.snapshot.connection, dated):
            self._keep(row_id, dated[row_id], *self._worth(fact))

    def _keep(self, row_id: int, bundle: bytes, fact: Fact, rank: int, label: str | None) -> None:
        self.said[row_id] = Said(bundle, label, rank)
        if rank == BY_NAME:
            self._facts[row_id] = fact

    def named(self, pairs: Sequence[tuple[int, int]]) -> list[int]:
        """Of statements that hang on the name, each for an output: the best of its names there."""
        wanted = set(pairs)
        best: dict[tuple[int, int], int] = {}
        unnamed = set[tuple[int, int]]()
        for some in portions({node for _, node in wanted}):
            among = bulk.AMONG[self.snapshot.connection.dialect.name]
            sql = f"SELECT statement_id, node_id, name FROM subject WHERE node_id {among}"  # noqa: S608
            value = bulk.listed(self.snapshot.connection, some)
            for statement, node, name in bulk.ask(self.snapshot.connection, sql, listed=value):
                pair = statement, node
                if pair in wanted:
                    rank = self._about(self._facts[statement], name)
                    best[pair] = min(rank, best.get(pair, rank))
                    if name is None:
                        unnamed.add(pair)
        self._of_files(unnamed | (wanted - best.keys()), best)
        return [best.get(pair, ORDER.index(Assurance.SIGNED)) for pair in pairs]

    def _of_files(
        self, unnamed: Collection[tuple[int, int]], best: dict[tuple[int, int], int]
    ) -> None:
        """What statements about files of artifacts, which they give no name, are worth to those."""
        if not unnamed:
            return
        files = made.held(self.snapshot.connection, {node for _, node in unnamed})
        for pair in unnamed:
            if pair[1] in files:
                fact = self._facts[pair[0]]
                said = fact.signer, fact.predicate_type, None, fact.signed
                rank = ORDER.index(self.snapshot.trust.of_file(*said))
                best[pair] = min(rank, best.get(pair, rank))

    def _about(self, fact: Fact, name: str | None) -> int:
        key = fact.signer, fact.predicate_type, name, fact.signed
        rank = self._known.get(key)
        if rank is None:
            worth = self.snapshot.trust.assurance(
                fact.signer, fact.predicate_type, name, None, fact.signed
            )
            rank = self._known[key] = ORDER.index(worth)
        return rank

    def _worth(self, fact: Fact) -> tuple[Fact, int, str | None]:
        if fact.predicate_type == imported.TYPE:
            return fact, CLAIMED, self._label(fact)
        worth = self.snapshot.trust.anywhere(fact.signer, fact.predicate_type, fact.signed)
        return fact, BY_NAME if worth is None else ORDER.index(worth), self._label(fact)

    def _label(self, fact: Fact) -> str | None:
        return signer_label(self.snapshot, fact.signer) if fact.signer is not None else None


def _voice(signer: bytes | None, predicate: str) -> Fact:
    """A statement of somebody whose time is not proven."""
    kind = _text(t.statement.c.predicate_type, predicate)
    return Fact(Digest.of(b""), kind, None if signer is None else signer.hex(), 0)


def _text(column: Column[str], value: Any) -> str:
    """What the driver gave, as the column has it."""
    return str(column.type.process_result_value(value, None))  # type: ignore[attr-defined]


def by_ids(
    connection: Connection, sql: str, ids: Collection[int]
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows by their ids: listed, or where they lie close together all that are between."""
    for part in portions(ids):
        if part[-1] - part[0] < 1.2 * len(part):
            between = f"{sql} WHERE id BETWEEN :low AND :high"
            yield from bulk.chunks(connection, between, ROWS, low=part[0], high=part[-1])
        else:
            among, value = bulk.AMONG[connection.dialect.name], bulk.listed(connection, part)
            yield from bulk.chunks(connection, f"{sql} WHERE id {among}", ROWS, listed=value)


def portions(ids: Collection[int]) -> Iterator[list[int]]:
    """Ids in order, as many as go into one query."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]
