"""Erasure: the bytes go, everything else stays, and every question that needed them says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BytesDiffer
from stemma_attestations.trust import TrustRoot
from stemma_registry import describe, gate
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care import erase, leases
from stemma_registry.care.audit import audit
from stemma_registry.care.collect import Collector, collect, plan
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.collection import COLLECTING, GONE, leaving
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused
from stemma_registry.ledger.entry import COLLECTED, ERASE
from stemma_registry.ledger.log import Head, entries_after
from stemma_registry.lineage.erased import stated, tombstones
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry
from stemma_registry.trust import file as trust_file
from tests.world import World

PERSONAL = b"name,born\nada,1815\n"
BLOB = Digest.of(PERSONAL)
REASON = "a person asked for it"


class Killed(BaseException):
    """The process ends here."""


class Hooked(MemoryStore):
    """Calls `on_delete` before each deletion."""

    def __init__(self) -> None:
        super().__init__()
        self.on_delete: Callable[[], object] | None = None

    def delete(self, digest: Digest) -> None:
        if self.on_delete is not None:
            self.on_delete()
        super().delete(digest)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that moves when somebody waits; the seconds that were."""
    passed: list[float] = []
    monkeypatch.setattr(leases, "elapsed", lambda: sum(passed))
    monkeypatch.setattr(leases, "pause", passed.append)
    return passed  # type: ignore[return-value]


@pytest.fixture
def store() -> Hooked:
    return Hooked()


@pytest.fixture
def world(tmp_path: Path, store: Hooked, waited: list[float]) -> World:
    """A dataset with personal data in it, another one that has the same file, and a model."""
    world = World(tmp_path, store)
    world.push("acme/people:1", {"people.csv": PERSONAL, "README": b"about people"})
    world.push("acme/copy:1", {"again.csv": PERSONAL})
    world.push("acme/model:1", {"m.bin": b"m"}, "trained-on=acme/people:1", kind="model")
    world.push("acme/other:1", {"o.txt": b"other"})
    return world


def collector(world: World, by: str = "owner", trust: TrustRoot | None = None) -> Collector:
    return Collector(world.registry, trust or world.trust, world.signer(by), world.now)


def do(
    world: World,
    text: str = "acme/people:1",
    path: str | None = "people.csv",
    by: str = "owner",
    trust: TrustRoot | None = None,
) -> erase.Erased:
    who = collector(world, by, trust)
    with who.view() as view:
        seen = erase.preview(world.registry, view, text, path, who.signer)
    return erase.erase(who, seen, REASON)


def steps(world: World, reference: str) -> str:
    """What the gate says about the bytes."""
    with pytest.raises(BytesDiffer) as caught:
        world.verify(reference)
    return "\n".join(line for step in caught.value.verdict.steps for line in step.details)


def said(world: World) -> str:
    return f"erased on {world.now:%Y-%m-%d} by owner: {REASON}"


def state(world: World) -> str | None:
    with world.view() as view:
        row = leaving(view.connection, [BLOB]).get(BLOB)
    return row.state if row else None


# --- what may be erased ---------------------------------------------------------------------


def test_the_preview_names_everything_that_needs_it(world: World) -> None:
    with world.view() as view:
        seen = erase.preview(world.registry, view, str(BLOB), None, world.signer("owner"))
    assert [(use.name, use.path) for use in seen.uses] == [
        ("acme/copy:1", "again.csv"),
        ("acme/people:1", "people.csv"),
    ]
    assert (seen.blob, seen.size, seen.erased) == (BLOB, len(PERSONAL), None)


def test_what_lineage_rests_on_is_refused(world: World) -> None:
    entry = list(entries_after(world.store, Head()))[1]
    before = set(world.store.blobs())
    for digest in entry.events[0].digests:
        with pytest.raises((Refused, NotFound)) as caught:
            do(world, str(digest), None)
        if digest in entry.events[0].artifacts:
            assert "manifest, a statement or a key" in str(caught.value)
    assert set(world.store.blobs()) == before


def test_a_file_with_the_bytes_of_a_manifest_is_refused(world: World) -> None:
    manifest = world.push("acme/inner:1", {"x": b"x"}).manifest
    world.push("acme/outer:1", {"manifest.json": manifest.raw})
    with pytest.raises(Refused, match="manifest, a statement or a key"):
        do(world, "acme/outer:1", "manifest.json")


def test_what_cannot_be_found_is_said(world: World) -> None:
    for text, path in (("acme/people:1", "nothing.csv"), (f"sha256:{'0' * 64}", None)):
        with pytest.raises(NotFound):
            do(world, text, path)
    with pytest.raises(Refused, match="--path"):
        do(world, "acme/people:1", None)
    surplus = put_bytes(world.store, b"half a push")
    with pytest.raises(NotFound):
        do(world, str(surplus), None)


