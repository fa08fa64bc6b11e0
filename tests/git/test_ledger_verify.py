"""An exported ledger is audited without its registry: what was changed is found, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from stemma_attestations.digest import Digest
from stemma_attestations.errors import StemmaError
from stemma_attestations.predicates import status
from stemma_cli import exits
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.catalogue import tables as t
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import AlreadyThere, LedgerBroken, NotFound
from stemma_registry.gitledger import distrust, verifying
from stemma_registry.gitledger.rendering import fold
from stemma_registry.gitledger.restoring import restore
from stemma_registry.gitledger.verifying import Report, verify
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import entry_key
from stemma_registry.trust.file import NOBODY
from tests.git.ledgers import copied, exported, files, git, rewrite, verified
from tests.git.repositories import FORMATS
from tests.git.test_hostile import PROGRAMS
from tests.registry.test_measures import distrusted
from tests.world import World


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """A world and its export; nobody changes either."""
    folder = tmp_path_factory.mktemp("whole")
    world = World(folder)
    world.push("demo/base:1")
    world.trust_also("late", ["other/**"])
    world.push("demo/child:1", None, "derived-from=demo/base:1", by="late")
    world.push("demo/last:1")
    exported(world, folder / "a")
    return world, folder / "a"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


def afresh(world: World, folder: Path, home: Path) -> Report:
    """The audit of a machine that has seen nothing."""
    with Repository.open(folder) as repository:
        return verify(repository, Home(home), world.trust, world.store.location, world.now)


def test_who_is_not_believed_is_counted_apart(whole: tuple[World, Path], tmp_path: Path) -> None:
    report = afresh(*whole, tmp_path / "home")
    assert (report.n, report.wrong, report.unsigned) == (3, 0, 0)
    assert report.signed == 4  # the pusher may not speak about demo/*
    assert report.believed == report.statements - 4
    assert (report.vouched, report.by, report.seen) == (3, "owner", None)
    assert afresh(*whole, tmp_path / "home").seen == 3


def test_nobody_vouches_where_nobody_is_believed(whole: tuple[World, Path], tmp_path: Path) -> None:
    with Repository.open(whole[1]) as repository:
        report = verify(repository, Home(tmp_path / "home"), NOBODY, "", whole[0].now)
    assert (report.whole, report.vouched, report.believed) == (True, -1, 0)
    assert not (tmp_path / "home").exists()  # nothing is remembered of it


def by_the_gate(world: World) -> int:
    """Statements that let something pass, of listed signers, that the gate takes for nobody's."""
    row = t.statement.c.bundle, t.statement.c.predicate_type, t.statement.c.signer, t.subject.c.name
    query = (
        select(*row)
        .join(t.subject, t.subject.c.statement_id == t.statement.c.id)
        .where(t.statement.c.predicate_type != status.TYPE)
    )
    supported: dict[str, bool] = {}
    with world.view() as view:
        for bundle, kind, signer, name in view.connection.execute(query):
            if view.trust.has_authorised(signer, kind, name):
                holds = view.trust.supports(signer, kind, name)
                supported[bundle] = supported.get(bundle, False) or holds
    return list(supported.values()).count(False)


def test_distrust_in_the_ledger_is_weighed_as_the_gate_does(world: World, tmp_path: Path) -> None:
    world.trust_also("late", ["demo/**"])
    world.trust_also("other", ["elsewhere/**"])
    world.trust_also("security")
    world.push("demo/base:1")
    world.push("demo/child:1", by="late")
    world.quarantine("demo/base:1", by="late")  # goes on stopping
    exported(world, tmp_path / "a")
    assert afresh(world, tmp_path / "a", tmp_path / "h0").distrusted == 0
    distrusted(world, "owner", by="stranger")  # nobody hears that
    distrusted(world, "owner", by="other")  # who may not speak about demo/*
    exported(world, tmp_path / "a")
    assert afresh(world, tmp_path / "a", tmp_path / "h1").distrusted == 0 == by_the_gate(world)
    digest = distrusted(world, "late")
    exported(world, tmp_path / "a")
    report = afresh(world, tmp_path / "a", tmp_path / "h2")
    assert report.whole
    assert report.distrusted == by_the_gate(world) > 0
    assert {one.n for one in report.doubts} == {2}
    assert "by late, who is distrusted: " in report.doubts[0].detail
    assert "the key was stolen" in report.doubts[0].detail
    world.release(digest, by="security")  # the owner is distrusted by somebody, if not here
    exported(world, tmp_path / "a")
    assert afresh(world, tmp_path / "a", tmp_path / "h3").distrusted == 0 == by_the_gate(world)


