"""Archives and compressed data: hidden members, disagreeing headers, bombs, depth."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
import zstandard

from stemma_registry.formats import detecting
from stemma_registry.formats.expanding import Expanded
from stemma_registry.formats.findings import BOUNDS, Budget, Stop
from stemma_registry.formats.scan import Item, scan_file
from stemma_registry.formats.sources import Opened, Window
from tests.formats import making
from tests.formats.looking import bad, rules, scan

DATA = bytes(range(256)) * 5_000
PACKED = {
    "gzip": gzip.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
    "lzma": lzma.compress(DATA, lzma.FORMAT_ALONE),
    "zlib": zlib.compress(DATA),
    "zstd": zstandard.ZstdCompressor().compress(DATA),
}


@pytest.mark.parametrize("form", PACKED)
def test_expanded_bytes_are_read_anywhere(form: str) -> None:
    packed = Opened(io.BytesIO(PACKED[form]))
    opened = Expanded(packed, form, Budget())
    for start in (0, 700_000, 100, 1_279_990, 2_000_000, 0):
        assert opened.read_at(start, 50) == DATA[start : start + 50]
    assert opened.size == len(DATA)
    assert opened.read_at(1_279_990, 50) == DATA[1_279_990:]
    assert opened.read_at(300_000, 400_000) == DATA[300_000:700_000]


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz"])
def test_streams_that_follow_each_other_are_one(form: str) -> None:
    opened = Expanded(Opened(io.BytesIO(PACKED[form] * 2)), form, Budget())
    assert opened.size == 2 * len(DATA)


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz", "zlib"])
def test_what_is_cut_or_has_more_behind_it_is_malformed(form: str) -> None:
    for packed in (PACKED[form][:-3], PACKED[form] + b"more"):
        opened = Expanded(Opened(io.BytesIO(packed)), form, Budget())
        with pytest.raises(Stop) as caught:
            _ = opened.size
        assert caught.value.rule == "compressed-malformed"


@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz", "zlib"])
def test_a_bomb_is_undecided(form: str) -> None:
    pack = {"gzip": gzip, "bzip2": bz2, "xz": lzma, "zlib": zlib}[form]
    found = scan(
        "x", pack.compress(bytes(20_000_000)), replace(BOUNDS, ratio_floor=1_000_000, ratio=500)
    )
    assert rules(found) == {"expands-too-far"}


def test_all_that_expands_is_counted() -> None:
    found = scan("x.gz", PACKED["gzip"], replace(BOUNDS, expanded=1_000_000))
    assert rules(found) == {"expands-too-far"}


def test_nesting_is_bounded() -> None:
    data = making.SYSTEM
    for _ in range(BOUNDS.depth):
        data = making.zipped({"x": data})
    assert rules(scan("x.zip", data)) == {"pickle-global"}
    assert rules(scan("x.zip", making.zipped({"x": data}))) == {"too-deep"}


def test_members_are_counted() -> None:
    data = making.zipped({str(n): b"" for n in range(20)})
    assert rules(scan("x.zip", data, replace(BOUNDS, members=19))) == {"too-much"}
    assert rules(
        scan("x.tar", making.tarred({str(n): b"" for n in range(20)}), replace(BOUNDS, members=19))
    ) == {"too-much"}


def test_a_large_directory_is_not_read() -> None:
    data = making.zipped({f"{n:04}": b"" for n in range(200)})
    assert rules(scan("x.zip", data, replace(BOUNDS, directory=1_000))) == {"too-much"}


def test_a_member_hidden_before_the_archive() -> None:
    hidden = making.zipped({"evil.pkl": making.EVAL4})
    assert rules(scan("x.zip", hidden + making.zipped({"a.txt": b"a"}))) >= {"archive-prefix"}


def test_headers_that_disagree() -> None:
    data = making.zipped({"a.txt": b"aaaa", "b.txt": b"bbbb"})
    renamed = data.replace(b"a.txt", b"c.txt", 1)
    assert rules(scan("x.zip", renamed)) == {"archive-malformed"}


def test_an_encrypted_member_is_undecided() -> None:
    data = bytearray(making.zipped({"a.txt": b"aaaa"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert rules(scan("x.zip", bytes(data))) == {"unknown-compression"}


def test_a_lying_size() -> None:
    data = bytearray(making.zipped({"a.txt": b"a" * 1000}, zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 10)
    assert rules(scan("x.zip", bytes(data))) == {"archive-malformed"}


def test_links_in_a_tar() -> None:
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert rules(scan("x.tar", out.getvalue())) == {"not-a-file"}


def test_two_formats_at_once() -> None:
    both = making.safetensors() + making.zipped({"a.txt": b"x"})
    found = scan("m.safetensors", both)
    assert {"polyglot", "safetensors-malformed", "archive-prefix"} <= rules(found)
    assert detecting.detect(io.BytesIO(both), "m") == "safetensors"


def test_detect_is_the_cheap_half() -> None:
    for name, form in {
        "torch.pt": "torch",
        "model.keras": "keras",
        "model.gguf": "gguf",
        "none.npy": "numpy-object",
        "legacy.pt": "torch-legacy",
        "plain-2.pkl": "pickle",
        "train.csv": "text",
        "config.json": "json",
        "model.onnx": "onnx",
        "empty": "empty",
        "data.tar": "tar",
        "data.csv.gz": "gzip",
        "image.png": "png",
    }.items():
        assert detecting.detect(io.BytesIO(making.benign_files()[name]), "x") == form


def test_a_large_safetensors_file_costs_its_header() -> None:
    """A sparse file of 8 GiB, of which a few blocks are read."""
    size = 8 << 30
    header = {"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    head = making.safetensors(header, b"")

    class Sparse:
        def __init__(self) -> None:
            self.size = len(head) + size
            self.read = 0

        def read_at(self, start: int, length: int) -> bytes:
            length = max(0, min(length, self.size - start))
            self.read += length
            return head[start : start + length].ljust(length, b"\0")

    source = Sparse()
    found = scan_file(Item("m.safetensors", lambda: contextlib.nullcontext(source)))
    assert found.findings == ()
    assert source.read < 3_000_000


def test_memory_does_not_grow_with_the_file() -> None:
    large = {
        "a.pkl": pickle.dumps({"x": bytes(50_000_000), "y": [0] * 100}),
        "a.npz": making.npz(compressed=True, a=np.zeros(10_000_000)),
        "a.pt": making.torch_zip(more={"archive/data/1": bytes(50_000_000)}),
        "a.gz": gzip.compress(b"a,b\n" * 10_000_000, 1),
    }
    for name, data in large.items():
        tracemalloc.start()
        assert bad(scan(name, data)) == []
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 12_000_000, name


def test_opcodes_and_values_are_counted() -> None:
    many = pickle.dumps(list(range(100_000)))
    assert rules(scan("a.pkl", many, replace(BOUNDS, opcodes=50_000))) == {"too-much"}
    few = replace(BOUNDS, values=1_000)
    assert rules(scan("a.pkl", b"N" * 2_000, few)) == {"too-much"}
    assert rules(scan("a.pkl", b"(" * 2_000, few)) == {"too-much"}
    assert rules(scan("a.pkl", pickle.dumps(1) * 10_100)) == {"too-much"}


def test_windows_do_not_reach_outside() -> None:
    whole = Opened(io.BytesIO(b"0123456789"))
    part = Window(whole, 2, 5)
    assert (part.size, part.read_at(3, 100), part.read_at(5, 1)) == (5, b"56", b"")