def test_who_may_not_speak_for_all_that_need_it_is_refused(world: World) -> None:
    world.trust_also("people", ["acme/people"])
    with pytest.raises(Refused, match="acme/copy"):
        do(world, by="people")
    assert world.store.size(BLOB) is not None


def test_a_reason_is_required(world: World) -> None:
    with world.view() as view:
        seen = erase.preview(world.registry, view, str(BLOB), None, world.signer("owner"))
    with pytest.raises(Refused, match="reason"):
        erase.erase(collector(world), seen, "  ")


# --- afterwards -----------------------------------------------------------------------------


def test_the_bytes_are_gone_and_the_rest_is_as_it_was(world: World) -> None:
    done = do(world)
    assert world.store.size(BLOB) is None
    assert (done.deletion.blobs, done.deletion.bytes) == (1, len(PERSONAL))
    entries = list(entries_after(world.store, Head()))
    assert [event.type for entry in entries[-2:] for event in entry.events] == [ERASE, COLLECTED]
    assert state(world) == GONE
    assert PERSONAL not in b"".join(world.store.objects.values())  # type: ignore[attr-defined]
    assert world.code("acme/other:1") == 0
    assert world.code("acme/model:1") == 0
    world.rebuild()
    assert world.code("acme/other:1") == 0
    assert said(world) in steps(world, "acme/people:1")


def test_verify_says_what_was_erased(world: World) -> None:
    do(world)
    assert f"people.csv: {said(world)}" in steps(world, "acme/people:1")
    assert f"again.csv: {said(world)}" in steps(world, "acme/copy:1")
    assert world.code("acme/people:1") == 12


def test_a_directory_with_the_bytes_is_judged_and_told(world: World) -> None:
    do(world)
    root = world.directory({"people.csv": PERSONAL, "README": b"about people"})
    with world.view() as view:
        verdict = gate.verify_directory(world.registry, view, root, None)
    assert verdict.passed
    assert f"people.csv: {said(world)} (in the registry)" in verdict.steps[0].details


def test_pull_says_what_was_erased(world: World) -> None:
    do(world)
    with world.view() as view, pytest.raises(BytesDiffer) as caught:
        gate.obtain(world.registry, view, "acme/people:1", allow_quarantined=True)
    assert str(caught.value) == f"people.csv: {said(world)}"


def test_show_trace_and_log_say_what_was_erased(world: World) -> None:
    do(world)
    with world.view() as view:
        seen = describe.describe(world.registry, view, "acme/people:1")
        assert [(path, stone.text) for path, stone in seen.erased] == [("people.csv", said(world))]
        alone = describe.describe(world.registry, view, str(BLOB))
        assert [stone.text for _, stone in alone.erased] == [said(world)]
        node = resolve(view, "acme/model:1").node
        found = trace(view, node, Direction.UP)
        told = {item.label: item.erased for item in found.nodes.values()}
        assert told["acme/people:1"] == (f"people.csv: {said(world)}",)
        assert told["acme/model:1"] == ()
        first = describe.history(view)[0]
        assert (first.what, first.reason) == ("erase", REASON)


def test_pushing_it_again_is_refused_and_stores_nothing(world: World) -> None:
    do(world)
    for name, path in (("acme/people:1", "people.csv"), ("acme/third:1", "x.csv")):
        with pytest.raises(Refused, match=REASON):
            world.push(name, {path: PERSONAL})
        assert world.store.size(BLOB) is None


def test_a_push_that_is_overtaken_by_the_erasure_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, done = MemoryStore.create, list[erase.Erased]()

    def overtaken(self: MemoryStore, key: str, data: bytes) -> None:
        if not done and key.startswith("ledger/"):
            monkeypatch.setattr(MemoryStore, "create", create)
            done.append(do(world))
        create(self, key, data)

    monkeypatch.setattr(MemoryStore, "create", overtaken)
    with pytest.raises(Refused, match=REASON):
        world.push("acme/third:1", {"x.csv": PERSONAL})
    assert done
    assert world.code("acme/third:1") == 3


def test_erasing_twice_is_refused(world: World) -> None:
    do(world)
    with pytest.raises(Refused, match="nothing is left"):
        do(world)


def test_a_quarantine_of_it_still_holds(world: World) -> None:
    do(world)
    world.quarantine("acme/people:1")
    assert world.code("acme/model:1") == 11
    world.release("acme/people:1")
    assert world.code("acme/model:1") == 0


# --- on whose word ----------------------------------------------------------------------------


def distrusting(world: World, name: str = "stranger") -> TrustRoot:
    """A trust root that believes somebody else, and not the eraser."""
    path = world.folder / f"{name}.yaml"
    return trust_file.add(path, name, world.signer(name).public, ["*"], ["**"])


def test_a_word_that_is_not_believed_explains_nothing(world: World) -> None:
    do(world)
    world.trust = distrusting(world)
    assert "missing; an untrusted signer" in steps(world, "acme/people:1")
    with world.view() as view, pytest.raises(BytesDiffer, match="missing; an untrusted"):
        gate.obtain(world.registry, view, "acme/people:1", allow_quarantined=True)