def test_more_distrust_than_is_weighed_is_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push("demo/base:1")
    world.trust_also("late")
    distrusted(world, "late")
    exported(world, tmp_path / "a")
    monkeypatch.setattr(verifying, "LIMITS", replace(LIMITS, criteria=0))
    monkeypatch.setattr(distrust, "LIMITS", replace(LIMITS, criteria=0))
    report = afresh(world, tmp_path / "a", tmp_path / "home")
    assert (report.distrusted, report.whole) == (0, True)
    assert report.unweighed == "more than 0 criteria; the limit is a named one"


def reworded(folder: Path, content: dict[str, bytes]) -> None:
    rewrite(folder, content, message="push demo/other:1\n\nEntry: 3\n")


def other_author(folder: Path, content: dict[str, bytes]) -> None:
    rewrite(folder, content, author="Mallory")


def one_more_file(folder: Path, content: dict[str, bytes]) -> None:
    rewrite(folder, {**content, "run.sh": b"#!/bin/sh\n"})


def one_more_statement(folder: Path, content: dict[str, bytes]) -> None:
    rewrite(folder, {**content, "statement-7.jsonl": content["statement-0.jsonl"]})


def executable(folder: Path, content: dict[str, bytes]) -> None:
    rewrite(folder, content, mode="100755")


def another_statement(folder: Path, content: dict[str, bytes]) -> None:
    changed = content["statement-0.jsonl"].replace(b"demo/last:1", b"demo/evil:1")
    rewrite(folder, {**content, "statement-0.jsonl": changed})


def exchanged(folder: Path, content: dict[str, bytes]) -> None:
    one, two = content["statement-0.jsonl"], content["statement-1.jsonl"]
    rewrite(folder, {**content, "statement-0.jsonl": two, "statement-1.jsonl": one})


def spelt_otherwise(folder: Path, content: dict[str, bytes]) -> None:
    rest, _, payload = content["statement-0.jsonl"].partition(b"\n")
    assert fold(rest) is not None
    rewrite(folder, {**content, "statement-0.jsonl": rest + b"\r\n" + payload})


def missing_statement(folder: Path, content: dict[str, bytes]) -> None:
    text = git(folder, "log", "-1", "--format=%B", "ledger")
    digest = LedgerEntry.parse(content["entry.json"], 3).events[0].bundles[0]
    text = text.replace("Statement: https://slsa.dev/provenance/v1\n", "").rstrip("\n")
    text = f"{text}\nLeft-Out: {digest}\n"
    without = {name: data for name, data in content.items() if name != "statement-0.jsonl"}
    rewrite(folder, without, message=text)


@pytest.mark.parametrize(
    "change",
    [
        reworded,
        other_author,
        one_more_file,
        one_more_statement,
        executable,
        another_statement,
        exchanged,
        spelt_otherwise,
        missing_statement,
    ],
)
def test_a_commit_that_says_something_else_is_found(
    whole: tuple[World, Path],
    tmp_path: Path,
    change: Callable[[Path, dict[str, bytes]], None],
) -> None:
    folder = copied(whole[1], tmp_path / "c")
    change(folder, files(folder, "ledger"))
    report = afresh(whole[0], folder, tmp_path / "home")
    assert report.wrong >= 1
    assert {finding.n for finding in report.findings} == {3}
    assert ("is missing" in report.findings[0].detail) == (change is missing_statement)
    assert not (tmp_path / "home" / "heads").exists()


