"""Nodes by their digests: found, or made where they are new."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from sqlalchemy import Column, Connection, func, select

from stemma_attestations.digest import Digest
from stemma_attestations.named import Named
from stemma_registry.catalogue import bulk
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.packed import Packed
from stemma_registry.catalogue.standing import Mark
from stemma_registry.config import LIMITS

_AT_ONCE = 500  # digests in one query
_ORDER = attrgetter("value", "algorithm")
_BEHIND = 130  # hex digits: longer than any digest


@dataclass
class Nodes:
    """Nodes that a transaction has met: others cannot make any meanwhile.

    They may be kept for the next one if nobody projected anything in between (`still`).
    """

    connection: Connection
    # Of which sorts those that are met or packed are all that there are: those by SHA-256 (True,
    # as `_is_plain` says), and the others.
    every: set[bool] = field(default_factory=set)
    left: Mark | None = None  # where the catalogue stood when the last transaction ended
    given: dict[str, int] = field(default_factory=dict)  # the last ids (see `bulk.ids`)
    new: int = 0  # nodes that were not there
    files: int | None = None  # no file of an artifact has a higher id; None where nobody asked
    # By `_key`: a text is found faster than an object of ours, and there are millions.
    met: dict[str, int] = field(default_factory=dict)
    # Those by SHA-256 that were met before these: many more in the same memory.
    packed: Packed = field(default_factory=Packed)
    # Rows of other tables that push after push needs: blobs that are kept, and sets of packages.
    kept: set[str] = field(default_factory=set)
    environments: dict[str, int] = field(default_factory=dict)

    @classmethod
    def still(cls, known: Nodes | None, connection: Connection, now: Mark | None) -> Nodes:
        """At the beginning of a transaction: `known`, if all of it is as it was left."""
        if known is not None and now is not None and known.left == now:
            return known
        some = bulk.ask(connection, "SELECT 1 FROM node LIMIT 1")
        return cls(connection, every=set() if some else {True, False})

    def leave(self, now: Mark) -> None:
        """At the end of a transaction that saved how far it came."""
        self.left = now

    def one(self, digest: Digest) -> int:
        """The id of a node, made where it is new."""
        known = self.met.get(_key(digest))
        return self.of([digest])[0] if known is None else known

    def there(self, digest: Digest) -> int | None:
        """The id of a node, if there is one."""
        key = _key(digest)
        if key not in self.met:
            self._recall({key: digest})
        return self.met.get(key)

    def of(self, digests: Sequence[Digest]) -> list[int]:
        """The id of each node, made where it is new."""
        keys = [one.value if one.algorithm == "sha256" else _key(one) for one in digests]
        met = self.met
        try:
            return [met[key] for key in keys]
        except KeyError:
            pass  # some are new, or not known here
        if len(met) > LIMITS.nodes_met:
            self._pack()
        new = {key: one for key, one in zip(keys, digests, strict=True) if key not in met}
        if new:
            self._meet(new)
        return [met[key] for key in keys]

    def _pack(self) -> None:
        """Make room for those that are met next."""
        plain = {key: i for key, i in self.met.items() if _is_plain(key)}
        if len(plain) < len(self.met):
            self.every.discard(False)
        self.met.clear()
        if len(self.packed) < LIMITS.nodes_packed:
            with contextlib.suppress(ImportError):
                self.packed.add(plain)
                return
        self.every.discard(True)

    def _recall(self, new: Mapping[str, Digest]) -> None:
        """Meet those of `new` that have their node."""
        doubtful: set[str] = set()
        if self.packed.runs:
            plain = [key for key in new if _is_plain(key)]
            for key, i in zip(plain, self.packed.find(plain), strict=True):
                if i > 0:
                    self.met[key] = i
                elif i < 0:
                    doubtful.add(key)
        if len(self.every) == 2 and not doubtful:
            return
        asked = [
            one
            for key, one in new.items()
            if key not in self.met and (key in doubtful or _is_plain(key) not in self.every)
        ]
        asked.sort(key=_ORDER)
        for start in range(0, len(asked), _AT_ONCE):
            self._look_up(asked[start : start + _AT_ONCE])

    def _meet(self, new: Mapping[str, Digest]) -> None:
        self._recall(new)
        missing = [one for key, one in new.items() if key not in self.met]
        if not missing:
            return
        if len(missing) > 1:
            missing.sort(key=_ORDER)
        ids = bulk.ids(self.connection, t.node, len(missing), self.given)
        self.new += len(missing)
        both = list(zip(ids, missing, strict=True))
        rows = [(i, one.algorithm, one.value) for i, one in both]
        bulk.write(self.connection, t.node, ("id", "scheme", "value"), rows)
        texts = [(i, one.text) for i, one in both if isinstance(one, Named)]
        bulk.write(self.connection, t.named, ("node_id", "text"), texts)
        self.met.update((_key(one), i) for i, one in both)

    def _look_up(self, digests: Sequence[Digest]) -> None:
        """Remember those of the digests that have their node."""
        # By the index, and by nothing else: of those with a head in common some are not wanted.
        heads = list({bytes.fromhex(digest.value[: 2 * t.HEAD]) for digest in digests})
        text, values = bulk.places(heads)
        query = (
            "SELECT id, scheme, value FROM node "  # noqa: S608 - places only
            f"WHERE substr(value, 1, {t.HEAD}) IN ({text})"
        )
        wanted = {_key(digest) for digest in digests}
        for i, scheme, value in bulk.ask(self.connection, query, **values):
            algorithm, digits = _read(t.node.c.scheme, scheme), _read(t.node.c.value, value)
            key = digits if algorithm == "sha256" else f"{algorithm}:{digits}"
            if key in wanted:
                self.met[key] = i


def _is_plain(key: str) -> bool:
    return ":" not in key


def _key(digest: Digest) -> str:
    plain = digest.algorithm == "sha256"
    return digest.value if plain else f"{digest.algorithm}:{digest.value}"


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


def called(connection: Connection, beginning: str) -> list[tuple[int, str]]:
    """What is known by a name only that begins so, whatever the case of its letters: id, name.

    Any one of `-_.` stands for any other. All names are read: it is for questions of people.
    """
    escaped = beginning.lower().replace("\\", "\\\\").replace("%", "\\%")
    pattern = "".join("_" if letter in "-_." else letter for letter in escaped) + "%"
    text = t.named.c.text
    query = select(t.named.c.node_id, text).where(func.lower(text).like(pattern, escape="\\"))
    rows = [(row.node_id, row.text) for row in connection.execute(query)]
    return sorted(rows, key=lambda row: row[1])
