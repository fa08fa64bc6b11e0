"""Audit: everything that is wrong with a store is found and named, with what needs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Manifest
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.care import audit as audit_module
from stemma_registry.care.audit import Report
from stemma_registry.care.collect import Collector
from stemma_registry.care.dependents import Uses
from stemma_registry.care.erase import erase, preview
from stemma_registry.care.repair import RegistrySource, repair_all
from stemma_registry.care.replicate import open_target, replicate
from stemma_registry.catalogue import snapshots
from stemma_registry.ledger import segments
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.heads import CHECKPOINT
from stemma_registry.ledger.log import Head, append, entries_after
from tests.registry.stores import Disk, contents, overwrite


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    disk = Disk(tmp_path / "disk")
    disk.fill()
    assert disk.audit().whole
    return disk


def named(report: Report) -> set[str]:
    return {finding.subject for finding in [*report.findings, *report.warnings]}


def files_of(disk: Disk, reference: str) -> dict[str, Digest]:
    with disk.view() as view:
        from stemma_registry.reference import resolve

        artifact = resolve(view, reference).digest
    manifest = Manifest.parse(get_bytes(disk.store, artifact, 10**6))
    return {item.path: item.sha256 for item in manifest.entries}


def test_a_whole_registry(disk: Disk) -> None:
    report = disk.audit()
    assert report.whole
    assert report.decided
    assert report.certain
    assert (report.entries, report.surplus, report.strays, report.unfinished) == (4, [], [], 0)
    assert report.warnings == []
    blobs = [path for path in disk.objects() if "blobs" in path.parts]
    assert report.blobs == len(blobs)
    assert report.bytes_read == sum(path.stat().st_size for path in blobs)


def test_a_lost_file_and_who_needs_it(disk: Disk) -> None:
    disk.push("models/copy:1", {"model.safetensors": bytes(range(256)) * 8})
    digest = files_of(disk, "models/m:1")["model.safetensors"]
    disk.blob(digest).unlink()
    for read_data in (False, True):
        (finding,) = disk.audit(read_data).findings
        assert (finding.what, finding.subject) == ("missing", str(digest))
        assert finding.needed_by == (
            "model.safetensors of models/m:1 (ledger entry 2)",
            "model.safetensors of models/copy:1 (ledger entry 4)",
        )
        assert finding.needs == 2


def test_dependents_are_counted_and_listed_up_to_a_limit(disk: Disk) -> None:
    uses = Uses()
    for n in range(50):
        uses.add(str(n))
    assert (len(uses.listed), uses.count) == (20, 50)


@pytest.mark.parametrize("read_data", [False, True])
def test_a_cut_file_is_called_truncated(disk: Disk, read_data: bool) -> None:
    digest = files_of(disk, "data/raw:1")["a.csv"]
    overwrite(disk.blob(digest), b"1,2\n" * 49)
    (finding,) = disk.audit(read_data).findings
    assert (finding.what, finding.detail) == ("truncated", "196 of 200 bytes")


def test_two_files_that_changed_places(disk: Disk) -> None:
    files = files_of(disk, "data/raw:1")
    one, two = disk.blob(files["a.csv"]), disk.blob(files["b.csv"])
    first, second = one.read_bytes(), two.read_bytes()
    overwrite(one, second)
    overwrite(two, first)
    found = {finding.subject: finding for finding in disk.audit().findings}
    assert {finding.what for finding in found.values()} == {"swapped"}
    assert found[str(files["a.csv"])].detail == f"it holds the bytes of {files['b.csv']}"
    assert found[str(files["b.csv"])].detail == f"it holds the bytes of {files['a.csv']}"


def test_a_damaged_manifest_makes_what_is_surplus_uncertain(disk: Disk) -> None:
    with disk.view() as view:
        from stemma_registry.reference import resolve

        artifact = resolve(view, "data/raw:1").digest
    overwrite(disk.blob(artifact), b"{}")
    report = disk.audit()
    (finding,) = report.findings
    assert finding.needed_by == ("data/raw:1, whose files it lists (ledger entry 1)",)
    assert not report.certain
    assert len(report.surplus) == 2


def test_surplus_and_foreign_things_are_listed_and_harm_nobody(disk: Disk) -> None:
    digest = put_bytes(disk.store, b"left over")
    (disk.root / "notes.txt").write_text("mine")
    (disk.root / "blobs" / "sha256" / "zz").mkdir()
    (disk.root / "blobs" / "readme").write_text("?")
    (disk.root / "ledger" / "000" / "000" / "entry.json").write_text("{}")
    (disk.root / "status" / "link").symlink_to("/etc/passwd")
    (disk.root / "tmp").mkdir(exist_ok=True)
    (disk.root / "tmp" / "0123").write_text("half")
    report = disk.audit()
    assert report.whole
    assert [(each.blob, each.size, each.state) for each in report.surplus] == [(digest, 9, "")]
    assert {stray.name: stray.size for stray in report.strays} == {
        "notes.txt": 4,
        "blobs/sha256/zz/": 0,
        "blobs/readme": 1,
        "ledger/000/000/entry.json": 2,
        "status/link": 11,
    }
    assert report.unfinished == 1


def test_an_erased_file_is_no_damage(disk: Disk) -> None:
    digest = files_of(disk, "data/raw:1")["a.csv"]
    who = Collector(disk.registry, disk.trust, disk.signer("owner"), disk.now)
    with disk.view() as view:
        seen = preview(disk.registry, view, str(digest), None, who.signer)
    erase(who, seen, "personal data")
    report = disk.audit()
    assert report.whole
    assert list(report.erased) == [digest]
    overwrite(disk.blob(digest), b"1,2\n" * 50)
    report = disk.audit()
    assert report.whole
    (warning,) = report.warnings
    assert (warning.subject, warning.what) == (str(digest), "erased")


def test_an_erasure_by_somebody_unknown_explains_nothing(disk: Disk) -> None:
    digest = files_of(disk, "data/raw:1")["a.csv"]
    who = Collector(disk.registry, disk.trust, disk.signer("owner"), disk.now)
    with disk.view() as view:
        seen = preview(disk.registry, view, str(digest), None, who.signer)
    erase(who, seen, "personal data")
    from stemma_registry.trust.file import NOBODY

    disk.trust = NOBODY
    (finding,) = disk.audit().findings
    assert finding.what == "missing"
    assert "untrusted signer" in finding.detail


# The ledger.


def head_of(disk: Disk) -> Head:
    head = Head()
    list(entries_after(disk.store, head))
    return head


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "part", [b'"nonce":"', b'"time":"', b'"tree_root":"', b'"previous":"sha256:']
)
def test_the_entry_that_was_altered_is_the_one_that_is_named(
    disk: Disk, n: int, part: bytes
) -> None:
    data = disk.entry(n).read_bytes()
    if part not in data:
        return  # the first entry has no entry before it
    place = data.index(part) + len(part) + 3
    changed = b"1" if data[place : place + 1] != b"1" else b"2"
    overwrite(disk.entry(n), data[:place] + changed + data[place + 1 :])
    (finding,) = disk.audit().findings
    assert finding.subject == f"entry {n}"
    assert finding.needs == 3 - n


def test_every_lost_entry_is_named_also_behind_a_gap(disk: Disk) -> None:
    for n in (1, 2):
        disk.entry(n).unlink()
    report = disk.audit()
    assert [finding.subject for finding in report.findings] == ["entry 1", "entry 2"]
    assert not report.decided
    assert not report.certain


def test_a_ledger_that_was_cut_off_is_named(disk: Disk) -> None:
    disk.entry(3).unlink()
    (finding,) = disk.audit().findings
    assert finding.subject == "entry 3"
    assert "cut off" in finding.detail


def test_a_ledger_that_was_replaced_is_named(disk: Disk, tmp_path: Path) -> None:
    other = Disk(tmp_path / "other")
    other.fill()
    disk.store, disk.root = other.store, other.root
    report = disk.audit()
    assert report.whole  # another store: nobody has seen it before
    disk = Disk(tmp_path / "third")
    disk.fill()
    for n in range(4):
        overwrite(disk.entry(n), other.entry(n).read_bytes())
    assert "entry 3" in {finding.subject for finding in disk.audit(False).findings}


def test_a_damaged_last_entry_that_nobody_has_seen_leaves_both_suspect(disk: Disk) -> None:
    """No checkpoint, no head seen: one of two is wrong, and a replica tells which."""
    data = disk.entry(2).read_bytes()
    place = data.index(b'"nonce":"') + 12
    digit = b"0" if data[place : place + 1] != b"0" else b"1"
    overwrite(disk.entry(2), data[:place] + digit + data[place + 1 :])
    (disk.root / CHECKPOINT).unlink()
    for seen in disk.home.heads.glob("*.json"):
        seen.unlink()
    report = disk.audit()
    (finding,) = report.findings
    assert finding.subject == "entry 3"
    assert "entry 2 is vouched for by nobody" in finding.detail
    assert report.chain.suspects == {2, 3}


def test_garbage_that_was_pushed_is_named_and_is_no_surplus(disk: Disk) -> None:
    digest = put_bytes(disk.store, b"not a manifest")
    append(disk.store, head_of(disk), lambda: [Event(PUSH, (digest,))], lambda: head_of(disk))
    report = disk.audit()
    (finding,) = report.findings
    assert (finding.what, finding.subject) == ("damaged", str(digest))
    assert report.surplus == []


@pytest.mark.parametrize("data", [b"", b"{}", b"garbage", None])
def test_a_checkpoint_that_cannot_be_read_is_noted(disk: Disk, data: bytes | None) -> None:
    overwrite(disk.root / CHECKPOINT, data)
    report = disk.audit()
    assert report.whole
    assert [warning.subject for warning in report.warnings] == [CHECKPOINT]


def test_a_segment_that_says_something_else_is_noted_and_written_again(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (segments, audit_module):
        monkeypatch.setattr(module, "SIZE", 2)
    segments.write_missing(disk.store, 3)
    assert disk.audit().warnings == []
    path = disk.root / segments.segment_key(1)
    good = path.read_bytes()

    def itself(report: Report) -> RegistrySource:
        return RegistrySource(disk.store)

    for bad in (b"garbage", good[:-1] + b" "):
        overwrite(path, bad)
        report = disk.audit()
        assert report.whole
        assert [warning.subject for warning in report.warnings] == [segments.segment_key(1)]
        repair_all(disk.store, disk.home, disk.trust, report, itself, False)
        assert path.read_bytes() == good


# Bit rot: every kind, anywhere.


@pytest.fixture(scope="module")
def rotting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Disk, Disk]:
    """A registry to harm, and its replica."""
    folder = tmp_path_factory.mktemp("rot")
    disk = Disk(folder / "disk")
    disk.fill()
    replica = Disk.__new__(Disk)
    replica.root = folder / "replica"
    replica.store = open_target(str(replica.root), disk.home)
    replicate(disk.store, replica.store, disk.home, disk.trust)
    return disk, replica


@given(data=st.data())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_rot_is_found_named_and_repaired(
    rotting: tuple[Disk, Disk], data: st.DataObject
) -> None:
    disk, replica = rotting
    before = contents(disk.root)
    some = st.sampled_from(sorted(before))
    harmed: dict[str, bytes | None] = {}
    for name in data.draw(st.sets(some, min_size=1, max_size=3)):
        kind = data.draw(st.sampled_from(["flip", "cut", "empty", "grow", "swap", "lose"]))
        place = data.draw(st.integers(0, max(0, len(before[name]) * 8 - 1)))
        bad = rot(before[name], kind, place, before[data.draw(some)])
        if bad != before[name]:
            harmed[name] = bad
    try:
        for name, wrong in harmed.items():
            overwrite(disk.root / name, wrong)
        report = disk.audit()
        told = named(report) | {f"entry {n}" for n in report.chain.suspects}
        expected = {subject_of(name) for name in harmed}
        if not report.certain:
            # What only an unreadable entry or manifest names is not missed before that is mended.
            expected -= {subject_of(name) for name, bad in harmed.items() if bad is None}
        assert expected <= told, (harmed, report)
        source = RegistrySource(replica.store)
        after, _ = repair_all(disk.store, disk.home, disk.trust, report, lambda _: source, True)
        assert after.whole, after.findings
        assert after.warnings == []
        assert contents(disk.root) == before
    finally:
        for name in harmed:
            overwrite(disk.root / name, before[name])


def rot(good: bytes, kind: str, place: int, other: bytes) -> bytes | None:
    if kind == "lose":
        return None
    if kind == "flip":
        byte = place // 8
        return good[:byte] + bytes([good[byte] ^ (1 << place % 8)]) + good[byte + 1 :]
    wrong = {"cut": good[: place // 8], "empty": b"", "grow": good + b"\0", "swap": other}
    return wrong[kind]


def subject_of(name: str) -> str:
    parts = Path(name).parts
    if parts[0] == "blobs":
        return f"sha256:{parts[2]}{parts[3]}"
    if parts[0] == "ledger":
        return f"entry {int(''.join(parts[1:]).removesuffix('.json'))}"
    return name


def test_a_snapshot_of_the_catalogue_is_no_surplus(disk: Disk) -> None:
    before = set(disk.store.blobs())
    snapshots.write(disk.registry.catalogue, disk.trust, disk.signer("owner"), disk.now)
    parts = sorted(set(disk.store.blobs()) - before)
    report = disk.audit()
    assert (report.whole, report.surplus, report.strays, report.warnings) == (True, [], [], [])
    disk.blob(parts[0]).unlink()
    report = disk.audit()
    assert report.whole
    assert [warning.subject for warning in report.warnings] == [snapshots.KEY]