def test_an_entry_that_was_changed_breaks_the_chain(
    whole: tuple[World, Path], tmp_path: Path
) -> None:
    folder = copied(whole[1], tmp_path / "c")
    content = files(folder, "ledger")
    time = content["entry.json"].index(b'"time":"20') + 8
    entry = bytearray(content["entry.json"])
    entry[time + 3] ^= 1
    rewrite(folder, {**content, "entry.json": bytes(entry)})
    with pytest.raises(LedgerBroken, match="signed another entry 3"):
        afresh(whole[0], folder, tmp_path / "home")
    with pytest.raises(LedgerBroken, match="another entry 3 than was seen before"):
        git(folder, "update-ref", "-d", "refs/tags/checkpoint/3")
        verified(whole[0], folder)
    rewrite(folder, {**content, "entry.json": bytes(entry[:-1])})
    with pytest.raises(LedgerBroken, match="entry 3"):
        afresh(whole[0], folder, tmp_path / "home")
    rewrite(folder, {"other.json": b"{}"})
    with pytest.raises(LedgerBroken, match=r"has no entry\.json"):
        afresh(whole[0], folder, tmp_path / "home")


def test_a_rewind_is_refused(whole: tuple[World, Path], tmp_path: Path) -> None:
    folder = copied(whole[1], tmp_path / "c")
    git(folder, "update-ref", "refs/heads/ledger", git(folder, "rev-parse", "ledger~1"))
    with pytest.raises(LedgerBroken, match="owner, who is believed, signed entry 3"):
        afresh(whole[0], folder, tmp_path / "home")
    git(folder, "update-ref", "-d", "refs/tags/checkpoint/3")
    with pytest.raises(LedgerBroken, match="entry 3 was seen before"):
        verified(whole[0], folder)
    report = verified(whole[0], folder, stale_ok=True)
    assert (report.behind, report.vouched) == (1, -1)
    assert afresh(whole[0], folder, tmp_path / "home").vouched == -1


def test_a_fork_is_refused_whoever_is_believed_to_have_made_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.push("demo/base:1")
    before = dict(world.store.objects)  # type: ignore[attr-defined]
    world.push("demo/one:1")
    exported(world, tmp_path / "one")
    assert verified(world, tmp_path / "one").vouched == 2
    world.store.objects.clear()  # type: ignore[attr-defined]
    world.store.objects.update(before)  # type: ignore[attr-defined]
    shutil.move(tmp_path / "home", tmp_path / "seen")
    world.rebuild()
    world.push("demo/two:1")
    exported(world, tmp_path / "two")
    assert verified(world, tmp_path / "two").vouched == 2
    with pytest.raises(LedgerBroken, match="a fork of that ledger"):
        afresh(world, tmp_path / "two", tmp_path / "seen")


def test_shallow_merged_replaced_or_no_ledger(whole: tuple[World, Path], tmp_path: Path) -> None:
    world, source = whole
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{source}", "shallow")
    with pytest.raises(LedgerBroken):
        afresh(world, tmp_path / "shallow", tmp_path / "home")
    merged = copied(source, tmp_path / "merged")
    tree, tip = git(merged, "rev-parse", "ledger^{tree}", "ledger").split()
    two = git(merged, "commit-tree", tree, "-p", tip, "-p", f"{tip}~2", stdin=b"x")
    git(merged, "update-ref", "refs/heads/ledger", two)
    with pytest.raises(LedgerBroken):
        afresh(world, merged, tmp_path / "home")
    replaced = copied(source, tmp_path / "replaced")
    git(replaced, "replace", "ledger", "ledger~2")
    assert afresh(world, replaced, tmp_path / "home").n == 3
    git(tmp_path, "init", "-q", "--bare", "empty")
    with pytest.raises(NotFound, match="no exported ledger"):
        afresh(world, tmp_path / "empty", tmp_path / "home")


