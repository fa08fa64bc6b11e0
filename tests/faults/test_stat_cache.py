"""A file that the stat cache knows is not read again; its blob must be as safe as if it were."""

from __future__ import annotations

import shutil
import time

import pytest

from stemma_registry.config import LIMITS
from tests.faults.powercut import PowerCut, losses
from tests.faults.scene import Scene
from tests.faults.test_power import neighbourhood
from tests.faults.tracer import Traced, sample, traced

pytestmark = pytest.mark.faults
FILES = {f"{i % 3}/{i}.txt": b"file %d\n" % i for i in range(12)}
PUSH = ("push", "known", "data/known:1", "--kind", "dataset", "--json")


@pytest.fixture
def knowing(scene: Scene) -> Scene:
    """The cache knows every file of work/known: from a push to another registry."""
    scene.write("work/known", FILES)
    time.sleep(LIMITS.racy_seconds + 0.1)  # a file that is too young is not believed
    scene.run("--registry", "../elsewhere", "init").expect(0)
    scene.run("--registry", "../elsewhere", *PUSH).expect(0)
    assert len(list((scene.seat.home / "stats").iterdir())) >= 1
    return scene


def another(scene: Scene, name: str) -> str:
    """One more registry like the first."""
    shutil.copytree(scene.registry, scene.folder / name)
    return name


def push(scene: Scene, store: str, inject: str | None = None) -> Traced:
    return traced(scene, "--registry", f"../{store}", *PUSH, inject=inject)


def lost(scene: Scene, store: str, *runs: Traced) -> list[str]:
    cut = PowerCut(str(scene.folder))
    for run in runs:
        cut.feed(run.calls)
    return losses(scene, cut, store)


def stored(run: Traced) -> int:
    """How many blobs a run gave their names."""
    return sum(c.name.startswith("rename") and len(c.texts[1]) == 62 for c in run.calls)


def test_what_is_known_is_not_stored_again(knowing: Scene) -> None:
    """Or the tests below could not fail."""
    here, there = another(knowing, "here"), another(knowing, "there")
    first = push(knowing, here)
    first.finished.expect(0)
    assert stored(first) >= len(FILES), "the cache says nothing about this registry"
    cut = push(knowing, there, inject="linkat:signal=KILL:when=1")
    assert cut.killed
    second = push(knowing, there)
    second.finished.expect(0)
    assert stored(second) <= stored(first) - len(FILES)


def campaign(scene: Scene, most: int) -> None:
    points = neighbourhood(push(scene, another(scene, "probe")))
    killed = 0
    for i, (name, when) in enumerate(sample(points, most)):
        store = another(scene, f"registry{i}")
        first = push(scene, store, inject=f"{name}:signal=KILL:when={when}")
        killed += first.killed
        second = push(scene, store)
        second.finished.expect(0)
        assert lost(scene, store, first, second) == [], f"killed at {name}, the {when}th time"
        shutil.rmtree(scene.folder / store)
    assert killed >= most * 0.5 or killed >= len(points) * 0.7


def test_a_push_of_known_files_after_a_kill_is_safe(knowing: Scene) -> None:
    campaign(knowing, 12)


@pytest.mark.slow
def test_a_push_of_known_files_after_any_kill_is_safe(knowing: Scene) -> None:
    campaign(knowing, 10_000)


def test_a_directory_that_another_push_made_a_moment_ago(knowing: Scene) -> None:
    """The blob is there, and the name of the directory that it is in is not safe yet."""
    store = another(knowing, "beside")
    probe = push(knowing, another(knowing, "probe"))
    renames = [c for c in probe.calls if c.name.startswith("rename") and len(c.texts[1]) == 62]
    last = renames[len(FILES) - 1]
    first = push(knowing, store, inject=f"{last.name}:signal=KILL:when={last.number}")
    second = push(knowing, store)
    second.finished.expect(0)
    assert lost(knowing, store, first, second) == []


DAMAGE = {
    "empty": b"",
    "garbage": b"\x00\xff\x00",
    "null": b"null",
    "list": b"[]",
    "half": b'{"format":',
    "wrong format": b'{"format": "urn:stemma:stats:v9", "files": {}}',
    "wrong rows": b'{"format": "urn:stemma:stats:v0.1", "files": {"0/0.txt": 7}}',
    "short rows": b'{"format": "urn:stemma:stats:v0.1", "files": {"0/0.txt": ["x"]}}',
}


def test_a_damaged_cache_is_no_cache(knowing: Scene) -> None:
    for i, (what, data) in enumerate(DAMAGE.items()):
        for path in (knowing.seat.home / "stats").iterdir():
            path.write_bytes(data)
        name = f"data/known{i}:1"
        done = knowing.run(*PUSH[:2], name, *PUSH[3:])
        assert done.code == 0, (what, done)
        assert knowing.verify(name) == 0
    knowing.assert_whole()


def test_a_wrong_digest_in_the_cache_is_no_push(knowing: Scene) -> None:
    """One digit is another: there is no such blob, so the file is read."""
    for path in (knowing.seat.home / "stats").iterdir():
        text = path.read_text()
        for digit in "0123456789abcdef":
            text = text.replace(f'"{digit}', f'"{"f" if digit != "f" else "0"}', 1)
        path.write_text(text)
    knowing.run(*PUSH).expect(0)
    assert knowing.verify("data/known:1") == 0
    files = {p: (knowing.work / "known" / p).read_bytes() for p in FILES}
    knowing.run("pull", "data/known:1", "out").expect(0)
    assert {p: (knowing.work / "out" / p).read_bytes() for p in FILES} == files
