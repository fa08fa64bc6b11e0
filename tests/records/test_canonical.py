"""The canonical form: the page's examples, and one form whatever the format."""

from __future__ import annotations

import io
import json
import math
import re
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_registry.records import canonical, columns, keys, runs
from stemma_registry.records.readers import Form, Reader
from tests.records.writing import WRITERS

PAGE = Path(__file__).parents[2] / "docs/formats/record-index.md"


def read(name: str, data: bytes, fields: list[str] | None = None) -> list[bytes]:
    """The canonical records of a file."""
    form = Form.of(name)
    assert form is not None
    reader = Reader(io.BytesIO(data), len(data), form, fields)
    return [message for chunk in reader.chunks() for message in chunk.messages]


def vectors() -> list[tuple[str, str, str]]:
    """The page's table: a record as JSON, its canonical bytes, its public hash."""
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\{.*?\})` \| `(.*?)` \| `([0-9a-f]{16})` \|$", text, re.MULTILINE)
    return [(row[0].replace("\\|", "|"), row[1], row[2]) for row in rows]


def test_the_page_has_vectors() -> None:
    assert len(vectors()) >= 12


@pytest.mark.parametrize(("record", "form", "hashed"), vectors())
def test_a_vector_of_the_page(record: str, form: str, hashed: str) -> None:
    message = canonical.record(canonical.load(record))
    assert message == form.encode()
    assert read("x.jsonl", record.encode()) == [message]
    assert int(runs.hashes([message], keys.NO_KEY.block)[0]) == int(hashed, 16)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12)
_VALUES: dict[str, tuple[Any, Any]] = {
    "number": (pa.int64(), st.none() | st.integers(-(2**63), 2**63 - 1)),
    "score": (pa.float64(), st.none() | st.floats(allow_nan=False, allow_infinity=False)),
    "text": (pa.string(), st.none() | _TEXT | st.sampled_from(["1.50", "True", "é", "[1]"])),
    "yes": (pa.bool_(), st.none() | st.booleans()),
}
_ROWS = st.lists(
    st.fixed_dictionaries({name: values for name, (_, values) in _VALUES.items()}),
    min_size=1,
    max_size=6,
)


@given(_ROWS)
@settings(max_examples=60, deadline=None)
def test_one_table_has_the_same_records_in_every_format(rows: list[dict[str, Any]]) -> None:
    # pyarrow writes an empty text as null into CSV; both say nothing.
    expected = sorted(filter(None, map(canonical.record, rows)))
    for name, write in WRITERS.items():
        assert sorted(read(name, write(rows))) == expected, name


_SCALARS: list[tuple[pa.DataType, Any]] = [
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats()),
    (pa.string(), st.text(st.characters(codec="utf-8"), max_size=30)),
    (pa.large_string(), st.sampled_from(["0", "-0", "1e5", "1.0", "nan", "{}", "[]", "x", "2e"])),
    (pa.binary(), st.binary(max_size=12)),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    (pa.time64("us"), st.times()),
    (pa.duration("us"), st.timedeltas(timedelta(-90_000), timedelta(90_000))),
    (pa.decimal128(38, 6), st.decimals(-(10**20), 10**20, places=6)),
    (pa.list_(pa.string()), st.lists(st.none() | _TEXT, max_size=3)),
    (
        pa.struct([("b", pa.int64()), ("a", pa.string())]),
        st.fixed_dictionaries({"b": st.none() | st.integers(0, 9), "a": st.none() | _TEXT}),
    ),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["1.0", "", "x", "é"])),
]


@pytest.mark.parametrize(("kind", "values"), _SCALARS, ids=[str(kind) for kind, _ in _SCALARS])
def test_a_column_says_what_its_values_say(kind: pa.DataType, values: Any) -> None:
    @given(st.lists(st.none() | values, max_size=8))
    @settings(max_examples=40, deadline=None)
    def check(items: list[Any]) -> None:
        column = pa.array(items, kind)
        one_by_one = [canonical.value(item) for item in column.to_pylist()]
        assert columns.texts(column).to_pylist() == one_by_one

    check()


@given(
    st.lists(st.tuples(st.none() | _TEXT, st.none() | st.floats(), st.none() | st.booleans())),
    st.sampled_from([1, 4, 4_096]),
    st.sampled_from([1, 7, 1_000]),
)
@settings(max_examples=60, deadline=None)
def test_whole_columns_make_the_records_that_rows_make(
    rows: list[tuple[str | None, float | None, bool | None]], table: int, cells: int
) -> None:
    types = {"b": pa.string(), "é": pa.float64(), "a": pa.bool_()}
    found = [dict(zip(types, row, strict=True)) for row in rows]
    batch = pa.RecordBatch.from_pylist(found, pa.schema(types.items()))
    for part in (batch, batch.slice(len(rows) // 2)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "_TABLE", table)
            patch.setattr(columns, "_CELLS", cells)
            made = columns.messages(part, None)
        made.validate(full=True)
        assert made.to_pylist() == [canonical.record(row) for row in part.to_pylist()]


@given(st.integers(0, 2**64 - 1))
def test_any_float_is_its_shortest_decimal(bits: int) -> None:
    number = struct.unpack("<d", struct.pack("<Q", bits))[0]
    said = columns.texts(pa.array([number])).to_pylist()[0]
    if math.isnan(number):
        assert said is None
    elif math.isinf(number):
        assert said in {"inf", "-inf"}
    else:
        assert float(said) == number
        assert said == canonical.text(repr(number)) == canonical.value(canonical.Literal(said))


@given(st.text(max_size=40))
def test_the_canonical_form_of_a_canonical_text_is_itself(text: str) -> None:
    said = canonical.text(text)
    assert said is None or canonical.text(said) == said


def test_times_in_python_and_in_text_agree() -> None:
    berlin = timezone(timedelta(hours=1))
    for item, text in [
        (datetime(2024, 1, 1), "2024-01-01 00:00:00"),
        (datetime(2024, 1, 1), "2024-01-01"),
        (datetime(2024, 1, 1, 1, tzinfo=berlin), "2024-01-01T00:00:00Z"),
        (datetime(2024, 1, 1, 1, 2, 3, 500_000), "2024-01-01 01:02:03.5"),
        (date(2024, 1, 1), "2024-01-01T00:00:00.000"),
        (time(1, 2, 3), "01:02:03.000"),
        (Decimal("1.500"), "1.5"),
    ]:
        assert canonical.value(item) == canonical.text(text) == canonical.text(text + "")


def test_a_field_subset_is_of_those_fields_alone() -> None:
    rows = [{"id": 1, "text": "a"}, {"id": 2, "text": "a"}, {"id": 3, "text": None}]
    for name, write in WRITERS.items():
        assert read(name, write(rows), ["text"]) == [b"4:text1:a"] * 2, name
        assert read(name, write(rows), ["nothing"]) == [], name


def test_what_pandas_adds_is_no_data() -> None:
    plain = read("x.csv", b"a,b\n1,2\n")
    assert read("x.csv", b",a,b\n17,1,2\n") == plain
    with_index = pa.table({"a": [1], "b": [2], "__index_level_0__": [17]})
    assert columns.messages(with_index.to_batches()[0], None).to_pylist() == plain


def test_a_line_of_text_is_a_record_with_one_field() -> None:
    lines = read("x.txt", "\ufeffone\r\n\n  \ntwo".encode())
    assert lines == read("x.jsonl", b'{"text": "one"}\n{"text": "two"}\n')
    assert lines == read("x.jsonl", b'"one"\n"two"\n')


def test_json_in_a_cell_is_what_it_says() -> None:
    nested = {"a": [1, None, {"y": 2.0, "x": ""}], "b": {"c": None}}
    cell = json.dumps(json.dumps(nested))
    expected = read("x.jsonl", json.dumps({"v": nested}).encode())
    assert expected == [b'1:v26:{"a":["1",null,{"y":"2"}]}']
    assert read("x.jsonl", f'{{"v": {cell}}}'.encode()) == expected


@given(st.lists(st.none() | st.floats(), max_size=8), st.sampled_from(["f", "e"]))
def test_a_narrow_float_is_its_shortest_decimal_of_a_single(
    items: list[float | None], width: str
) -> None:
    kind = pa.float32() if width == "f" else pa.float16()
    narrow = np.array([math.nan if item is None else item for item in items])
    with np.errstate(over="ignore"):
        narrow = narrow.astype(width)
    said = columns.texts(pa.array(narrow, kind, from_pandas=True)).to_pylist()
    singles = narrow.astype(np.float32)
    assert said == [canonical.floating(np.format_float_scientific(x, unique=True)) for x in singles]