def test_a_hostile_clone_runs_nothing(whole: tuple[World, Path], tmp_path: Path) -> None:
    folder = copied(whole[1], tmp_path / "c")
    trace, run, hooks = tmp_path / "it ran", tmp_path / "run.sh", tmp_path / "hooks"
    run.write_text(f'#!/bin/sh\ntouch "{trace}"\ncat\n')
    run.chmod(0o755)
    hooks.mkdir()
    for name in ("reference-transaction", "post-index-change", "pre-auto-gc"):
        shutil.copy(run, hooks / name)
    with (folder / "config").open("a") as config:
        config.write(PROGRAMS.format(run=run, hooks=hooks))
    assert afresh(whole[0], folder, tmp_path / "home").n == 3
    exported(whole[0], folder)
    assert not trace.exists()


@pytest.mark.parametrize("object_format", FORMATS)
def test_a_lost_ledger_is_put_back(tmp_path: Path, object_format: str) -> None:
    world = World(tmp_path)
    world.push("demo/base:1")
    world.push("demo/child:1", None, "derived-from=demo/base:1")
    world.quarantine("demo/base:1")
    exported(world, tmp_path / "a", object_format)
    objects, blobs = world.store.objects, world.store.blob_bytes  # type: ignore[attr-defined]
    kept = dict(objects)
    with Repository.open(tmp_path / "a") as repository:
        report = verify(repository, world.home, world.trust, world.store.location, world.now)
        with pytest.raises(AlreadyThere, match="there is a ledger"):
            restore(world.store, repository, world.trust, report)
        objects.clear()
        objects[entry_key(2)] = b"{}"
        with pytest.raises(AlreadyThere, match="another entry 2"):
            restore(world.store, repository, world.trust, report)
        assert entry_key(0) not in objects  # until the end nobody takes it for a registry
        objects[entry_key(2)] = kept[entry_key(2)]  # of a run that was cut off
        objects[entry_key(4)] = kept[entry_key(2)]
        with pytest.raises(AlreadyThere, match="a later export"):
            restore(world.store, repository, world.trust, report)
        del objects[entry_key(4)]
        lost = next(digest for digest, raw in blobs.items() if b"dsseEnvelope" in raw)
        del blobs[lost]
        done = restore(world.store, repository, world.trust, report)
    assert (done.entries, done.blobs) == (4, 1)
    assert objects == kept
    assert put_bytes(world.store, blobs[lost]) == lost == Digest.of(blobs[lost])
    world.rebuild()
    assert world.code("demo/child:1") == 11


@pytest.mark.parametrize("at", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_damaged_pack_is_no_ledger(whole: tuple[World, Path], tmp_path: Path, at: float) -> None:
    """Wherever it is, and in the index, too: it is never verified, and a clone mends it."""
    world, folder = whole
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    git(damaged, "repack", "-qad")
    truth = verified(world, damaged)
    (pack,) = (damaged / "objects/pack").glob("*.pack")
    for path in (pack, pack.with_suffix(".idx")):
        path.chmod(0o644)
        raw = path.read_bytes()
        start = int(at * (len(raw) - 40))
        path.write_bytes(raw[:start] + bytes(b ^ 0xFF for b in raw[start : start + 40]))
        if at == 0.5:
            path.write_bytes(raw[: len(raw) // 2])
        try:
            found = verified(world, damaged)
            # A check sum that nobody reads may have been hit: then all of it was seen.
            assert found.wrong or (found.n, found.believed) == (truth.n, truth.believed)
        except StemmaError as error:
            assert exits.code_of(error) in (exits.BYTES_DIFFER, exits.UNDECIDED), error
        path.write_bytes(raw)
    assert verified(world, damaged).whole
