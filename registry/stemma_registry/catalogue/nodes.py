"""Nodes by their digests: found, or made where they are new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from sqlalchemy import Column, Connection, select

from stemma_attestations.digest import Digest
from stemma_attestations.named import Named
from stemma_registry.catalogue import bulk
from stemma_registry.catalogue import tables as t

_AT_ONCE = 500  # digests in one query
_BEHIND = 130  # hex digits: longer than any digest


@dataclass
class Nodes:
    """Nodes that a transaction has met: others cannot make any meanwhile."""

    connection: Connection
    met: dict[Digest, int] = field(default_factory=dict)

    def one(self, digest: Digest) -> int:
        """The id of a node, made where it is new."""
        known = self.met.get(digest)
        return self.all([digest])[digest] if known is None else known

    def all(self, digests: Iterable[Digest]) -> dict[Digest, int]:
        """The ids of nodes, made where they are new."""
        wanted = set(digests)
        new = sorted(wanted - self.met.keys(), key=attrgetter("value", "algorithm"))
        for start in range(0, len(new), _AT_ONCE):
            self._look_up(new[start : start + _AT_ONCE])
        missing = [digest for digest in new if digest not in self.met]
        if missing:
            self._make(missing)
        return {digest: self.met[digest] for digest in wanted}

    def _make(self, missing: Sequence[Digest]) -> None:
        ids = list(bulk.ids(self.connection, t.node, len(missing)))
        both = list(zip(ids, missing, strict=True))
        rows = [{"id": i, "scheme": one.algorithm, "value": one.value} for i, one in both]
        bulk.insert(self.connection, t.node, rows)
        texts = [{"node_id": i, "text": one.text} for i, one in both if isinstance(one, Named)]
        bulk.insert(self.connection, t.named, texts)
        self.met.update(zip(missing, ids, strict=True))

    def _look_up(self, digests: Sequence[Digest]) -> None:
        """Remember those of the digests that have their node."""
        # By the index, and by nothing else: of those with a head in common some are not wanted.
        heads = list({bytes.fromhex(digest.value[: 2 * t.HEAD]) for digest in digests})
        text, values = bulk.places(heads)
        query = (
            "SELECT id, scheme, value FROM node "  # noqa: S608 - places only
            f"WHERE substr(value, 1, {t.HEAD}) IN ({text})"
        )
        wanted = {(digest.algorithm, digest.value): digest for digest in digests}
        for i, scheme, value in bulk.ask(self.connection, query, **values):
            digest = wanted.get((_read(t.node.c.scheme, scheme), _read(t.node.c.value, value)))
            if digest is not None:
                self.met[digest] = i


def _read(column: Column[str], value: Any) -> str:
    """What the driver gave, as the column has it. Raises Unavailable for what is none of ours."""
    return str(column.type.process_result_value(value, None))  # type: ignore[attr-defined]


def _even(prefix: str) -> int:
    return len(prefix) + len(prefix) % 2


def by_prefix(
    connection: Connection, scheme: str, prefix: str, limit: int
) -> list[tuple[int, Digest]]:
    """At most `limit` nodes whose value begins with `prefix` (hex)."""
    # Digests are bytes there, and a prefix may end half way through one.
    first, last = (prefix.ljust(_BEHIND, digit) for digit in "0f")
    low = first[: _even(prefix)]
    query = (
        select(t.node.c.id, t.node.c.value)
        .where(
            t.node.c.scheme == scheme,
            t.head(t.node.c.value).between(low[: 2 * t.HEAD], last[: 2 * t.HEAD]),
            t.node.c.value.between(low, last),
        )
        .order_by(t.node.c.value)
        .limit(limit)
    )
    return [(row.id, Digest(scheme, row.value)) for row in connection.execute(query)]
