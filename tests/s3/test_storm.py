"""The whole under a storm of faults: what was acknowledged is there, and the registry is whole."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stemma_attestations.errors import StemmaError
from stemma_cli import exits
from stemma_registry.blobs.cached import Cached
from stemma_registry.care.audit import audit
from stemma_registry.errors import LedgerBroken, Unavailable
from stemma_registry.ledger.log import Head, entries_after
from tests import fault_proxy as faults
from tests import seaweed
from tests.fault_proxy import ALWAYS, Fault, Rule
from tests.http_messages import Message
from tests.s3.conftest import Faulty
from tests.s3.machines import Machine
from tests.s3.test_faults import LASTING, OF_BODIES, PASSING
from tests.world import World
from tests.zygote import shared

# botocore drops connections that break without closing them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

NAMES = 12


def storm(numbers: random.Random, share: float) -> Callable[[Message], Fault | None]:
    """Any fault that passes, for a share of the requests."""
    reading = [make for name, make in (PASSING | OF_BODIES).items() if name != "late"]
    writing = [make for name, make in PASSING.items() if name != "late"]

    def pick(request: Message) -> Fault | None:
        if numbers.random() >= share:
            return None
        return numbers.choice(reading if request.method == "GET" else writing)()

    return pick


@dataclass
class Told:
    """What the commands said."""

    pushed: dict[str, str]
    stopped: set[str]
    failed: int = 0


def work(world: World, numbers: random.Random) -> Told:
    """Push, verify and quarantine; what was acknowledged, and what failed as it may."""
    told = Told({}, set())
    for n in range(NAMES):
        name, origin = f"data/{n}:1", numbers.choice(sorted(told.pushed) or [""])
        inputs = [f"derived-from={origin}"] if origin and numbers.random() < 0.5 else []
        files = {"a.bin": numbers.randbytes(numbers.choice([10, 50_000])), "b": name.encode()}
        try:
            told.pushed[name] = str(world.push(name, files, *inputs).artifact)
        except StemmaError as error:
            assert exits.code_of(error) in (exits.UNDECIDED, exits.QUARANTINED), error
            told.failed += 1
        try:
            assert name not in told.pushed or world.code(name) in (0, 11, 14)
            if told.pushed and numbers.random() < 0.2:
                chosen = numbers.choice(sorted(told.pushed))
                world.quarantine(chosen)
                told.stopped.add(chosen)
        except Unavailable:
            told.failed += 1
    return told


def check(faulty: Faulty, world: World, told: Told) -> None:
    """Everything acknowledged is there, once, and nothing is wrong."""
    entries = list(entries_after(faulty.clean, Head()))
    assert len({entry.nonce for entry in entries}) == len(entries), "an entry was doubled"
    report = audit(faulty.clean, world.home, world.trust, read_data=True)
    assert report.findings == []
    world.rebuild()
    for name, artifact in told.pushed.items():
        code = world.code(name)
        assert code == 11 if name in told.stopped else code in (0, 11), name
        if code == 0:
            assert str(world.verify(name).artifact) == artifact
    for name in told.stopped:
        assert world.code(name) == 11


@pytest.mark.parametrize(
    ("seed", "share"),
    [
        pytest.param(1, 0.1, marks=pytest.mark.slow),
        (2, 0.4),
        *(pytest.param(seed, 0.05 * (seed % 12), marks=pytest.mark.slow) for seed in range(3, 40)),
    ],
)
def test_a_storm_loses_nothing(faulty: Faulty, tmp_path: Path, seed: int, share: float) -> None:
    numbers = random.Random(seed)
    world = World(tmp_path, Cached(faulty.store, tmp_path / "cache", 10_000_000))
    faulty.proxy.script = storm(numbers, share)
    told = work(world, numbers)
    hits = faulty.proxy.hits
    faulty.proxy.calm()
    check(faulty, world, told)
    assert hits or not share
    if share <= 0.1:
        assert len(told.pushed) >= NAMES // 2, "what passes is survived"


def test_an_entry_answered_with_another_is_not_believed(faulty: Faulty, tmp_path: Path) -> None:
    """A cache in between answers with what it once had."""
    world = World(tmp_path, faulty.store)
    world.push("data/a:1")
    list(entries_after(faulty.store, Head()))
    faulty.proxy.script = [Rule(faults.stale("000000.json"), "GET", "000001.json", times=ALWAYS)]
    with pytest.raises(LedgerBroken) as caught:
        list(entries_after(faulty.store, Head()))
    assert exits.code_of(caught.value) == exits.UNDECIDED
    faulty.proxy.script = ()
    assert world.code("data/a:1") == 0


# Through the command line.


@pytest.fixture
def machine(faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose way to the bucket leads through the proxy."""
    behind = replace(seaweed.shared(), endpoint=faulty.proxy.endpoint)
    monkeypatch.setattr(seaweed, "shared", lambda: behind)
    machine = Machine.new(tmp_path / "machine", shared(), faulty.location)
    machine.run("init", "--principal", "me").expect(0)
    machine.write("work/data", {"a.txt": b"a\n"})
    machine.run("push", "data", "data/a:1", "--kind", "dataset").expect(0)
    return machine


@pytest.mark.parametrize("name", LASTING)
def test_a_command_says_in_one_line_what_is_wrong(
    faulty: Faulty, machine: Machine, name: str
) -> None:
    status, code = LASTING[name]
    faulty.proxy.script = [Rule(faults.answer(status, code), times=ALWAYS)]
    for command in (
        ("verify", "data/a:1"),
        ("pull", "data/a:1", "out"),
        ("push", "data", "data/b:1", "--kind", "dataset"),
    ):
        ended = machine.run(*command)
        assert ended.code == exits.UNDECIDED, ended
        assert len(ended.err.strip().splitlines()) == 1, ended.err
        assert code in ended.err
        assert not (machine.work / "out").exists()


def test_commands_survive_what_passes(faulty: Faulty, machine: Machine) -> None:
    faulty.proxy.script = storm(random.Random(5), 0.05)
    machine.write("work/more", {"b.bin": os.urandom(100_000)})
    codes = [
        machine.run("push", "more", "data/b:1", "--kind", "dataset").code,
        machine.run("verify", "data/a:1").code,
        machine.run("pull", "data/a:1", "out").code,
    ]
    faulty.proxy.calm()
    assert set(codes) <= {0, exits.UNDECIDED}, codes
    assert machine.run("audit", "--read-data").code == 0
    if codes[0] == 0:
        machine.run("verify", "data/b:1").expect(0)
    assert (machine.work / "out").exists() == (codes[2] == 0)
