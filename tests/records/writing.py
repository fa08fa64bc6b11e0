"""The same table in every format, as different tools write it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import zstandard

Rows = Sequence[dict[str, Any]]


def table(rows: Rows, schema: pa.Schema | None = None) -> pa.Table:
    """The rows as a table of Arrow; a field that a row lacks is null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if schema is not None:
        return pa.Table.from_pylist(list(rows), schema)
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})


def parquet(rows: Rows, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table(rows), out, **options)
    return out.getvalue()


def arrow_file(rows: Rows) -> bytes:
    out = io.BytesIO()
    feather.write_feather(table(rows), out, compression="lz4")
    return out.getvalue()


def arrow_stream(rows: Rows) -> bytes:
    out, data = io.BytesIO(), table(rows)
    with pa.ipc.new_stream(out, data.schema) as writer:
        writer.write_table(data, max_chunksize=3)
    return out.getvalue()


def jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def python_csv(rows: Rows, delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    names = sorted({name for row in rows for name in row}, reverse=True)
    writer = csv.DictWriter(out, names, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def arrow_csv(rows: Rows) -> bytes:
    out = io.BytesIO()
    pa_csv.write_csv(table(rows), out)
    return out.getvalue()


WRITERS: dict[str, Callable[[Rows], bytes]] = {
    "a.parquet": parquet,
    "b.parquet": lambda rows: parquet(rows, row_group_size=2, compression="zstd"),
    "c.pq": lambda rows: parquet(rows, use_dictionary=False, version="1.0"),
    "d.feather": arrow_file,
    "e.arrow": arrow_stream,
    "f.jsonl": jsonl,
    "g.ndjson.gz": lambda rows: gzip.compress(jsonl(rows)),
    "h.jsonl.zst": lambda rows: zstandard.compress(jsonl(rows)),
    "i.csv": python_csv,
    "j.csv": arrow_csv,
    "k.tsv": lambda rows: python_csv(rows, "\t"),
    "l.csv.gz": lambda rows: gzip.compress(arrow_csv(rows)),
    "m.csv.zst": lambda rows: zstandard.compress(python_csv(rows)),
}
