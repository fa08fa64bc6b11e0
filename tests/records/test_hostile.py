"""Files that are made to be read badly: a note each, bounded, and never a failed push."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from stemma_registry import config
from stemma_registry.records import children, engine, keys, readers
from stemma_registry.records.children import Children
from stemma_registry.records.readers import Form, Reader, Unreadable
from tests.records.scene import indexed
from tests.records.writing import WRITERS
from tests.world import World

ROWS = [{"a": number, "t": f"row {number}"} for number in range(50)]


def read(name: str, data: bytes) -> Reader:
    form = Form.of(name)
    assert form is not None
    reader = Reader(io.BytesIO(data), len(data), form)
    for _ in reader.chunks():
        pass
    return reader


@pytest.fixture(scope="module")
def some() -> Iterator[Children]:
    with children.children(1) as made:
        yield made


def test_rows_that_cannot_be_read_are_counted() -> None:
    lines = [b'{"a": 1}', b"{", b"\xff", b'{"a": 2}', b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"]
    lines += [b"[" * 100_000, b'{"a": 1' + b"0" * 5_000 + b"}", b'{"a": NaN, "a": 3}']
    reader = read("x.jsonl", b"\n".join(lines))
    assert (reader.read, reader.unread) == (4, 4)
    reader = read("x.csv", b'a,b\n1\n1,2,3\n"open\n\xff,2\n')
    assert reader.unread >= 1


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(Unreadable, match="one name"):
        read("x.csv", "é,e\u0301\n1,2\n".encode())
    out = io.BytesIO()
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), out)
    with pytest.raises(Unreadable, match="two columns"):
        read("x.parquet", out.getvalue())


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = config.Limits(record_bytes=1_000, record_expansion=10, record_room=5_000)
    monkeypatch.setattr(readers, "LIMITS", limits)
    lines = b'{"a": 1}\n' * 10_000
    for name, data in [("x.jsonl.gz", gzip.compress(lines)), ("x.jsonl.zst", _zstd(lines))]:
        with pytest.raises(Unreadable, match="unpacks"):
            read(name, data)
    with pytest.raises(Unreadable, match="a line of more"):
        read("x.txt", b"x" * 2_000)
    out = io.BytesIO()
    pq.write_table(pa.table({"a": ["x" * 900] * 5_000}), out)
    with pytest.raises(Unreadable, match="unpacks"):
        read("x.parquet", out.getvalue())


def _zstd(data: bytes) -> bytes:
    return zstandard.compress(data)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_unreadable_and_nothing_else(name: str, some: Children) -> None:
    whole, rng = WRITERS[name](ROWS), random.Random(name)
    folder = Path(config.__file__).parent  # a directory is no file either
    for number in range(12):
        data = bytearray(whole)
        if number % 3:
            for _ in range(1 + number):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            del data[rng.randrange(len(data)) :]
        _asked(some, name, bytes(data))
    with pytest.raises(Unreadable):
        some.ask({"do": "index", "path": str(folder), "form": "text", "fields": None}, 1)


def _asked(some: Children, name: str, data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        path.write_bytes(data)
        question = {
            "do": "index",
            "path": str(path),
            "form": str(Form.of(name)),
            "fields": None,
            "block": "00" * 64,
            "out": f"{folder}/out",
        }
        try:
            said = some.ask(question, len(data))
        except Unreadable as error:
            assert "\n" not in str(error)
        else:
            assert sum(run[1] for run in said["runs"]) <= len(ROWS) * 2


def test_a_child_that_dies_is_a_note_and_the_next_one_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = tmp_path / "good"
    good.write_text("line\n")
    base = {"form": "text", "fields": None, "block": "", "out": str(tmp_path / "out")}
    with children.Children(1) as some:
        question = {**base, "do": "index", "path": str(good)}
        some.ask(question, 5)
        child = some._free.get()
        assert child is not None
        child.process.kill()
        some._free.put(child)
        with pytest.raises(Unreadable, match="ended with"):
            some.ask(question, 5)
        assert some.ask(question, 5)["read"] == 1
    # One that takes too much memory ends itself, one that takes too long is ended.
    code = children._CHILD.replace(
        "engine.main()",
        "import stemma_registry.config as c; "
        "object.__setattr__(c.LIMITS, 'record_memory', 1); engine.main()",
    )
    monkeypatch.setattr(children, "_CHILD", code)
    with children.Children(1) as some, pytest.raises(Unreadable, match="of memory"):
        some.ask(question, 5)
    monkeypatch.setattr(children, "_CHILD", "import time; time.sleep(60)")
    slow = config.Limits(record_seconds=0.2)
    monkeypatch.setattr(children, "LIMITS", slow)
    with children.Children(1) as some, pytest.raises(Unreadable, match="within 0 s"):
        some.ask(question, 5)


def test_a_dataset_that_cannot_be_parsed_is_pushed_with_a_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    done = indexed(world, "data/bad:1", {"x.parquet": b"PAR1 no", "y.csv.gz": b"no", "z.txt": b""})
    assert done.note == "no file of it could be indexed"
    assert [path for path, _ in done.skipped] == ["x.parquet", "y.csv.gz", "z.txt"]
    assert all(reason for _, reason in done.skipped)
    done = indexed(world, "data/half:1", {"x.parquet": b"PAR1 no", "y.jsonl": b'{"a": 1}\n'})
    assert (done.records, [path for path, _ in done.skipped]) == (1, ["x.parquet"])
    done = indexed(world, "data/images:1", {"x.png": b"PNG"})
    assert done.note is not None


def test_runs_are_cut_where_they_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = config.Limits(record_run=7)
    monkeypatch.setattr(engine, "LIMITS", limits)
    monkeypatch.setattr(readers, "CHUNK_ROWS", 3)
    data = WRITERS["f.jsonl"](ROWS)
    reader = Reader(io.BytesIO(data), len(data), Form("jsonl"))
    found = engine._parts(reader, engine._of_records(keys.NO_KEY.block))
    parts = [(len(hashed), int(rows[0])) for hashed, rows in found]
    assert sum(count for count, _ in parts) == len(ROWS)
    assert max(count for count, _ in parts) <= 7
    assert [first for _, first in parts] == sorted(first for _, first in parts)