def test_a_word_that_is_not_believed_stops_no_push(world: World, waited: list[float]) -> None:
    do(world)
    owner, world.trust = world.trust, distrusting(world)
    world.push("acme/people:2", {"people.csv": PERSONAL}, by="stranger")
    assert world.store.size(BLOB) == len(PERSONAL)
    assert state(world) is None
    # Whoever believes the erasure does not serve the bytes, and takes them away again.
    world.trust = owner
    assert said(world) in steps(world, "acme/people:1")
    with world.view() as view:
        assert [stone.blob for stone in plan(world.store, view, timedelta()).erasures] == [BLOB]


def test_a_word_for_one_name_does_not_count_for_another(world: World) -> None:
    do(world)
    with world.view() as view:
        assert tombstones(view, "acme/people")[BLOB].believed
    path = world.folder / "narrow.yaml"
    public = world.signer("owner").public
    world.trust = trust_file.add(path, "owner", public, ["*"], ["acme/people"])
    with world.view() as view:
        assert tombstones(view, "acme/people")[BLOB].believed
        assert not tombstones(view, "acme/copy")[BLOB].believed


def test_the_ledger_alone_says_whose_word_it_is(world: World) -> None:
    do(world)
    entry = list(entries_after(world.store, Head()))[-2]

    def words(trust: TrustRoot) -> set[tuple[Digest, bool]]:
        found = stated(world.store, entry.events[0], trust, {})
        return {(stone.blob, stone.believed) for stone in found}

    assert words(world.trust) == {(BLOB, True)}
    assert words(distrusting(world)) == {(BLOB, False)}
    assert words(trust_file.NOBODY) == {(BLOB, False)}


# --- cut off ----------------------------------------------------------------------------------


def cut_off(world: World, store: Hooked) -> None:
    def killed() -> None:
        raise Killed

    store.on_delete = killed
    with pytest.raises(Killed):
        do(world)
    store.on_delete = None


def test_what_is_cut_off_is_not_served(world: World, store: Hooked) -> None:
    cut_off(world, store)
    assert world.store.size(BLOB) is not None
    assert said(world) in steps(world, "acme/people:1")
    with world.view() as view, pytest.raises(BytesDiffer):
        gate.obtain(world.registry, view, "acme/copy:1", allow_quarantined=True)


def test_the_next_gc_finishes_it(world: World, store: Hooked, waited: list[float]) -> None:
    cut_off(world, store)
    assert state(world) == COLLECTING
    with world.view() as view:
        assert [stone.blob for stone in plan(world.store, view, timedelta()).erasures] == [BLOB]
    done = collect(collector(world), timedelta(days=7))
    assert done.erased == 1
    assert sum(waited) >= LIMITS.collect_lease_seconds
    assert world.store.size(BLOB) is None
    assert state(world) == GONE
    assert said(world) in steps(world, "acme/people:1")
    with world.view() as view:
        assert plan(world.store, view, timedelta()).erasures == ()


def test_erasing_again_finishes_it(world: World, store: Hooked, waited: list[float]) -> None:
    cut_off(world, store)
    do(world)
    assert sum(waited) >= LIMITS.collect_lease_seconds
    assert world.store.size(BLOB) is None


@pytest.mark.parametrize("by", ["owner", "stranger"])
def test_audit_lists_what_was_erased_and_misses_it_on_no_ones_word(world: World, by: str) -> None:
    do(world)
    trust = world.trust if by == "owner" else distrusting(world)
    report = audit(world.store, world.home, trust, read_data=True)
    if by == "owner":
        assert report.whole
        assert BLOB in report.erased
    else:
        assert not report.erased
        assert [item.subject for item in report.findings] == [str(BLOB)]
        assert report.findings[0].what == "missing"
        assert "an untrusted signer" in report.findings[0].detail


def test_audit_says_that_the_bytes_are_still_there(world: World, store: Hooked) -> None:
    cut_off(world, store)
    report = audit(world.store, world.home, world.trust)
    assert report.whole
    assert "still there" in report.warnings[0].detail


def test_an_unbelieved_erasure_is_closed_and_deletes_nothing(world: World, store: Hooked) -> None:
    cut_off(world, store)
    trust = distrusting(world)
    done = collect(collector(world, "stranger", trust), timedelta(days=7))
    assert (done.erased, done.deleted) == (0, 0)
    assert world.store.size(BLOB) is not None
    assert state(world) == GONE


def test_two_machines_agree(world: World, tmp_path: Path) -> None:
    do(world)
    catalogue = Catalogue.open(tmp_path / "second.sqlite3", world.store)
    world.registry, first = Registry(world.store, catalogue, world.home), world.registry
    assert said(world) in steps(world, "acme/people:1")
    catalogue.close()
    world.registry = first
