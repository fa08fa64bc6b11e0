"""One thing is one node, by whatever its bytes are called; different things never are."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemma_attestations import gittree
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadManifest, BadPath, Undecided
from stemma_attestations.manifest import Manifest
from stemma_attestations.predicates import lineage, provenance, signature
from stemma_attestations.relations import SAME_AS
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import Window
from stemma_registry import aliased, custody, describe, trees
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import manifests, query
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused
from stemma_registry.foreign.attest import signed_event
from stemma_registry.lineage.trace import Direction, Trace, trace
from stemma_registry.questions import as_of, starting
from stemma_registry.questions.as_of import Moment
from stemma_registry.reference import resolve
from stemma_registry.registry import record
from stemma_registry.trees import Pointers
from tests.building import manifest_of
from tests.git.repositories import Checkout
from tests.registry.test_edges import built_from, is_rebuilt_the_same, say
from tests.world import World

FILES = {"a.txt": b"one\n", "b/c.txt": b"two\n"}
TWIN = {"b.txt": b"one\n", "c/c.txt": b"two\n"}  # other paths, the same root
ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
MODEL = {".gitattributes": ATTRIBUTES, "model.bin": b"\0\1weights" * 50, "README.md": b"read\n"}


def sign(world: World, statement: Statement, by: str = "owner") -> int:
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    event = signed_event(uploads, world.signer(by), statement)
    entry = record(
        world.registry, world.trust, world.signer(by), world.now, lambda: [event], uploads
    )
    assert entry is not None
    return entry


def signs(world: World, files: dict[str, bytes], old: bool = False) -> int:
    """What model_signing signs of these files, in the ledger by itself."""
    if not old:
        return sign(world, signature.build(manifest_of(files), "m"))
    subjects = [ResourceDescriptor(name=n, digests=(Digest.of(d),)) for n, d in files.items()]
    return sign(world, Statement.build(subjects, signature.TYPE_V0, {"unused": "x"}))


def kinds(world: World, ref: str) -> list[str]:
    with world.view() as view:
        return [
            f.predicate_type for f in query.facts_about(view.connection, resolve(view, ref).node)
        ]


def tree(files: dict[str, bytes], form: Any = "sha1") -> Digest:
    blobs = {path: gittree.blob_id(form, data) for path, data in files.items()}
    return gittree.tree_id(form, blobs)


def asked(world: World, text: str, way: Direction = Direction.DOWN) -> Trace:
    with world.view() as view:
        return trace(view, starting.start(view, world.store, text, way, Window()), way)


def names(found: Trace) -> set[str]:
    return {one.label for one in found.nodes.values()}


def found(world: World, text: str) -> str:
    with world.view() as view:
        return aliased.resolve(view, world.store, text).label


# --- OpenSSF model signatures ---------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_a_model_signature_meets_the_artifact_whose_files_it_lists(
    world: World, tmp_path: Path, early: bool, old: bool
) -> None:
    if early:
        signs(world, FILES, old)
    world.push("acme/twin:1", TWIN)
    world.push("acme/m:1", FILES)
    if not early:
        signs(world, FILES, old)
    kind = signature.TYPE_V0 if old else signature.TYPE
    assert kinds(world, "acme/m:1").count(kind) == 1
    assert kind not in kinds(world, "acme/twin:1")  # the same root, and other paths
    with world.view() as view:
        listed = describe.attestations(world.registry, view, "acme/m:1")
    assert kind in {one.fact.predicate_type for one in listed}
    assert world.code("acme/m:1") == 0
    is_rebuilt_the_same(world, tmp_path)


def test_what_is_only_known_later_is_not_known_before(world: World) -> None:
    world.push("acme/other:1")
    n = signs(world, FILES)
    digest = world.push("acme/m:1", FILES).artifact

    def then(node_of: str) -> list[str]:
        moment = as_of.looking_back(view, world.store, Moment(n))
        with moment as past:
            node = query.node_id(past.connection, Digest.parse(node_of))
            return (
                []
                if node is None
                else [f.predicate_type for f in query.facts_about(past.connection, node)]
            )

    with world.view() as view:
        assert then(str(digest)) == []
        assert then(str(manifest_of(FILES).oms_root)) == [signature.TYPE]


@pytest.mark.parametrize(
    "files",
    [TWIN, {**FILES, "more": b"x"}, {"a.txt": b"one\n"}, {**FILES, "a.txt": b"changed"}],
)
def test_a_signature_of_other_files_meets_nothing(world: World, files: dict[str, bytes]) -> None:
    world.push("acme/m:1", FILES)
    signs(world, files)
    assert signature.TYPE not in kinds(world, "acme/m:1")


def test_a_root_is_found_and_two_layouts_are_said(world: World) -> None:
    root = str(manifest_of(FILES).oms_root)
    with pytest.raises(NotFound):
        found(world, root)
    world.push("acme/m:1", FILES)
    assert found(world, root) == "acme/m:1"
    assert "acme/m:1" in names(asked(world, root))
    signs(world, FILES)  # the root is a node now, of nobody's bytes
    assert found(world, root) == "acme/m:1"
    world.push("acme/twin:1", TWIN)
    for ask in (found, asked):
        with pytest.raises(BadDigest, match=r"OMS root of 2 artifacts.*acme/m:1, acme/twin:1"):
            ask(world, root)
    with world.view() as view, pytest.raises(BadDigest, match="2 artifacts"):
        custody.preview(view, root, world.signer("owner"))


def test_the_gate_takes_no_alias(world: World) -> None:
    world.push("acme/m:1", FILES)
    root = str(manifest_of(FILES).oms_root)
    for text in (root, str(tree(FILES))):
        assert world.code(text) == 3
    signs(world, FILES)
    assert world.code(root) == 3


# --- Git trees ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", gittree.FORMATS)
def test_the_tree_of_an_artifact_is_what_git_says(world: World, tmp_path: Path, form: Any) -> None:
    checkout = Checkout.make(tmp_path / "work", form)
    for path, data in MODEL.items():
        (checkout.root / "models").mkdir(exist_ok=True)
        (checkout.root / "models" / path).write_bytes(data)
    world.push("acme/m:1", MODEL, kind="model")

    def ours(pointers: str) -> str:
        with world.view() as view:
            at = resolve(view, "acme/m:1")
            return trees.of_artifact(world.registry, view, at, form, Pointers(pointers)).value

    (checkout.root / "models/.gitattributes").rename(checkout.root / "kept")
    (checkout.root / "models/.gitattributes").write_bytes(ATTRIBUTES)
    checkout.git("-c", "filter.lfs.clean=cat", "-c", "filter.lfs.process=", "add", "models")
    assert ours("none") == checkout.git("rev-parse", checkout.git("write-tree") + ":models")
    checkout.git("rm", "-q", "-r", "--cached", "models")
    lfs = ("-c", "filter.lfs.clean=git-lfs clean -- %f", "-c", "filter.lfs.required=true")
    checkout.git(*lfs, "add", "models")
    committed = checkout.git("rev-parse", checkout.git("write-tree") + ":models")
    assert ours("attributes") == committed
    assert found(world, f"gitTree:{committed}") == "acme/m:1"
    assert found(world, f"gitTree:{ours('all')}") == "acme/m:1"
    assert len({ours(one) for one in ("all", "none", "attributes")}) == 3
    with pytest.raises(Refused, match="stemma add"):
        ours("said")


def test_a_gitattributes_that_is_not_read_is_refused(world: World) -> None:
    world.push("acme/m:1", {".gitattributes": b"* text=auto\n", "a": b"x"})
    with world.view() as view:
        at = resolve(view, "acme/m:1")
        with pytest.raises(Refused, match="--pointers"):
            trees.of_artifact(world.registry, view, at, "sha1", Pointers.ATTRIBUTES)
        assert trees.of_artifact(world.registry, view, at, "sha1", Pointers.NONE)


def test_lost_bytes_are_no_tree(world: World) -> None:
    world.push("acme/m:1", FILES)
    world.store.delete(Digest.of(b"one\n"))
    with world.view() as view:
        at = resolve(view, "acme/m:1")
        with pytest.raises(Undecided):
            trees.of_artifact(world.registry, view, at, "sha1", Pointers.NONE)
        with pytest.raises(NotFound, match="looked at: 1; some"):
            aliased.resolve(view, world.store, str(tree(FILES)))


@pytest.fixture
def spoken(world: World) -> World:
    """A model whose builder names its dataset by a Git tree."""
    world.push("acme/m:1", kind="model")
    material = {"digest": {"gitTree": tree(FILES).value}}
    say(world, provenance.TYPE, built_from(material), "acme/m:1")
    return world


def test_a_statement_that_names_a_tree_is_found_from_tree_and_artifact(spoken: World) -> None:
    text = str(tree(FILES))
    assert names(asked(spoken, text)) == {tree(FILES).short, "acme/m:1"}
    spoken.push("acme/d:1", FILES)
    spoken.push("acme/e:1", None, "derived-from=acme/d:1")
    assert names(asked(spoken, text)) >= {"acme/d:1", "acme/e:1", "acme/m:1"}
    assert found(spoken, text) == "acme/d:1"


def test_a_quarantine_takes_along_the_names_by_which_it_is_spoken_of(
    spoken: World, tmp_path: Path
) -> None:
    spoken.push("acme/d:1", FILES)
    with spoken.view() as view:
        seen = custody.preview(view, "acme/d:1", spoken.signer("owner"), store=spoken.store)
    assert [t.digest for t in seen.targets if t.alias == "Git tree"] == [tree(FILES)]
    assert "acme/m:1" in {str(one.version.name) for one in seen.affected if one.blocked}
    custody.quarantine(
        *(spoken.registry, spoken.trust, spoken.signer("owner"), seen.targets, "bad", spoken.now)
    )
    assert spoken.code("acme/m:1") == spoken.code("acme/d:1") == 11
    is_rebuilt_the_same(spoken, tmp_path)
    spoken.release("acme/d:1")
    assert spoken.code("acme/d:1") == 0


def test_a_root_that_two_share_is_not_taken_along(world: World) -> None:
    world.push("acme/m:1", kind="model")
    root = manifest_of(FILES).oms_root
    material = {"digest": {"sha256": root.value}}
    say(world, provenance.TYPE, built_from(material), "acme/m:1")
    world.push("acme/d:1", FILES)
    seen = world.preview("acme/d:1", store=world.store)
    assert root in {one.digest for one in seen.targets}
    world.push("acme/twin:1", TWIN)
    seen = world.preview("acme/d:1", store=world.store)
    assert root not in {one.digest for one in seen.targets}
    assert any("acme/twin:1" in one for one in seen.warnings)


def test_a_tree_can_be_stopped_before_anything_is_made_from_it(world: World) -> None:
    world.quarantine(str(tree(FILES)))
    world.push("acme/m:1", kind="model")
    material = {"digest": {"gitTree": tree(FILES).value}}
    say(world, provenance.TYPE, built_from(material), "acme/m:1", by="stranger")
    assert world.code("acme/m:1") == 0
    say(world, provenance.TYPE, built_from(material), "acme/m:1")
    assert world.code("acme/m:1") == 11


def test_who_claims_a_tree_makes_the_same_thing_only_if_he_is_believed(spoken: World) -> None:
    """The dataset is too unlike the tree to be computed as it: somebody says so."""
    digest = spoken.push("acme/d:1").artifact
    edge = {
        "output": {"digest": {"sha256": digest.value}},
        "relation": SAME_AS,
        "input": {"digest": {"gitTree": tree(FILES).value}},
    }
    say(spoken, lineage.TYPE, {"edges": [edge]}, "acme/d:1", by="stranger")
    spoken.quarantine("acme/d:1")
    assert spoken.code("acme/m:1") == 0
    say(spoken, lineage.TYPE, {"edges": [edge]}, "acme/d:1")
    assert spoken.code("acme/m:1") == 11
    assert found(spoken, str(tree(FILES))) == tree(FILES).short  # an edge, and two nodes


# --- the rest -------------------------------------------------------------------------------


def test_an_lfs_oid_is_the_blob(world: World) -> None:
    world.push("acme/m:1", FILES)
    oid = hashlib.sha256(b"one\n").hexdigest()
    (world.folder / "pointer").write_bytes(gittree.pointer(manifest_of(FILES).by_path["a.txt"]))
    with world.view() as view:
        node = query.node_id(view.connection, Digest("sha256", oid))
        way = Direction.DOWN
        pointer = str(world.folder / "pointer")
        assert starting.start(view, world.store, pointer, way, Window()) == node
        assert [one.path for one in query.containers(view.connection, [node or 0])] == ["a.txt"]


names_ = st.sampled_from(["a", "b", "a/b", "a.b", "b/a"])
layouts = st.lists(
    st.dictionaries(names_, st.sampled_from([b"", b"x", b"y", b"z"]), min_size=1, max_size=3),
    min_size=2,
    max_size=4,
)


@given(layouts=layouts)
@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_different_things_never_meet(
    tmp_path_factory: pytest.TempPathFactory, layouts: list[dict[str, bytes]]
) -> None:
    """Whatever roots and trees they share, each signature is about its own artifact alone."""
    world = World(tmp_path_factory.mktemp("w"))
    made: dict[Digest, dict[str, bytes]] = {}
    for files in layouts:
        with contextlib.suppress(BadManifest, BadPath):
            made.setdefault(manifest_of(files).digest, files)
    for number, files in enumerate(made.values()):
        if number % 2:
            signs(world, files)
        world.push(f"acme/m{number}:1", files)
        if not number % 2:
            signs(world, files)
    with world.view() as view:
        for number, digest in enumerate(made):
            node = query.node_id(view.connection, digest)
            assert node is not None
            facts = query.facts_about(view.connection, node)
            bundles = [f.bundle for f in facts if f.predicate_type == signature.TYPE]
            assert len(bundles) == 1, number
            (_, entries) = next(iter(manifests.entries(view.connection, [node])))
            assert Manifest(entries).digest == digest
            tree_ = gittree.all_pointers("sha1", entries)
            assert (node, Pointers.ALL) in trees.search(view, world.store, tree_).nodes
    world.registry.close()


def test_a_search_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.push("acme/a:1", FILES)
    world.push("acme/b:1")
    monkeypatch.setattr(trees, "LIMITS", type(LIMITS)(alias_artifacts=1))
    with world.view() as view:
        seen = trees.search(view, world.store, tree(FILES))
        assert (seen.nodes, seen.looked_at, seen.cut) == ((), 1, True)
    monkeypatch.setattr(trees, "LIMITS", type(LIMITS)(tree_bytes=1))
    with world.view() as view:
        seen = trees.search(view, world.store, tree(FILES))
        assert (seen.nodes, seen.cut) == ((), True)
