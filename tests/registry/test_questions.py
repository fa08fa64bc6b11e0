"""What `stemma trace` may be asked: packages, signers, stages, filters, earlier entries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.packages import BadPackage
from stemma_attestations.predicates import provenance
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import Window
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import packages, past
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.compare import differences
from stemma_registry.errors import NotFound, Refused
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.trace import ANY, Direction, Only, Trace, trace
from stemma_registry.measures import matching
from stemma_registry.questions import as_of, losses, starting
from stemma_registry.questions.as_of import Moment
from stemma_registry.reference import resolve
from tests.stating import bom, edges, lineage_of, node, say
from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """raw -> m -> n; ada may speak for models, nobody knows eve."""
    world = World(tmp_path)
    world.trust_also("ada", ["models/**"])
    world.push("data/raw:1", {"a.txt": b"a"})
    world.push("models/m:1", None, "trained-on=data/raw:1", kind="model", by="ada")
    world.push("models/n:1", None, "fine-tuned-from=models/m:1", kind="model")
    yield world
    world.registry.close()


def ask(
    world: World, text: str, up: bool = False, only: Only = ANY, limit: int | None = None
) -> Trace:
    way = Direction.UP if up else Direction.DOWN
    with world.view() as view:
        return trace(
            view, starting.start(view, world.store, text, way, Window()), way, None, only, limit
        )


def names(found: Trace) -> set[str]:
    return {one.label for one in found.nodes.values() if one.id != found.start}


def first(found: Trace) -> dict[str, tuple[str | None, Assurance]]:
    """What a start that is no node leads to: by which file or package, on what word."""
    return {
        found.nodes[found.far_end(edge)].label: (edge.path, edge.assurance)
        for edge in found.edges
        if found.start in (edge.input, edge.output)
    }


TORCH = "pkg:pypi/torch@"
ASKED = [
    ("pkg:pypi/torch", {"2.0.0", "2.1.0+cu118", "2.3.0rc1", "1.13.1", "nightly"}),
    (f"{TORCH}2.1.0", {"2.1.0+cu118", "nightly"}),
    (f"{TORCH}2.1", {"2.1.0+cu118", "nightly"}),
    (f"{TORCH}2.1.0+cu118", {"2.1.0+cu118", "nightly"}),
    (f"{TORCH}>=2.0,<2.3", {"2.0.0", "2.1.0+cu118", "nightly"}),
    (f"{TORCH}~=2.0", {"2.0.0", "2.1.0+cu118", "2.3.0rc1", "nightly"}),
    (f"{TORCH}<2", {"1.13.1", "nightly"}),
    (f"{TORCH}nightly", {"nightly"}),
    ("pkg:pypi/Torch@2.0.0?arch=x", {"2.0.0", "nightly"}),
]


@pytest.mark.parametrize(("text", "expected"), ASKED)
def test_a_package_and_the_versions_of_it(world: World, text: str, expected: set[str]) -> None:
    versions = ["2.0.0", "2.1.0+cu118", "2.3.0rc1", "1.13.1", "nightly"]
    for i, version in enumerate(versions):
        world.push(f"models/p{i}:1", kind="model")
        say(world, bom(world, f"models/p{i}:1", [f"{TORCH}{version}", "pkg:pypi/numpy@1.26"]))
    found = first(ask(world, text))
    assert {path for path, _ in found.values()} == {f"{TORCH}{v}" for v in expected}
    world.rebuild()
    assert first(ask(world, text)) == found


def test_a_package_leads_downstream_and_upstream(world: World) -> None:
    say(world, bom(world, "models/m:1", ["pkg:npm/%40types/node@1.0.0", "pkg:pypi/Evil_Lib@1"]))
    assert names(ask(world, "pkg:pypi/evil.lib@1")) == {"models/m:1", "models/n:1"}
    assert names(ask(world, "pkg:npm/@types/node")) == {"models/m:1", "models/n:1"}
    assert names(ask(world, "pkg:npm/@types/node@1.0.0")) == {"models/m:1", "models/n:1"}
    assert "data/raw:1" in names(ask(world, "pkg:pypi/evil-lib", up=True))
    with world.view() as view:
        start = starting.start(view, world.store, "pkg:pypi/evil-lib", Direction.DOWN, Window())
        _, paths = between(view, start, resolve(view, "models/n:1").node)
    assert [[edge.relation for edge in path] for path in paths] == [
        ["packaged-with", "fine-tuned-from"]
    ]


def test_a_package_that_provenance_names_leads_on_too(world: World) -> None:
    """What `--up` shows as where something came from can be asked about."""
    world.push("models/o:1", kind="model")
    base = "pkg:huggingface/acme/Base"
    uris = ["pkg:pypi/Evil.Lib@2.0", "pkg:generic/corpus@3?x=y", f"{base}@v1", f"{base}-2@v1"]
    uris.append("https://huggingface.co/datasets/acme/x/tree/v2")
    made = {
        "buildDefinition": {
            "buildType": "https://example.com/train",
            "externalParameters": {},
            "resolvedDependencies": [{"uri": uri} for uri in uris],
        },
        "runDetails": {"builder": {"id": "https://example.com/builder"}},
    }
    with world.view() as view:
        about = ResourceDescriptor("models/o:1", digests=(resolve(view, "models/o:1").digest,))
    say(world, Statement.build([about], provenance.TYPE, made))
    say(world, bom(world, "models/m:1", ["pkg:pypi/evil-lib@2"]))
    above = {label for label in names(ask(world, "models/o:1", up=True)) if "git:" not in label}
    assert len(above) == len(uris)
    for label in above:
        assert "models/o:1" in names(ask(world, label)), label
        assert "models/o:1" in names(ask(world, label.replace("hf:", "pkg:huggingface/")))
    for text in ("pkg:pypi/evil_lib", "pkg:pypi/evil-lib@>=2,<3", "pkg:pypi/evil-lib@2.0.0"):
        found = ask(world, text)
        assert {"models/m:1", "models/n:1", "models/o:1"} <= names(found)
        kinds = {str(edge.assurance) for edge in found.edges if edge.relation != "packaged-with"}
        assert kinds == {"attested", "claimed"}, "provenance that names no bytes is a claim"
    for text in ("pkg:generic/corpus", base, f"{base}@v1", "pkg:huggingface/datasets/acme/x"):
        assert names(ask(world, text)) >= {"models/o:1"}
        assert len(first(ask(world, text))) == 1, "another name that begins so is another thing"
    with world.view() as view:
        for text, said in (("pkg:generic/corpus@3", 2), ("pkg:pypi/evil-lib", 1)):
            seen = matching.preview(view, matching.packages(text), world.signer("owner"))
            assert len(seen.warnings) == said
            assert "a claim and stops nothing" in seen.warnings[-1]
            assert "models/o:1" not in {str(one.version.name) for one in seen.affected}
    for text in ("pkg:pypi/evil-lib@3", "pkg:generic/corp", "pkg:generic/corpu_"):
        with pytest.raises(NotFound):
            ask(world, text)
    with pytest.raises(NotFound, match=r"hf:acme/Base; of hf:acme/Base@v1 one does"):
        ask(world, "hf:acme/Base")
    with pytest.raises(NotFound, match=r"hf:acme/Bas$"):
        ask(world, "hf:acme/Bas")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("pkg:", BadPackage),
        ("pkg:pypi", BadPackage),
        ("pkg:pypi/torch@>=2,nonsense", BadPackage),
        ("pkg:npm/left@>=1", BadPackage),
        ("pkg:pypi/unheard-of", NotFound),
        ("pkg:pypi/sqlalchemy@0.0.1", NotFound),
        ("signer:nobody", NotFound),
        ("stage:prod", NotFound),
    ],
)
def test_what_cannot_be_asked(world: World, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(world, text)


def test_hostile_boms_are_read_as_far_as_they_go(world: World) -> None:
    purls = ["pkg:pypi/x@1", "pkg:pypi/x@1", "nonsense", "pkg:pypi/a%00b@%00", "pkg:pypi/y" * 9000]
    nested = {"metadata": {"component": {"components": [{"purl": "pkg:pypi/deep@1"}]}}}
    say(world, bom(world, "models/m:1", purls, nested))
    say(world, bom(world, "models/n:1", [], {"components": "none", "metadata": 5}))
    assert "models/m:1" in names(ask(world, "pkg:pypi/x@1"))
    assert "models/m:1" in names(ask(world, "pkg:pypi/deep"))


def test_a_strangers_bom_is_shown_and_marked(world: World) -> None:
    say(world, bom(world, "models/m:1", ["pkg:pypi/evil@1"]), by="eve")
    assert first(ask(world, "pkg:pypi/evil")) == {
        "models/m:1": ("pkg:pypi/evil@1", Assurance.SIGNED)
    }


def test_lists_of_packages_are_kept_once(world: World) -> None:
    """What a machine has installed is the same from push to push."""
    with world.view() as view:
        sets = view.connection.execute(t.environment.select()).all()
        lists = view.connection.execute(t.packaged.select()).all()
        rows = view.connection.execute(t.environment_package.select()).all()
        assert (len(sets), len(lists)) == (1, 3)
        assert len(rows) == len(view.connection.execute(t.package.select()).all()) > 10
        assert packages.versions(view.connection, "pkg:pypi/sqlalchemy")


def test_a_signer_by_principal_and_by_key(world: World) -> None:
    key = world.signer("ada").id
    for text in ("signer:ada", f"signer:{key}", f"signer:{key[:12]}"):
        assert names(ask(world, text)) == {"models/m:1", "models/n:1"}
    world.push("models/x:1", kind="model", by="eve")
    assert {word for _, word in first(ask(world, f"signer:{world.signer('eve').id}")).values()} == {
        Assurance.SIGNED
    }


def test_a_window_is_of_a_signer(world: World) -> None:
    with world.view() as view, pytest.raises(Refused, match="signer"):
        starting.start(view, world.store, "models/m:1", Direction.DOWN, Window(world.now, None))


def test_only_some_relations_and_assurances(world: World) -> None:
    world.push("models/s:1", None, "distilled-from=models/m:1", kind="model", by="eve")
    assert names(ask(world, "data/raw:1")) == {"models/m:1", "models/n:1", "models/s:1"}
    trained = Only(frozenset({"trained-on"}))
    assert names(ask(world, "data/raw:1", only=trained)) == {"models/m:1"}
    assert names(ask(world, str(Digest.of(b"a")), only=trained)) == {"data/raw:1", "models/m:1"}
    believed = Only(assurance=Assurance.ATTESTED)
    assert names(ask(world, "data/raw:1", only=believed)) == {"models/m:1", "models/n:1"}


def test_a_limit_shows_the_nearest_and_counts_the_rest(world: World) -> None:
    found = ask(world, "data/raw:1", limit=1)
    assert (names(found), found.left_out) == ({"models/m:1"}, 1)
    assert ask(world, "data/raw:1", limit=2).left_out == 0
    assert {edge.output for edge in found.edges} <= found.nodes.keys()


def test_a_file_and_a_pointer_to_it(world: World, tmp_path: Path) -> None:
    file, pointer = tmp_path / "a.txt", tmp_path / "pointer"
    file.write_bytes(b"a")
    digest = Digest.of(b"a").value
    pointer.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 1\n")
    expected = {"data/raw:1", "models/m:1", "models/n:1"}
    assert names(ask(world, str(file))) == names(ask(world, str(pointer))) == expected
    pointer.write_text(f"version https://example.org\noid sha256:{digest}\nsize 1\n")
    with pytest.raises(NotFound):
        ask(world, str(pointer))


def test_a_file_that_is_used_and_made_is_followed_both_ways(world: World) -> None:
    """A file of one artifact that came from another: what contains it is downstream too."""
    part = Digest.of(b"part")
    world.push("data/holder:1", {"part": b"part", "x": b"x"})
    world.push("models/u:1", None, f"trained-on={part}", kind="model")
    with world.view() as view:
        raw = resolve(view, "data/raw:1").digest
    say(world, lineage_of([(raw, part, "derived-from")]))
    found = names(ask(world, "data/raw:1"))
    assert {"data/holder:1", "models/u:1"} <= found
    with world.view() as view:
        ends = (resolve(view, "data/raw:1").node, resolve(view, "data/holder:1").node)
        way, paths = between(view, *ends)
    assert [[edge.relation for edge in path] for path in paths] == [["derived-from", "contains"]]
    assert way.ways == 1


# As of an earlier entry.


def answer(world: World, moment: Moment, start: str = "data/raw:1") -> tuple[object, ...]:
    """Everything that a trace shows, ids left out."""
    with world.view() as view, as_of.looking_back(view, world.store, moment) as earlier:
        found = trace(earlier, resolve(earlier, start).node, Direction.DOWN)
        digest = {number: one.digest for number, one in found.nodes.items()}
        return (
            found.entry,
            [
                (one.digest, one.label, one.kind, one.names, one.depth, one.quarantined, one.erased)
                for one in found.nodes.values()
            ],
            [
                (digest[one.input], digest[one.output], one.relation, one.path, one.words)
                for one in found.edges
            ],
        )


def test_every_table_is_narrowed_or_said_to_need_no_narrowing() -> None:
    classes = past.classes()
    assert all(classes.values()), "a new table: does `--as-of` hide its later rows?"
    narrowed = set(classes) | past.TIMELESS | past.TODAY
    assert narrowed == {table.name for table in t.metadata.sorted_tables}


def test_an_answer_as_of_an_entry_is_the_same_for_ever(world: World) -> None:
    kept = {Moment(n): answer(world, Moment(n)) for n in range(1, 4)}

    def later() -> None:
        with world.view() as view:
            n = view.n
        kept[Moment(n)] = answer(world, Moment(n))
        for moment, before in kept.items():
            assert answer(world, moment) == before, moment

    stop = world.quarantine("data/raw:1")
    later()
    world.push("models/late:1", None, "trained-on=data/raw:1", kind="model")
    later()
    world.release(stop)
    later()
    world.push("models/m:2", {"data.txt": b"models/m:1"}, "trained-on=data/raw:1", kind="model")
    later()
    world.push("models/n:1", {"data.txt": b"models/n:1"}, "trained-on=data/raw:1", by="eve")
    later()
    say(world, edges([(1, 2, "derived-from")]), by="eve")
    later()
    world.rebuild()
    later()
    assert len({str(one) for one in kept.values()}) > 4


def test_an_earlier_entry_is_what_the_ledger_was_then(world: World, tmp_path: Path) -> None:
    """The same as in a catalogue that was projected so far and no further."""
    world.quarantine("models/m:1")
    world.push("models/late:1", None, "trained-on=data/raw:1", kind="model")
    with world.view() as view:
        last = view.n
    now = answer(world, Moment(last))
    with world.view() as view:
        found = trace(view, resolve(view, "data/raw:1").node, Direction.DOWN)
    assert [one.digest for one in found.nodes.values()] == [row[0] for row in now[1]]  # type: ignore[attr-defined]
    for n in range(1, last + 1):
        assert answer(world, Moment(n))[0] == n


def test_a_late_key_changes_no_earlier_answer(world: World) -> None:
    """A statement that came without its key is unsigned until the key comes."""
    from stemma_registry.care.uploads import Uploads
    from stemma_registry.ledger.entry import PUSH, Event
    from stemma_registry.registry import record

    signer = world.signer("owner")
    with world.view() as view:
        raw, last = resolve(view, "data/raw:1").digest, view.n
    statement = lineage_of([(raw, node(1), "derived-from")])
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    bundle = uploads.put(signer.sign(statement).raw)

    def append(*keys: Digest) -> None:
        event = Event(PUSH, bundles=(bundle,), keys=keys)
        record(world.registry, world.trust, signer, world.now, lambda: [event], uploads)

    append()
    before = answer(world, Moment(last + 1))
    assert Assurance.CLAIMED in {edge[4][0].assurance for edge in before[2]}  # type: ignore[attr-defined]
    append(*(uploads.put(key) for key in signer.keys))
    assert answer(world, Moment(last + 1)) == before
    after = answer(world, Moment(last + 2))
    assert {edge[4][0].assurance for edge in after[2]} == {Assurance.ATTESTED}  # type: ignore[attr-defined]
    world.rebuild()
    assert answer(world, Moment(last + 1)) == before


def test_what_was_not_known_then_is_not_found(world: World) -> None:
    with world.view() as view:
        target = resolve(view, "models/n:1").digest
    for text in ("models/n:1", str(target), target.short):
        with pytest.raises(NotFound):
            answer(world, Moment(2), text)
    with pytest.raises(NotFound, match="newest is 3"):
        answer(world, Moment(99))


def test_as_of_a_time(world: World) -> None:
    world.now = datetime.now(UTC)
    assert answer(world, Moment(time=world.now))[0] == 3
    with pytest.raises(NotFound, match="began after"):
        answer(world, Moment(time=world.now - timedelta(days=9000)))
    with pytest.raises(as_of.BadMoment, match="not come yet"):
        answer(world, Moment(time=world.now + timedelta(days=1)))
    with pytest.raises(as_of.BadMoment):
        Moment.parse("yesterday")


def test_packages_as_of_an_entry(world: World) -> None:
    entry = say(world, bom(world, "models/m:1", ["pkg:pypi/evil@1"]))

    def asked(n: int) -> Trace:
        with world.view() as view, as_of.looking_back(view, world.store, Moment(n)) as past_view:
            start = starting.start(
                past_view, world.store, "pkg:pypi/evil@1", Direction.DOWN, Window()
            )
            return trace(past_view, start, Direction.DOWN)

    assert names(asked(entry)) == {"models/m:1", "models/n:1"}
    with pytest.raises(NotFound):
        asked(entry - 1)


def test_coverage_of_an_ancestry(world: World) -> None:
    world.push("data/odd:1", by="eve")
    world.push("models/n:2", None, "trained-on=data/odd:1", "fine-tuned-from=models/m:1")
    with world.view() as view:
        counts = losses.coverage(world.registry, view, "models/n:2")
    assert (counts["attested"], counts["signed"], sum(counts.values())) == (2, 1, 3)


def test_the_catalogue_compares_equal(world: World) -> None:
    say(world, bom(world, "models/m:1", ["pkg:pypi/evil@1", "pkg:pypi/b@2"]))
    with world.view() as view, world.registry.catalogue.reading() as again:
        assert list(differences(view.connection, again)) == []
