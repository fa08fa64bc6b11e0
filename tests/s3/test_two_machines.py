"""Two machines with one bucket: every command of the first issue, and the same answers on both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.s3.machines import Machine, new_location
from tests.zygote import shared


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    """Two machines whose users trust each other; the first made the registry."""
    location = new_location()
    one, two = (Machine.new(tmp_path / name, shared(), location) for name in ("one", "two"))
    one.run("init", "--principal", "one").expect(0)
    two.run("key", "new").expect(0)
    for machine, principal, other in (
        (one, "two", two),
        (two, "one", one),
        (two, "two", two),
    ):
        added = ("trust", "add", other.home / "key.pub", "--principal", principal)
        machine.run(*added).expect(0)
    return one, two


def push_all(one: Machine, two: Machine) -> None:
    """Data by one, two models by two, in turn."""
    one.write("work/raw", {"a.txt": b"raw a\n", "deep/b.txt": b"raw b\n"})
    one.run("push", "raw", "data/raw:1", "--kind", "dataset").expect(0)
    for name in ("m", "n"):
        two.write(f"work/{name}", {"w.bin": name.encode() * 100_000, "config.json": b"{}"})
        pushed = ("push", name, f"models/{name}:1", "--kind", "model")
        two.run(*pushed, "--input", "trained-on=data/raw:1").expect(0)


QUESTIONS = (
    ("list",),
    ("show", "models/m:1"),
    ("trace", "data/raw:1"),
    ("trace", "models/m:1", "--up"),
    ("log",),
    ("bom", "models/m:1"),
    ("attestations", "models/m:1"),
    ("audit", "--read-data"),
)


def agree(one: Machine, two: Machine, *argv: str, code: int = 0) -> None:
    assert one.ask(*argv, code=code) == two.ask(*argv, code=code), argv


def test_both_see_the_same(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    push_all(one, two)
    for question in QUESTIONS:
        agree(one, two, *question)
    for machine in machines:
        machine.run("verify", "models/m:1").expect(0)
        machine.run("pull", "models/m:1", "pulled").expect(0)
        assert (machine.work / "pulled/w.bin").read_bytes() == b"m" * 100_000
        machine.run("verify", "pulled", "--as", "models/m:1").expect(0)
        machine.run("rebuild").expect(0)
        machine.run("db", "check").expect(0)
    for question in QUESTIONS:
        agree(one, two, *question)


def test_what_one_stops_the_other_does_not_serve(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    push_all(one, two)
    two.run("verify", "models/n:1").expect(0)
    one.run("quarantine", "data/raw:1", "--reason", "poisoned").expect(0)
    two.run("verify", "models/n:1").expect(11)
    two.run("pull", "models/n:1", "never").expect(11)
    agree(one, two, "trace", "data/raw:1")
    two.run("release", "data/raw:1", "--reason", "it was not").expect(0)
    one.run("verify", "models/n:1").expect(0)


def test_a_name_has_one_winner(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    children = []
    for machine, byte in ((one, b"1"), (two, b"2")):
        machine.write("work/contested", {"data.txt": byte * 1000})
        child = machine.start("push", "contested", "data/c:1", "--kind", "dataset", gate=True)
        children.append(child)
    for child in children:
        child.go()
    codes = sorted(child.wait().code for child in children)
    assert codes == [0, 12], codes
    agree(one, two, "show", "data/c:1")
    agree(one, two, "audit", "--read-data")


def test_a_push_that_changes_nothing_uploads_nothing(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    push_all(one, two)
    again = one.ask("push", "raw", "data/raw:1", "--kind", "dataset")
    assert again["outcome"] == "unchanged"
    before = one.ask("audit")["blobs"]
    one.run("push", "raw", "data/raw:1", "--kind", "dataset").expect(0)
    assert one.ask("audit")["blobs"] == before


def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    machine = Machine.new(tmp_path / "one", shared(), "s3://no-such-bucket-here/x")
    for command in (("init",), ("list",), ("verify", "models/m:1")):
        ended = machine.run(*command)
        assert ended.code in (3, 14), ended
        assert "Traceback" not in ended.err
        assert "no-such-bucket-here" in ended.err
        assert len(ended.err.splitlines()) == 1, ended.err


def test_a_scheme_that_nobody_knows(tmp_path: Path) -> None:
    machine = Machine.new(tmp_path / "one", shared(), "gs://bucket/x")
    assert "s3://BUCKET" in machine.run("list").expect(3).err
