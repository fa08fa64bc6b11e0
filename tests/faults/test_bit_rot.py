"""Bit rot of each kind, in every object of a store: `stemma audit --read-data` finds all of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.scene import QUARANTINE, Scene
from tests.zygote import Finished

pytestmark = pytest.mark.faults
AUDIT = ("audit", "--read-data", "--json")
POSITIONS = 40


def bit(data: bytes, place: int, number: int = 0) -> bytes:
    """One bit is another."""
    return data[:place] + bytes([data[place] ^ (1 << number)]) + data[place + 1 :]


KINDS: Mapping[str, Callable[[bytes], bytes | None]] = {
    "first bit": lambda data: bit(data, 0, 7),
    "middle bit": lambda data: bit(data, len(data) // 2, 3),
    "last bit": lambda data: bit(data, len(data) - 1),
    "a byte less": lambda data: data[:-1],
    "a byte more": lambda data: data + b"\n",
    "emptied": lambda data: b"",
    "a sector of zeros": lambda data: data[:3] + bytes(len(data[3:515])) + data[515:],
    "lost": lambda data: None,
}


def objects(scene: Scene) -> list[Path]:
    """Every blob, and every ledger entry; what is under `status/` is nobody's evidence."""
    stored = [*scene.registry.glob("blobs/**/*"), *scene.registry.glob("ledger/**/*")]
    return sorted(path for path in stored if path.is_file())


def kind_of(scene: Scene, path: Path) -> str:
    return path.relative_to(scene.registry).parts[0]


def rotten(path: Path, data: bytes | None) -> None:
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)


def name_of(scene: Scene, path: Path) -> str:
    """What a finding calls it."""
    if kind_of(scene, path) == "blobs":
        return f"sha256:{path.parent.name}{path.name}"
    return f"entry {int(path.stem)}"


def assert_found(scene: Scene, path: Path, done: Finished) -> None:
    """Not whole, and the object is named, with what depends on it."""
    if path == scene.entry(0) and done.code == 3:
        return  # without its first entry it is no registry at all
    assert done.code in (12, 14), done
    report = done.document
    if path == scene.entry(0) and "error" in report:  # nor with another one in its place
        assert "entry 0" in report["error"]["message"]
        return
    assert report["whole"] is False
    subjects = {finding["subject"]: finding for finding in report["findings"]}
    if kind_of(scene, path) == "blobs":
        assert done.code == 12
        assert subjects[name_of(scene, path)]["needed_by"]
    else:
        assert done.code == 14
        # Where a chain breaks, the break is between an entry and the next.
        n = int(path.stem)
        said = " ".join(f"{f['subject']} {f['detail']}" for f in report["findings"])
        assert any(f"entry {m}" in said for m in (n, n + 1)), report


def each(scene: Scene, shapes: Mapping[str, Callable[[bytes], bytes | None]]) -> Iterator[str]:
    """Damage each object in each way, one at a time, and look."""
    for path in objects(scene):
        good = path.read_bytes()
        for shape, change in shapes.items():
            bad = change(good)
            if bad == good:
                continue
            rotten(path, bad)
            try:
                assert_found(scene, path, scene.run(*AUDIT))
            except (AssertionError, KeyError) as error:
                error.add_note(f"{shape} of {path}")
                raise
            yield shape
        rotten(path, good)


@pytest.fixture
def full(scene: Scene) -> Scene:
    """A scene with every kind of object: a quarantine, too."""
    scene.run(*QUARANTINE).expect(0)
    scene.assert_whole()
    return scene


@pytest.mark.parametrize("kinds", [list(KINDS)[:3], list(KINDS)[3:]], ids=["bits", "more"])
def test_all_rot_is_found(full: Scene, kinds: list[str]) -> None:
    found = list(each(full, {kind: KINDS[kind] for kind in kinds}))
    assert len(found) >= len(objects(full)) * len(kinds) * 0.9
    full.assert_whole()


@pytest.mark.slow
def test_rot_anywhere_is_found(full: Scene) -> None:
    """At places drawn by lot, a different bit each time."""
    lot = random.Random(20_26)

    def anywhere(data: bytes) -> bytes:
        return bit(data, lot.randrange(len(data)), lot.randrange(8))

    found = list(each(full, {f"bit {i}": anywhere for i in range(POSITIONS)}))
    assert len(found) == len(objects(full)) * POSITIONS
    full.assert_whole()


def test_blobs_that_were_swapped_are_found(full: Scene) -> None:
    """Two blobs of the same size under each other's name, and two that differ."""
    blobs = [path for path in objects(full) if kind_of(full, path) == "blobs"]
    for one, two in zip(blobs[::2], blobs[1::2], strict=False):
        first, second = one.read_bytes(), two.read_bytes()
        rotten(one, second)
        rotten(two, first)
        done = full.run(*AUDIT).expect(12)
        subjects = {finding["subject"] for finding in done.document["findings"]}
        assert subjects >= {name_of(full, one), name_of(full, two)}
        rotten(one, first)
        rotten(two, second)
    full.assert_whole()


def test_entries_that_were_swapped_are_found(full: Scene) -> None:
    one, two = full.entry(1), full.entry(2)
    first, second = one.read_bytes(), two.read_bytes()
    rotten(one, second)
    rotten(two, first)
    full.run(*AUDIT).expect(14)


def test_several_at_once_are_all_named(full: Scene) -> None:
    blobs = [path for path in objects(full) if kind_of(full, path) == "blobs"]
    chosen = blobs[::3]
    for path in chosen:
        rotten(path, bit(path.read_bytes(), 0))
    done = full.run(*AUDIT).expect(12)
    subjects = {finding["subject"] for finding in done.document["findings"]}
    assert subjects >= {name_of(full, path) for path in chosen}


CONFIGURATIONS = [b"\x00\xff\x00", b"[]", b"unknown: 1\n", b"{", b"stat_cache: perhaps\n"]


@pytest.mark.parametrize("data", CONFIGURATIONS)
def test_a_damaged_configuration_is_said(full: Scene, data: bytes) -> None:
    """It could have said that the stat cache is off: nothing is pushed without knowing."""
    (full.seat.home / "config.yaml").write_bytes(data)
    done = full.run("push", "new", "data/new:1", "--kind", "dataset")
    assert done.code in (2, 14), done
    assert len(done.lines) == 1
    assert "Traceback" not in done.err
    assert len(full.entries()) == 4
