"""Which records that are stopped a new index has: looked for before it is signed.

Whoever indexes a dataset says this together with the index, on the same word: it needs no secret,
since the criterion has the hashes that the index has. It is not worked out again by those who
read the ledger: the runs may be gone by then (erased with the file), and to read them all would
hold up every reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates.criterion import Recorded
from stemma_attestations.predicates.record_index import Shard
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import acts
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.records import runs
from stemma_registry.records.building import Wish
from stemma_registry.registry import Snapshot


@dataclass(frozen=True)
class Sought:
    """The records of a criterion, hashed as an index is that is to be made: `blob` holds them."""

    subject: Digest
    blob: Digest


@dataclass(frozen=True)
class Compared:
    """The criteria that an index was held against, and those of them that it meets.

    `warnings` say why those are not all, and that there are some.
    """

    compared: tuple[Digest, ...] = ()
    meets: tuple[Digest, ...] = ()
    warnings: tuple[str, ...] = ()


def sought(view: Snapshot, wanted: Wish) -> list[Sought]:
    """What an index of that kind is to be held against: by those who may stop; the newest first."""
    found: dict[Digest, Sought] = {}
    for row in reversed(acts.heard(view.connection, view.trust)):
        of = row.of
        if not isinstance(of, Recorded):
            continue
        blob = dict(of.sets).get(wanted.key.id)
        if blob is not None and (of.canonical, of.fields) == (wanted.canonical, wanted.fields):
            subject = criterion.subject(of)
            found.setdefault(subject, Sought(subject, blob))
    return list(found.values())


def compare(store: Store, shards: Sequence[Shard], wanted: Sequence[Sought]) -> Compared:
    """Look for their records in the runs of an index. Raises Unavailable."""
    import numpy as np

    sets: dict[Digest, Any] = {}
    warnings, room = [], LIMITS.record_compared
    for one in wanted:
        try:
            hashes = read(store, one.blob)
        except (BlobMissing, Damaged, Malformed) as error:
            warnings.append(f"records that are stopped cannot be looked for: {error}")
            continue
        room -= len(hashes)
        if room < 0 or len(sets) == LIMITS.criteria:
            warnings.append(
                f"not all records that are stopped were looked for: more than "
                f"{LIMITS.record_compared}, or of more than {LIMITS.criteria} criteria; "
                "these limits are named ones"
            )
            break
        sets[one.subject] = hashes
    if not sets:
        return Compared(warnings=tuple(warnings))
    every = np.unique(np.concatenate(list(sets.values())))
    try:
        here = _here(store, shards, every)
    except (BlobMissing, Damaged, Malformed) as error:
        return Compared(warnings=(*warnings, f"its own index cannot be read: {error}"))
    meets = [subject for subject, hashes in sets.items() if np.isin(hashes, here).any()]
    if meets:
        warnings.append("it has records that are stopped: `stemma verify` will say by whom")
    return Compared(tuple(sorted(sets)), tuple(sorted(meets)), tuple(warnings))


def read(store: Store, blob: Digest) -> Any:
    """The hashes (numpy) of a set. Raises BlobMissing, Damaged, BadRuns, Unavailable."""
    import numpy as np

    raw = get_bytes(store, blob, LIMITS.record_asked * runs.HASH)
    if not raw or len(raw) % runs.HASH:
        raise runs.BadRuns(f"{blob.short} is no set of records")
    return np.frombuffer(raw, "<u8").astype(np.uint64)


def write(hashes: Any) -> bytes:
    """The same as bytes: ascending, each once."""
    import numpy as np

    return bytes(np.unique(hashes).astype("<u8").tobytes())


def _here(store: Store, shards: Sequence[Shard], every: Any) -> Any:
    """Those of the hashes that any of the runs has."""
    import numpy as np

    found = np.zeros(len(every), bool)
    for run in (run for shard in shards for run in shard.runs):
        left = np.flatnonzero(~found)
        packed = get_bytes(store, run.filter, LIMITS.record_filter_bytes)
        left = left[runs.likely(packed, every[left])]
        if len(left):
            body = get_bytes(store, run.hashes, run.records * (runs.HASH + runs.ROW))
            at = runs.locate(run, body, every[left], 0)
            found[left[[place for place, _, _ in at]]] = True
    return every[found]
