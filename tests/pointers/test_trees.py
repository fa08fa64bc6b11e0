"""The tree that Git makes of what `add` or `git lfs` left leads to the artifact."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations import gittree
from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import git_layout, provenance
from stemma_attestations.predicates.git_layout import Layout
from stemma_attestations.times import Window
from stemma_registry import aliased, layouts, trees
from stemma_registry.catalogue import manifests
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.importing import commits
from stemma_registry.importing.commits import Wanted
from stemma_registry.ledger.log import read_entry
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.pointers import adding
from stemma_registry.pointers.adding import Wish
from stemma_registry.publish import Outcome
from stemma_registry.questions import as_of, starting
from stemma_registry.questions.as_of import Moment
from stemma_registry.reference import resolve
from stemma_registry.trees import Pointers
from tests.pointers.conftest import MODEL, Bench
from tests.registry.collecting import gc
from tests.registry.test_edges import built_from, is_rebuilt_the_same, say

FOLDER = {**MODEL, "tools/run.sh": b"#!/bin/sh\n", "tools/README": b"run it\n"}


def write(bench: Bench) -> None:
    bench.write("models/qa", FOLDER)
    (bench.root / "models/qa/tools/run.sh").chmod(0o755)


def committed(bench: Bench, path: str = "models/qa") -> str:
    return f"gitTree:{bench.checkout.git('rev-parse', f'HEAD:{path}')}"


def found(bench: Bench, text: str) -> str:
    with bench.world.view() as view:
        return aliased.resolve(view, bench.world.store, text).label


def traced(bench: Bench, text: str) -> set[str]:
    with bench.world.view() as view:
        start = starting.start(view, bench.world.store, text, Direction.DOWN, Window())
        return {one.label for one in trace(view, start, Direction.DOWN).nodes.values()}


def imported(bench: Bench, path: str, name: str) -> commits.Imported:
    world = bench.world
    wanted = Wanted(str(bench.root), "HEAD", path, NameVersion.parse(name), "model")
    with Repository.open(bench.root) as repo:
        return commits.take(
            world.registry, world.trust, world.signer("owner"), repo, wanted, world.now
        )


def test_what_was_added_is_found_by_its_tree(bench: Bench, tmp_path: Path) -> None:
    bench.lfs()
    write(bench)
    bench.add("models/qa", "models/qa:1")
    bench.commit()
    tree, world = committed(bench), bench.world
    world.push("models/child:1", None, "fine-tuned-from=models/qa:1", kind="model")
    for _ in range(2):
        assert found(bench, tree) == "models/qa:1"
        assert traced(bench, tree) == {"models/qa:1", "models/child:1"}
        gc(world, timedelta())
        is_rebuilt_the_same(world, tmp_path)
        assert world.audit().whole
        world.rebuild()
    with world.view() as view:
        at = resolve(view, "models/qa:1")
        form = "sha1" if len(tree) < 60 else "sha256"
        said = trees.of_artifact(world.registry, view, at, form, Pointers.SAID)
    assert str(said) == tree
    again = bench.add("models/qa", "models/qa:1")  # pointers now, and the same layout
    assert again.published is not None
    assert again.published.outcome is Outcome.UNCHANGED


def test_what_git_lfs_committed_is_found_by_its_tree(bench: Bench) -> None:
    bench.lfs()
    lines = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    bench.write("", {".gitattributes": lines})
    write(bench)
    bench.commit()
    imported(bench, "models/qa", "hub/qa:1")
    imported(bench, "", "hub/all:1")
    assert found(bench, committed(bench)) == "hub/qa:1"
    assert traced(bench, committed(bench)) == {"hub/qa:1"}
    assert found(bench, committed(bench, "")) == "hub/all:1"


def test_the_whole_work_tree_is_found_by_its_tree(one: Bench) -> None:
    one.lfs()
    write(one)
    one.add("", "models/all:1")
    one.commit()
    assert found(one, committed(one, "")) == "models/all:1"


def test_who_said_all_but_the_layout_adds_that_alone(
    one: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.lfs()
    write(one)
    with monkeypatch.context() as before:
        before.setattr(git_layout, "of", lambda *_: None)
        first = one.add("models/qa", "models/qa:1").published
    assert first is not None
    assert layouts_of(one) == []
    for outcome, count in ((Outcome.ADDED, 1), (Outcome.UNCHANGED, 0)):
        done = one.add("models/qa", "models/qa:1").published
        assert done is not None
        assert done.outcome is outcome
        if done.entry is not None:
            entry = read_entry(one.world.store, done.entry)
            assert [len(event.bundles) for event in entry.events] == [count]
    one.commit()
    weights = frozenset({"model-1.safetensors", "model-2.safetensors"})
    assert layouts_of(one) == [Layout(weights, executable=frozenset({"tools/run.sh"}))]
    assert found(one, committed(one)) == "models/qa:1"
    with (
        one.world.view() as view,
        as_of.looking_back(view, one.world.store, Moment(first.entry)) as past,
        pytest.raises(NotFound),
    ):
        aliased.resolve(past, one.world.store, committed(one))


def test_what_a_job_pushed_is_found_once_somebody_signs_how_it_lies(one: Bench) -> None:
    one.lfs()
    write(one)
    here = one.world
    here.push("models/qa:1", FOLDER, kind="model")
    one.add("models/qa")
    one.commit()
    with pytest.raises(NotFound):
        found(one, committed(one))
    for is_new in (True, False):
        done = adding.add(
            *(here.registry, here.trust, here.signer("owner"), one.root / "models/qa"),
            *(None, Wish(), here.now),
        )
        assert (done.published, done.laid is not None) == (None, is_new)
    assert found(one, committed(one)) == "models/qa:1"


def test_a_layout_only_offers_whoever_says_it(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong one has another tree, a right one of a stranger is as good as any."""
    one.lfs()
    world = one.world
    write(one)
    one.add("models/qa", "models/qa:1")
    one.commit()
    twin = {path: data[::-1] for path, data in FOLDER.items()}
    world.push("models/twin:1", twin, kind="model")
    plain = {"config.json", "tools/README", "tools/run.sh"}
    for count in range(LIMITS.tree_layouts + 1):  # the mode of one file is not said
        wrong = git_layout.build(Layout(frozenset({*plain, f"none-{count}"}), pointers=False))
        for ref in ("models/qa:1", "models/twin:1"):
            say(world, git_layout.TYPE, wrong, ref, by="stranger")
    garbage = {"pointers": ["model-1.safetensors"], "plain": []}
    say(world, git_layout.TYPE, garbage, "models/qa:1", by="stranger")
    tree = committed(one)
    assert found(one, tree) == "models/qa:1"
    monkeypatch.setattr(trees, "LIMITS", type(LIMITS)(tree_search_bytes=30))
    assert found(one, tree) == "models/qa:1"  # what strangers take is theirs alone
    other = Layout(frozenset({"tools/run.sh"}), pointers=False)
    world.push("models/by:1", FOLDER | {"more": b"x" * 9}, kind="model")
    with world.view() as view:
        (_, entries), *_ = manifests.entries(view.connection, [resolve(view, "models/by:1").node])
        blobs = {
            entry.path: gittree.blob_id("sha1", FOLDER[entry.path])
            if entry.path == "tools/run.sh"
            else gittree.pointer_id("sha1", entry)
            for entry in entries
        }
    text = str(gittree.tree_id("sha1", blobs))
    with pytest.raises(NotFound):
        found(one, text)
    say(world, git_layout.TYPE, git_layout.build(other), "models/by:1", by="stranger")
    assert found(one, text) == "models/by:1"
    assert world.code("models/by:1") == 0


def test_a_quarantine_takes_the_committed_tree_along(one: Bench) -> None:
    one.lfs()
    world = one.world
    write(one)
    one.add("models/qa", "models/qa:1")
    one.commit()
    material = {"digest": {"gitTree": committed(one).partition(":")[2]}}
    world.push("models/built:1", kind="model")
    say(world, provenance.TYPE, built_from(material), "models/built:1")
    seen = world.preview("models/qa:1", store=world.store)
    assert Digest.parse(committed(one)) in {target.digest for target in seen.targets}
    assert "models/built:1" in {str(item.version.name) for item in seen.affected if item.blocked}


def test_what_is_too_long_is_not_said(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_layout, "MAX_PATHS", 2)
    write(one)
    done = one.add("models/qa", "models/qa:1").published
    assert done is not None
    assert layouts_of(one) == []
    assert any("too long to say" in one for one in done.warnings)


def layouts_of(bench: Bench, ref: str = "models/qa:1") -> list[Layout | None]:
    with bench.world.view() as view:
        facts = layouts.said(view, [resolve(view, ref).node]).values()
        return [layouts.read(bench.world.store, fact) for each in facts for fact, _ in each]
