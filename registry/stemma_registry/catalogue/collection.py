"""Which blobs are on their way out of the store, as far as the ledger says.

A row is there from the entry that condemns (or erases) a blob to the entry that
refers to it (again). What was referred to before cannot be condemned or
collected: an entry that says so is void, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from stemma_attestations.digest import Digest
from stemma_registry.catalogue import bulk
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.query import BATCH
from stemma_registry.ledger.entry import COLLECT, COLLECTED, CONDEMN, ERASE, Event, LedgerEntry

CONDEMNED, COLLECTING, GONE = "condemned", "collecting", "gone"


@dataclass(frozen=True)
class Leaving:
    """A blob on its way out: what entry `n` of that time made of it.

    `gone` is the last entry by which its deletion was finished, None if it never was.
    """

    blob: Digest
    state: str
    n: int
    time: str
    gone: int | None


def project(connection: Connection, event: Event, entry: LedgerEntry) -> None:
    """Write down what an event says, after the rows of what it refers to were written."""
    if event.digests:
        _referred(connection, event)
    if event.type in (CONDEMN, COLLECT):
        named = sorted(unreferenced(connection, event.blobs))
    else:
        named = sorted(set(event.blobs))
    known = leaving(connection, named)
    for blob in named:
        row = known.get(blob)
        after = _after(event.type, row.state if row else None)
        if after is None:
            continue
        gone = entry.n if after == GONE else row.gone if row else None
        values = {"state": after, "n": entry.n, "time": entry.time, "gone": gone}
        if row is None:
            connection.execute(insert(t.collection).values(blob=blob.value, **values))
        else:
            same = t.collection.c.blob == blob.value
            connection.execute(update(t.collection).where(same).values(**values))


def _after(event_type: str, state: str | None) -> str | None:
    """The state after an event, or None where the event changes nothing."""
    if event_type == CONDEMN and state in (None, GONE):
        return CONDEMNED
    if event_type in (COLLECT, ERASE):
        return COLLECTING
    if event_type == COLLECTED and state == COLLECTING:
        return GONE
    return None


def _referred(connection: Connection, event: Event) -> None:
    """What the event refers to, itself or through a manifest, stays."""
    if not bulk.ask(connection, "SELECT 1 FROM collection LIMIT 1"):
        return
    for part in _parts(event.digests):
        connection.execute(delete(t.collection).where(t.collection.c.blob.in_(part)))
    whole, piece = t.node.alias(), t.node.alias()
    for part in _parts(event.artifacts):
        contained = (
            select(piece.c.value)
            .join(t.manifest_entry, t.manifest_entry.c.blob_id == piece.c.id)
            .join(whole, whole.c.id == t.manifest_entry.c.artifact_id)
            .where(whole.c.value.in_(part), whole.c.scheme == "sha256")
        )
        connection.execute(delete(t.collection).where(t.collection.c.blob.in_(contained)))


def leaving(connection: Connection, blobs: Iterable[Digest]) -> dict[Digest, Leaving]:
    """Those of the blobs that are on their way out."""
    found: dict[Digest, Leaving] = {}
    for part in _parts(blobs):
        query = select(t.collection).where(t.collection.c.blob.in_(part))
        found.update((row.blob, row) for row in map(_row, connection.execute(query)))
    return found


def in_state(connection: Connection, state: str) -> list[Leaving]:
    """Every blob in a state, in the order of their digests."""
    query = select(t.collection).where(t.collection.c.state == state)
    return [_row(row) for row in connection.execute(query.order_by(t.collection.c.blob))]


def unreferenced(connection: Connection, blobs: Iterable[Digest]) -> set[Digest]:
    """Those of the blobs that nothing refers to: no event, and no manifest."""
    found = set(blobs)
    for part in _parts(found):
        for query in _references(part):
            found -= {Digest("sha256", value) for value in connection.execute(query).scalars()}
    return found


def erasable(connection: Connection, blob: Digest) -> bool:
    """Whether a blob is the content of files and nothing else that lineage rests on."""
    *others, content = _references([blob.value])
    if any(connection.execute(query).first() for query in others):
        return False
    return connection.execute(content).first() is not None


def _references(values: Sequence[str]) -> tuple[Select[Any], ...]:
    """Queries for those values that are referred to; the last one by manifests, as content."""
    of_values = t.is_one_of(t.node.c.value, values) & (t.node.c.scheme == "sha256")
    used = select(1).where(t.manifest_entry.c.blob_id == t.node.c.id).exists()
    return (
        select(t.kept.c.blob).where(t.kept.c.blob.in_(values)),
        select(t.statement.c.bundle).where(t.is_one_of(t.statement.c.bundle, values)),
        select(t.node.c.value).join(t.artifact, t.artifact.c.id == t.node.c.id).where(of_values),
        select(t.node.c.value).where(of_values, used),
    )


def _row(row: Any) -> Leaving:
    return Leaving(Digest("sha256", row.blob), row.state, row.n, row.time, row.gone)


def _parts(blobs: Iterable[Digest]) -> Iterator[list[str]]:
    ordered = sorted({blob.value for blob in blobs})
    for start in range(0, len(ordered), BATCH):
        yield ordered[start : start + BATCH]
