"""The ledger as a repository: the same on every machine, for real Git, and never half."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.predicates import status as status_predicate
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.local import LocalStore
from stemma_registry.errors import Damaged, LedgerBroken, Refused
from stemma_registry.gitledger.rendering import fold, quoted, unfold
from stemma_registry.ledger.entry import ERASE, PUSH, Event
from stemma_registry.ledger.log import Head, append, entries_after, entry_key, read_entry
from tests.git.ledgers import copied, exported, git, verified
from tests.git.repositories import FORMATS
from tests.world import World

HOSTILE = "x\n\nEntry: 99\nStatement: sha256:0000\x1b[2J\r\u2028\ud7ff"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.push("demo/base:1")
    made.push("demo/child:1", None, "derived-from=demo/base:1")
    made.quarantine("demo/base:1")
    return made


def said(world: World, subjects: list[ResourceDescriptor], predicate: dict[str, object]) -> Bundle:
    signer = world.signer("owner")
    return signer.sign(Statement.build(subjects, status_predicate.TYPE, predicate))


def appended(world: World, event: Event) -> None:
    head = Head()
    for _ in entries_after(world.store, head):
        pass
    append(world.store, head, lambda: [event], lambda: head)


@pytest.mark.parametrize("object_format", FORMATS)
def test_the_same_wherever_and_in_however_many_steps(
    world: World, tmp_path: Path, object_format: str
) -> None:
    first = exported(world, tmp_path / "a", object_format)
    assert (first.n, first.new, first.checkpoint) == (3, 4, 3)
    world.push("demo/late:1")
    more = exported(world, tmp_path / "a")
    assert (more.n, more.new, more.checkpoint) == (4, 1, 4)
    assert exported(world, tmp_path / "a").new == 0
    whole = exported(world, tmp_path / "deeper" / "b", object_format)
    assert whole.commit == more.commit
    assert git(tmp_path / "a", "rev-parse", "ledger") == whole.commit
    assert git(tmp_path / "a", "rev-parse", "ledger~1") == first.commit
    assert git(tmp_path / "a", "for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/heads/ledger",
        "refs/tags/checkpoint/4",
    ]
    for folder in (tmp_path / "a", tmp_path / "deeper" / "b"):
        assert git(folder, "fsck", "--strict", "--full", "--no-dangling") == ""
    report = verified(world, tmp_path / "a")
    assert report.whole
    assert (report.n, report.vouched, report.by, report.seen) == (4, 4, "owner", 4)
    assert report.believed == report.statements > 6


def test_git_clones_searches_and_mirrors_it(world: World, tmp_path: Path) -> None:
    exported(world, tmp_path / "a")
    git(tmp_path, "clone", "-q", str(tmp_path / "a"), "clone")
    clone = tmp_path / "clone"
    assert (clone / "entry.json").read_bytes() == world.store.read(entry_key(3))
    subjects = git(clone, "log", "--format=%s").splitlines()
    assert subjects == ["quarantine demo/base:1", "push demo/child:1", "push demo/base:1", "init"]
    found = git(clone, "log", "--format=%s", "--grep", "^Name: demo/child:1$")
    assert found == "push demo/child:1"
    numbers = git(clone, "log", "--format=%(trailers:key=Entry,valueonly,separator=)")
    assert numbers.split() == ["3", "2", "1", "0"]
    assert "demo/base:1" in git(clone, "log", "-S", "derived-from", "--format=%B")
    git(tmp_path, "init", "-q", "--bare", "elsewhere")
    git(tmp_path / "a", "push", "-q", "--mirror", str(tmp_path / "elsewhere"))
    world.push("demo/late:1")
    exported(world, tmp_path / "a")
    git(tmp_path / "a", "push", "-q", "--mirror", str(tmp_path / "elsewhere"))
    git(clone, "pull", "-q", "--ff-only")
    for folder in (clone, tmp_path / "elsewhere", copied(clone, tmp_path / "again")):
        assert verified(world, folder).n == 4


def test_no_text_of_a_statement_can_forge_a_trailer(world: World, tmp_path: Path) -> None:
    subject = ResourceDescriptor(name=HOSTILE, digests=(Digest.of(b"x"),))
    bundle = said(world, [subject], {"action": "quarantine", "reason": HOSTILE, "issuedAt": "?"})
    key = put_bytes(world.store, world.signer("owner").public.der)
    event = Event(PUSH, (), (put_bytes(world.store, bundle.raw),), (key,))
    appended(world, event)
    odd = Event("odd\nEntry: 98", bundles=(put_bytes(world.store, b"no bundle\n"),), critical=False)
    appended(world, odd)
    exported(world, tmp_path / "a")
    for back, n in (("ledger", 5), ("ledger~1", 4)):
        body = git(tmp_path / "a", "log", "-1", "--format=%B", back)
        assert body.isascii()
        assert [line for line in body.splitlines() if line[:6] == "Entry:"] == [f"Entry: {n}"]
        trailers = git(tmp_path / "a", "interpret-trailers", "--parse", stdin=body.encode())
        assert trailers.splitlines()[0] == f"Entry: {n}"
    assert verified(world, tmp_path / "a").unsigned == 1


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_what_is_folded_is_had_back_byte_for_byte(noise: bytes, payload: bytes) -> None:
    raw = noise + b'{"payload":"' + base64.b64encode(payload) + b'"}' + noise
    for each in (noise, raw):
        folded = fold(each)
        assert folded is None or unfold(folded) == each
    assert fold(raw) is not None or b"\n" in noise or b'"payload":"' in noise


@given(st.text(max_size=400))
def test_a_quoted_text_is_one_line_of_ascii(text: str) -> None:
    assert quoted(text).isascii()
    assert quoted(text).isprintable()


def test_who_exports_at_the_same_time_does_no_harm(world: World, tmp_path: Path) -> None:
    failed: list[Exception] = []

    def one() -> None:
        try:
            exported(world, tmp_path / "a")
        except Exception as error:  # noqa: BLE001 - whatever it is
            failed.append(error)

    for _ in range(2):
        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        world.push(f"demo/more-{_}:1")
        for thread in threads:
            thread.join()
    assert failed == []
    assert exported(world, tmp_path / "a").commit == exported(world, tmp_path / "b").commit
    assert git(tmp_path / "a", "fsck", "--full", "--no-dangling") == ""


def test_one_that_breaks_off_leaves_whole_entries(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(key: str) -> bytes:
        if key == entry_key(3):
            raise Damaged("the disk")
        return read(key)

    read = world.store.read
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "read", fails)
        with pytest.raises(Damaged):
            exported(world, tmp_path / "a")
    assert git(tmp_path / "a", "for-each-ref") == ""
    assert exported(world, tmp_path / "a").commit == exported(world, tmp_path / "b").commit


KILLED = """
import dataclasses, sys
from pathlib import Path
from stemma_registry import config
from stemma_registry.blobs.local import LocalStore
from stemma_registry.config import Home
from stemma_registry.gitledger import exporting, feeding
from stemma_registry.trust.file import NOBODY
feeding.LIMITS = dataclasses.replace(config.LIMITS, ledger_export_commits=7)
real = feeding.Feed.add
def add(feed, rendered):
    real(feed, rendered)
    feed._process.stdin.flush()
    print(feed.count, flush=True)
