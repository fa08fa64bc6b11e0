"""`urn:stemma:record-index:v0.1`: where the record index of a dataset is.

See docs/formats/record-index.md. The subject is the dataset. The blobs it names are the files
of an artifact of their own, so that they are kept, copied and erased as files are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadStatement

TYPE = "urn:stemma:record-index:v0.1"
MAX_SHARDS = 200_000
MAX_RUNS = 200_000  # of one statement
MAX_RECORDS = 1 << 22  # of one run
MAX_FIELDS = 100
MAX_COMPARED = 10_000  # criteria that an index is held against
KEY = re.compile(r"public\Z|[0-9a-f]{16}\Z")  # the id of a record key
_MAX_INT = 2**53


@dataclass(frozen=True)
class Run:
    """`records` hashes of rows from `first` on; `filter` and `hashes` are blobs."""

    first: int
    records: int
    filter: Digest
    hashes: Digest


@dataclass(frozen=True)
class Shard:
    """A file of the dataset by its blob, how it was read, and the runs of its records.

    `unread` counts rows that could not be read. Records that say nothing are not counted.
    """

    blob: Digest
    format: str
    records: int
    unread: int
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Skipped:
    """A file of the dataset that has no index, and why."""

    blob: Digest
    reason: str


@dataclass(frozen=True)
class RecordIndex:
    """What is indexed, how, and where the index is. `key` is the id of a secret, or `public`.

    `fields` are those that a record was reduced to; None: all of them. `compared` are criteria
    of status statements, by the digests of their subjects, whose records were looked for in it,
    and `meets` those of them of which it has any.
    """

    canonical: str
    key: str
    fields: tuple[str, ...] | None
    index: Digest
    shards: tuple[Shard, ...]
    skipped: tuple[Skipped, ...] = ()
    compared: tuple[Digest, ...] = ()
    meets: tuple[Digest, ...] = ()


def build(said: RecordIndex) -> dict[str, Any]:
    """The predicate."""
    found = {"compared": said.compared, "meets": said.meets}
    return {
        **{field: [one.value for one in some] for field, some in found.items() if some},
        "canonical": said.canonical,
        "key": said.key,
        "fields": None if said.fields is None else list(said.fields),
        "index": {"sha256": said.index.value},
        "shards": [
            {
                "sha256": shard.blob.value,
                "format": shard.format,
                "records": shard.records,
                "unread": shard.unread,
                "runs": [
                    {
                        "first": run.first,
                        "records": run.records,
                        "filter": run.filter.value,
                        "hashes": run.hashes.value,
                    }
                    for run in shard.runs
                ],
            }
            for shard in said.shards
        ],
        "skipped": [{"sha256": one.blob.value, "reason": one.reason} for one in said.skipped],
    }


def parse(predicate: Mapping[str, Any]) -> RecordIndex:
    """Read the predicate. Raises BadStatement."""
    try:
        fields = predicate["fields"]
        found = RecordIndex(
            _text(predicate["canonical"], 16),
            _text(predicate["key"], 16),
            None if fields is None else tuple(_text(f, 1_000) for f in _list(fields, MAX_FIELDS)),
            Digest("sha256", predicate["index"]["sha256"]),
            tuple(map(_shard, _list(predicate["shards"], MAX_SHARDS))),
            tuple(
                Skipped(Digest("sha256", one["sha256"]), _text(one["reason"], 1_000))
                for one in _list(predicate["skipped"], MAX_SHARDS)
            ),
            _digests(predicate.get("compared", [])),
            _digests(predicate.get("meets", [])),
        )
    except (KeyError, TypeError, ValueError, BadDigest) as error:
        raise BadStatement(f"a record index: {error}"[:200]) from error
    if not KEY.match(found.key):
        raise BadStatement("a record index: the key is `public` or an id of 16 hex digits")
    if not set(found.meets) <= set(found.compared):
        raise BadStatement("a record index meets nothing that it was not compared with")
    if sum(len(shard.runs) for shard in found.shards) > MAX_RUNS:
        raise BadStatement(f"a record index has at most {MAX_RUNS} runs")
    return found


def _digests(value: object) -> tuple[Digest, ...]:
    return tuple(Digest("sha256", one) for one in _list(value, MAX_COMPARED))


def _shard(value: Any) -> Shard:
    return Shard(
        Digest("sha256", value["sha256"]),
        _text(value["format"], 32),
        _count(value["records"]),
        _count(value["unread"]),
        tuple(map(_run, _list(value["runs"], MAX_RUNS))),
    )


def _run(value: Any) -> Run:
    records = _count(value["records"])
    if not 1 <= records <= MAX_RECORDS:
        raise ValueError(f"a run has 1 to {MAX_RECORDS} records")
    return Run(
        _count(value["first"]),
        records,
        Digest("sha256", value["filter"]),
        Digest("sha256", value["hashes"]),
    )


def _list(value: object, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"a list of at most {most} is expected")
    return value


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"a text of at most {most} characters is expected")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MAX_INT:
        raise ValueError("a number from 0 is expected")
    return value
