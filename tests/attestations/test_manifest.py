"""The manifest: one set of files, one sequence of bytes, one identity."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import manifest as module
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadManifest, BadPath, Malformed
from stemma_attestations.manifest import Entry, Manifest
from tests.building import MAX_INTEGER, bounded, compact, entries_of, examples, manifest_of, sha

NAMES = st.text(alphabet="abcdefghij", min_size=1, max_size=8)
ENTRIES = st.dictionaries(
    NAMES.map(lambda n: f"d/{n}.bin") | NAMES | st.sampled_from(["日本", "\ufb33", "\U0001f600"]),
    st.tuples(st.integers(0, MAX_INTEGER), st.binary(min_size=32, max_size=32).map(bytes.hex)),
    min_size=1,
    max_size=6,
).map(lambda d: [Entry(p, size, Digest("sha256", h)) for p, (size, h) in d.items() if p != "d"])
ENTRY_LISTS = ENTRIES.filter(bool)


def document(entries: list[dict[str, Any]], **fields: Any) -> bytes:
    return compact({"entries": entries, "format": "urn:stemma:manifest:v0.1", **fields})


def entry(path: Any = "a", **fields: Any) -> dict[str, Any]:
    return {"path": path, "sha256": "0" * 64, "size": 1, **fields}


def test_the_bytes_are_those_of_the_specification() -> None:
    """Written out by hand, so that no change of the code can move an identity."""
    raw = (
        b'{"entries":['
        b'{"path":"b.txt","sha256":"'
        b'3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","size":1},'
        b'{"path":"data/a.txt","sha256":"'
        b'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","size":1}'
        b'],"format":"urn:stemma:manifest:v0.1"}'
    )
    built = manifest_of({"data/a.txt": b"a", "b.txt": b"b"})
    assert built.raw == raw
    assert built.digest.value == hashlib.sha256(raw).hexdigest()
    assert Manifest.parse(raw) == built


@examples(150)
@given(ENTRY_LISTS, st.randoms(use_true_random=False))
def test_order_plays_no_part_and_parse_is_the_inverse(entries: list[Entry], random: Any) -> None:
    first = Manifest.of(entries)
    shuffled = list(entries)
    random.shuffle(shuffled)
    again = Manifest.of(iter(shuffled))
    assert again == first
    assert again.raw == first.raw
    assert again.digest == first.digest
    assert Manifest.parse(first.raw) == first
    paths = [item["path"].encode() for item in json.loads(first.raw)["entries"]]
    assert paths == sorted(paths)
    assert set(first.entries) == set(entries)
    assert first.size == sum(e.size for e in entries)


@examples(150)
@given(ENTRY_LISTS, st.data())
def test_another_path_size_or_digest_is_another_artifact(
    entries: list[Entry], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    old = entries[index]
    change = data.draw(st.sampled_from(["path", "size", "sha256", "drop", "add"]))
    changed = list(entries)
    if change == "path":
        changed[index] = Entry(old.path + "x", old.size, old.sha256)
    elif change == "size":
        changed[index] = Entry(old.path, old.size ^ 1, old.sha256)
    elif change == "sha256":
        flipped = f"{int(old.sha256.value[0], 16) ^ 1:x}"
        changed[index] = Entry(old.path, old.size, Digest("sha256", flipped + old.sha256.value[1:]))
    elif change == "drop":
        del changed[index]
    else:
        changed.append(Entry("zz/new", 0, sha(b"")))
    try:
        other = Manifest.of(changed)
    except Malformed:
        return
    assert other.digest != Manifest.of(entries).digest


def refused_or_another(raw: bytes, original: Manifest) -> None:
    """What a reader may do with changed bytes: refuse, or see another artifact. Never the same."""
    try:
        parsed = Manifest.parse(raw)
    except BadManifest:
        return
    assert parsed.raw == raw
    assert parsed.digest.value == hashlib.sha256(raw).hexdigest()
    assert parsed.digest != original.digest
    assert parsed.entries != original.entries


def test_every_changed_byte_is_refused_or_another_artifact() -> None:
    original = manifest_of({"a.txt": b"a", "b/c.bin": b"cc", "\u00e9": b""})
    raw = original.raw
    for index in range(len(raw)):
        for value in {raw[index] ^ 1, raw[index] ^ 0x20, raw[index] ^ 0x80, *b' "0a\n'}:
            if value != raw[index]:
                refused_or_another(raw[:index] + bytes([value]) + raw[index + 1 :], original)
        refused_or_another(raw[:index] + raw[index + 1 :], original)
        refused_or_another(raw[:index] + b" " + raw[index:], original)


@pytest.mark.slow
def test_every_byte_in_every_place_is_refused_or_another_artifact() -> None:
    original = manifest_of({"a.txt": b"a", "b/c.bin": b"cc", "\u00e9": b""})
    raw = original.raw
    for index in range(len(raw)):
        for value in range(256):
            if value != raw[index]:
                refused_or_another(raw[:index] + bytes([value]) + raw[index + 1 :], original)
            refused_or_another(raw[:index] + bytes([value]) + raw[index:], original)


TWO = [entry("a"), entry("b")]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no format"),
        pytest.param(document([]), id="no entries"),
        pytest.param(document(TWO) + b"\n", id="a final line feed"),
        pytest.param(b" " + document(TWO), id="a space before"),
        pytest.param(document(TWO).replace(b",", b", "), id="spaces"),
        pytest.param(document(TWO[::-1]), id="not sorted"),
        pytest.param(document([entry(), entry()]), id="an entry twice"),
        pytest.param(document([entry(), entry(size=2)]), id="a path twice"),
        pytest.param(document([entry("a"), entry("A")]), id="paths that collide"),
        pytest.param(document([entry("../a")]), id="a bad path"),
        pytest.param(document([entry("é")]), id="an escape that is not needed"),
        pytest.param(document(TWO).replace(b'"a"', b'"\\u0061"'), id="an escaped letter"),
        pytest.param(document([entry(size=1.0)]), id="a float as size"),
        pytest.param(document(TWO).replace(b":1}", b":1e0}", 1), id="an exponent in the size"),
        pytest.param(document([entry(size="1")]), id="text as size"),
        pytest.param(document([entry(size=True)]), id="true as size"),
        pytest.param(document([entry(size=None)]), id="null as size"),
        pytest.param(document([entry(size=-1)]), id="a negative size"),
        pytest.param(document([entry(size=-0.0)]), id="minus zero"),
        pytest.param(document([entry(size=0)]).replace(b":0}", b":-0}"), id="minus zero, integer"),
        pytest.param(document([entry(size=MAX_INTEGER + 1)]), id="a size beyond 2**53 - 1"),
        pytest.param(document([entry(sha256="0" * 63)]), id="a short digest"),
        pytest.param(document([entry(sha256="A" * 64)]), id="an upper-case digest"),
        pytest.param(document([entry(sha256="sha256:" + "0" * 64)]), id="a digest with a prefix"),
        pytest.param(document([entry(sha256=None)]), id="no digest"),
        pytest.param(document([entry(path=None)]), id="no path"),
        pytest.param(document([entry(mode="0755")]), id="one field more in an entry"),
        pytest.param(document([{"path": "a", "size": 1}]), id="one field less in an entry"),
        pytest.param(document(TWO, note="x"), id="one field more"),
        pytest.param(document(["a"]), id="an entry that is text"),  # type: ignore[list-item]
        pytest.param(document({"a": 1}), id="entries that are no list"),  # type: ignore[arg-type]
        pytest.param(document(TWO, format="urn:stemma:manifest:v0.2"), id="another format"),
        pytest.param(document(TWO).replace(b"[", b'[],"entries":[', 1), id="a duplicate key"),
    ],
)
def test_only_canonical_bytes_are_a_manifest(raw: bytes) -> None:
    with pytest.raises(BadManifest):
        Manifest.parse(raw)


def test_the_near_miss_is_a_manifest() -> None:
    assert len(Manifest.parse(document(TWO)).entries) == 2


@examples(300)
@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_bad_manifest(data: bytes) -> None:
    with pytest.raises(BadManifest):
        Manifest.parse(data)


def test_entries_are_checked_on_the_way_in() -> None:
    good = sha(b"a")
    with pytest.raises(BadManifest):
        Manifest.of([])
    with pytest.raises(BadManifest):
        Manifest.of([Entry("a", -1, good)])
    with pytest.raises(BadManifest):
        Manifest.of([Entry("a", MAX_INTEGER + 1, good)])
    with pytest.raises(BadManifest):
        Manifest.of([Entry("a", 1, Digest("sha1", "0" * 40))])
    with pytest.raises(BadManifest):
        Manifest.of([Entry("a", 1, Digest("gitBlob", "0" * 64))])
    with pytest.raises(BadPath):
        Manifest.of([Entry("a", 1, good), Entry("A", 1, good)])


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    three = manifest_of({"a": b"", "b": b"", "c": b""})
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    assert Manifest.parse(three.raw) == three
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    with pytest.raises(BadManifest):
        Manifest.parse(three.raw)
    with pytest.raises(BadManifest):
        Manifest.of(three.entries)
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    monkeypatch.setattr(module, "MAX_BYTES", len(three.raw))
    assert Manifest.parse(three.raw) == three
    monkeypatch.setattr(module, "MAX_BYTES", len(three.raw) - 1)
    with pytest.raises(BadManifest):
        Manifest.parse(three.raw)
    with pytest.raises(BadManifest):
        Manifest.of(three.entries)


def test_a_manifest_of_deep_paths_costs_a_small_multiple_of_its_size() -> None:
    raw = document([entry(f"{i:02d}/" + "a/" * 2000 + "f") for i in range(25)])
    with bounded(seconds=3, megabytes=20):
        try:
            Manifest.parse(raw)
        except BadManifest:
            pass


# --- views ----------------------------------------------------------------------------------


def test_entries_are_found_by_path() -> None:
    files = {"a": b"1", "b/c": b"22"}
    assert manifest_of(files).by_path == {e.path: e for e in entries_of(files)}
    assert manifest_of(files).size == 3


def test_oms_root_is_the_hash_of_the_raw_digests_in_name_order() -> None:
    """Component by component, as model_signing sorts: `c/d` before `c-d`."""
    files = {"b": b"2", "a": b"1", "c/d": b"3", "c-d": b"4"}
    digests = [hashlib.sha256(files[name]).digest() for name in ("a", "b", "c/d", "c-d")]
    expected = hashlib.sha256(b"".join(digests)).hexdigest()
    assert manifest_of(files).oms_root == Digest("sha256", expected)


def test_oms_root_is_no_identity() -> None:
    """The reason why it is an alias only: it leaves the names out."""
    one, other = manifest_of({"a": b"1", "b": b"2"}), manifest_of({"x": b"1", "y": b"2"})
    assert one.oms_root == other.oms_root
    assert one.digest != other.digest