feeding.Feed.add = add
exporting.export(LocalStore(Path(sys.argv[1])), Home(Path(sys.argv[2])), NOBODY, Path(sys.argv[3]))
"""


def _ended(group: int) -> None:
    """Return when all of a group of processes are gone, or after ten seconds."""
    until = time.monotonic() + 10
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.02)


def test_killed_and_run_again(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    world = World(tmp_path, LocalStore(tmp_path / "store"))
    world.push("demo/base:1")
    blob = put_bytes(world.store, b"k")
    for _ in range(40):
        appended(world, Event(PUSH, keys=(blob,)))
    exported(world, tmp_path / "right")
    asked = [sys.executable, "-c", KILLED, str(tmp_path / "store"), str(tmp_path / "h")]
    for number in (5, 23):
        folder = tmp_path / f"cut-{number}"
        process = subprocess.Popen(
            [*asked, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        while int(process.stdout.readline()) < number:
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        _ended(process.pid)  # who exports while its git still writes is told to try again
        there = git(folder, "log", "--format=%T", "--all").split()
        assert len(there) % 7 == 0  # git may still have been at work, but at whole entries only
        assert exported(world, folder).commit == git(tmp_path / "right", "rev-parse", "ledger")
        assert verified(world, folder).whole


def test_what_is_no_export_of_this_ledger_is_left_alone(world: World, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match="neither empty nor a repository"):
        exported(world, tmp_path / "full")
    git(tmp_path, "init", "-q", "work")
    with pytest.raises(Refused, match="no bare repository"):
        exported(world, tmp_path / "work")
    git(tmp_path, "init", "-q", "--bare", "-b", "ledger", "bare")
    empty = git(tmp_path / "bare", "mktree")
    git(tmp_path / "bare", "update-ref", "HEAD", git(tmp_path / "bare", "commit-tree", empty))
    with pytest.raises(Refused, match="no exported ledger"):
        exported(world, tmp_path / "bare")
    exported(world, tmp_path / "a")
    with pytest.raises(Refused, match="sha1 objects"):
        exported(world, tmp_path / "a", "sha256")
    (tmp_path / "w2").mkdir()
    other = World(tmp_path / "w2")
    for name in "abcd":
        other.push(f"{name}:1")
    with pytest.raises(LedgerBroken, match="of another ledger"):
        exported(other, tmp_path / "a")


def test_a_lost_statement_stops_it_and_an_erased_one_is_left_out(
    world: World, tmp_path: Path
) -> None:
    before = exported(world, tmp_path / "before")
    (bundle,) = _bundles(world, 3)
    world.store.delete(bundle)
    with pytest.raises(Damaged, match="audit"):
        exported(world, tmp_path / "lost")
    stone = status_predicate.build_erasure("a name in it", "2026-11-21T12:00:00Z", "n")
    raw = said(world, [ResourceDescriptor(digests=(bundle,))], stone).raw
    keys = (put_bytes(world.store, world.signer("owner").public.der),)
    put = (put_bytes(world.store, raw),)
    appended(world, Event(ERASE, bundles=put, keys=keys, blobs=(bundle,)))
    anew = exported(world, tmp_path / "anew")
    assert anew.left_out == [bundle]
    assert git(tmp_path / "anew", "rev-parse", "ledger~2") == git(
        tmp_path / "before", "rev-parse", "ledger~1"
    )
    assert "Left-Out: " + str(bundle) in git(tmp_path / "anew", "log", "--format=%B")
    assert verified(world, tmp_path / "anew").erased == 1
    # An earlier export keeps what it had, and goes on.
    more = exported(world, tmp_path / "before")
    assert more.commit != anew.commit
    assert git(tmp_path / "before", "rev-parse", "ledger~1") == before.commit
    assert verified(world, tmp_path / "before").erased == 0


def _bundles(world: World, n: int) -> tuple[Digest, ...]:
    entry = read_entry(world.store, n)
    assert entry is not None
    return tuple(d for event in entry.events for d in event.bundles)
