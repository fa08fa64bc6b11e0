"""Power cuts: what was acknowledged is safe, and what could not be made safe is never acknowledged.

The calls of a command are watched, and `PowerCut` tells what would be left. A
killed or failed command is followed by the same command again, on the same
files: what the first one left half-safe must not be taken for safe.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.commands import COMMANDS, acknowledged
from tests.faults.powercut import PowerCut, losses
from tests.faults.scene import PUSH_NEW, Scene, one_line
from tests.faults.tracer import REACHED, Call, Traced, sample, stopped, traced

pytestmark = pytest.mark.faults
SYNCS = ("fsync", "fdatasync")
DURABLE = [name for name, command in COMMANDS.items() if command.syncs]
SHARDS = 2
# A run of CI takes the first of them; `make test-all` takes all.
SLICE = [0, *(pytest.param(shard, marks=pytest.mark.slow) for shard in range(1, SHARDS))]
ALL = 10_000
Prepare = Callable[[str], Callable[[], Scene]]


def cut_of(scene: Scene, *runs: Traced) -> PowerCut:
    cut = PowerCut(str(scene.folder))
    for run in runs:
        cut.feed(run.calls)
    return cut


def lost_of(scene: Scene, command: str, *runs: Traced) -> list[str]:
    """What a power cut would take of the stores that a command writes."""
    cut = cut_of(scene, *runs)
    return [line for store in COMMANDS[command].stores for line in losses(scene, cut, store)]


def call(name: str, number: int, path: str, *texts: str, result: int = 0) -> Call:
    return Call(name, number, (path, path), texts, "O_EXCL", result, None, False)


def test_the_model_itself_knows_what_is_safe() -> None:
    """Or the tests below could not fail."""
    made = replace(call("openat", 1, "/r", "f"), opened="/r/f")
    write, sync_file = call("write", 1, "/r/f", result=3), call("fsync", 1, "/r/f")
    sync_directory, failed = call("fsync", 2, "/r"), call("fsync", 1, "/r/f", result=-1)
    move, make = call("renameat", 1, "/r", "f", "g"), call("mkdirat", 1, "/r", "d")

    def losing(path: str, *calls: Call) -> list[str]:
        return PowerCut("/r").feed(calls).would_lose(path)

    name, data = "the name /r/f", "the bytes of /r/f"
    assert losing("/r/f", made, write) == [data, name]
    assert losing("/r/f", made, write, sync_directory) == [data]
    assert losing("/r/f", made, write, sync_file) == [name]
    assert losing("/r/f", made, write, sync_file, sync_directory) == []
    assert losing("/r/f", made, write, failed, sync_file, sync_directory) == [data]
    assert losing("/r/g", made, write, sync_file, move) == ["the name /r/g"]
    assert losing("/r/g", made, write, move, sync_directory) == ["the bytes of /r/g"]
    assert losing("/r/d/x", make) == ["the name /r/d"]
    assert losing("/r/d/x", make, sync_directory) == []
    # Of two threads: one changed what the other was about to make safe.
    too_late = replace(sync_file, overlap=1)
    assert losing("/r/f", write, too_late) == [data]
    assert losing("/r/f", write, move, too_late) == []
    assert losing("/r/g", move, replace(sync_directory, overlap=1)) == ["the name /r/g"]


@pytest.mark.parametrize("command", DURABLE)
def test_what_is_acknowledged_is_safe(prepared: Prepare, command: str) -> None:
    scene = prepared(command)()
    run = traced(scene, *COMMANDS[command].argv)
    run.finished.expect(0)
    assert any(call.name in SYNCS for call in run.calls)
    assert lost_of(scene, command, run) == []


def test_every_name_is_given_to_bytes_that_are_safe(scene: Scene) -> None:
    """No rename or link comes before the fsync of the file: no torn file at a true name."""
    run = traced(scene, *PUSH_NEW)
    cut = PowerCut(str(scene.registry))
    named = 0
    for call in run.calls:
        if call.name in ("renameat", "linkat"):
            source = f"{call.paths[0]}/{call.texts[0]}"
            assert source not in cut.bytes, call
            named += 1
        cut.feed([call])
    assert named >= 8


def test_every_blob_is_safe_before_the_entry_that_names_it(scene: Scene) -> None:
    run = traced(scene, *PUSH_NEW)
    link = next(i for i, call in enumerate(run.calls) if call.name == "linkat")
    cut = PowerCut(str(scene.registry)).feed(run.calls[:link])
    assert losses(scene, cut) == []


def test_a_new_registry_is_safe_with_its_first_push(scene: Scene) -> None:
    """And the key that signed it, and the trust root, or nobody could verify what is left."""
    shutil.rmtree(scene.registry)
    shutil.rmtree(scene.seat.home)
    made = traced(scene, "init")
    made.finished.expect(0)
    pushed = traced(scene, "push", "new", "data/new:1", "--kind", "dataset")
    pushed.finished.expect(0)
    cut = PowerCut(str(scene.folder)).feed(made.calls).feed(pushed.calls)
    assert losses(scene, cut) == []
    for name in ("key.pem", "key.pub", "trust.yaml"):
        assert cut.would_lose(str(scene.seat.home / name)) == []


# A command that was cut off, and the same again.


def again_after_a_kill(scene: Scene, command: str, inject: str) -> bool:
    """Whether the first run was killed; what the second promises is safe in any case."""
    argv = COMMANDS[command].argv
    first = traced(scene, *argv, inject=inject)
    assert first.killed or first.finished.code == 0
    second = traced(scene, *argv)
    second.finished.expect(0)
    lost = lost_of(scene, command, first, second)
    assert lost == [], f"{inject}: the second run acknowledged what a power cut would take"
    return first.killed


@pytest.mark.parametrize("command", DURABLE)
def test_a_command_repeated_after_a_kill_between_its_last_link_and_fsync_is_safe(
    prepared: Prepare, command: str
) -> None:
    """The entry can be seen, and is not safe yet: `nothing to do` would be a promise about it."""
    fresh = prepared(command)
    probe = traced(fresh(), *COMMANDS[command].argv)
    link = max(i for i, call in enumerate(probe.calls) if call.name == "linkat")
    unlink = next(call for call in probe.calls[link:] if call.name == "unlinkat")
    inject = f"unlinkat:signal=KILL:when={unlink.number}"
    # A run may have fewer such calls than the one before, and then nobody is killed.
    assert any(again_after_a_kill(fresh(), command, inject) for _ in range(5))


def test_a_push_beside_one_that_hangs_before_its_fsync_is_safe(scene: Scene) -> None:
    """Two at once: the first has linked its entry and waits; the second finds it there."""
    probe = traced(scene.copy(scene.folder.parent / "probe"), *PUSH_NEW)
    link = next(i for i, call in enumerate(probe.calls) if call.name == "linkat")
    unlink = next(call for call in probe.calls[link:] if call.name == "unlinkat")
    # Stopped by a signal, it keeps what it has and goes no further.
    inject = f"unlinkat:signal=STOP:when={unlink.number}"
    with stopped(scene, *PUSH_NEW, inject=inject) as first:
        second = traced(scene, *PUSH_NEW)
        second.finished.expect(0)
        cut = PowerCut(str(scene.registry)).feed(first()).feed(second.calls)
        assert losses(scene, cut) == []


def neighbourhood(baseline: Traced) -> list[tuple[str, int]]:
    """The points that matter here: what makes names, and every fsync."""
    wanted = (*SYNCS, "mkdirat", "renameat", "linkat", "unlinkat")
    calls = [c for c in baseline.calls if "catalogue" not in "".join(c.paths)]
    return list(dict.fromkeys((c.name, c.number) for c in calls if c.name in wanted))


def kill_campaign(prepared: Prepare, command: str, most: int, shard: int) -> None:
    fresh = prepared(command)
    chosen = sample(neighbourhood(traced(fresh(), *COMMANDS[command].argv)), most)[shard::SHARDS]
    killed = 0
    for name, when in chosen:
        scene = fresh()
        killed += again_after_a_kill(scene, command, f"{name}:signal=KILL:when={when}")
        scene.remove()
    assert killed >= len(chosen) * REACHED


@pytest.mark.parametrize("shard", SLICE)
@pytest.mark.parametrize("command", DURABLE)
def test_a_command_repeated_after_a_kill_is_safe(
    prepared: Prepare, command: str, shard: int
) -> None:
    kill_campaign(prepared, command, COMMANDS[command].syncs, shard)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("command", DURABLE)
def test_a_command_repeated_after_any_kill_is_safe(
    prepared: Prepare, command: str, shard: int
) -> None:
    kill_campaign(prepared, command, ALL, shard)


# fsync that fails.


def failing_sync(scene: Scene, command: str, name: str, when: int) -> bool:
    """That fsync fails, in every thread that comes so far; whether one did."""
    argv = COMMANDS[command].argv
    first = traced(scene, *argv, inject=f"{name}:error=EIO:when={when}")
    failed = [c for c in first.calls if c.injected]
    if first.finished.code == 0:
        lost = lost_of(scene, command, first)
        assert lost == [], f"acknowledged, although {failed} failed"
    else:
        assert first.finished.code == 14
        one_line(first.finished)
        assert scene.temporary() == []
    second = traced(scene, *argv)
    second.finished.expect(0)
    assert lost_of(scene, command, first, second) == []
    COMMANDS[command].check(scene, acknowledged(second.finished))
    return bool(failed)


def sync_campaign(prepared: Prepare, command: str, most: int, shard: int) -> None:
    fresh = prepared(command)
    baseline = traced(fresh(), *COMMANDS[command].argv)
    syncs = dict.fromkeys((c.name, c.number) for c in baseline.calls if c.name in SYNCS)
    chosen = sample(list(syncs), most)[shard::SHARDS]
    failed = 0
    for name, when in chosen:
        scene = fresh()
        try:
            failed += failing_sync(scene, command, name, when)
        except AssertionError as error:
            error.add_note(f"{name} failed, the {when}th time, in {scene.folder}")
            raise
        scene.remove()
    assert failed >= len(chosen) * REACHED


@pytest.mark.parametrize("shard", SLICE)
@pytest.mark.parametrize("command", DURABLE)
def test_a_failing_fsync_is_never_acknowledged(prepared: Prepare, command: str, shard: int) -> None:
    sync_campaign(prepared, command, COMMANDS[command].syncs, shard)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("command", DURABLE)
def test_no_failing_fsync_is_ever_acknowledged(prepared: Prepare, command: str, shard: int) -> None:
    sync_campaign(prepared, command, ALL, shard)


def test_the_fsync_of_the_entrys_directory_decides(scene: Scene) -> None:
    probe = traced(scene.copy(scene.folder.parent / "probe"), *PUSH_NEW)
    link = next(i for i, call in enumerate(probe.calls) if call.name == "linkat")
    last = next(call for call in probe.calls[link:] if call.name == "fsync")
    assert last.paths[0] == str(scene.registry / "ledger/000/000").replace(
        str(scene.folder), str(scene.folder.parent / "probe")
    )
    assert failing_sync(scene, "push", "fsync", last.number)
