"""Locks: written of what the gate lets pass, and held to it afterwards, as one set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadLock, BadName, NotVerified, StemmaError
from stemma_attestations.lock import Lock, Said
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import admission
from stemma_cli import exits
from stemma_registry import publish
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import NotFound, Unavailable
from stemma_registry.foreign import letting
from stemma_registry.gate import TERMS, Terms
from stemma_registry.policy_source import load
from stemma_registry.serving import locking
from stemma_registry.serving.locking import Change, Made
from stemma_registry.serving.sets import SetVerdict, judge_set, questions
from stemma_registry.trust import file as trust_file
from tests.world import World

BASE, ADAPTER, TOKENIZER = "models/base:1", "models/adapter:1", "models/tok:1"


@pytest.fixture
def family(world: World) -> World:
    """A base, another one, an adapter of the first, and a tokenizer."""
    world.push(BASE, {"w": b"base"}, kind="model")
    world.push("models/base:2", {"w": b"other"}, kind="model")
    world.push(ADAPTER, {"a": b"adapter"}, f"adapter-of={BASE}", kind="adapter")
    world.push(TOKENIZER, {"t": b"tok"}, kind="tokenizer")
    return world


def made(world: World, *texts: str, terms: Terms = TERMS) -> Made:
    with world.view() as view:
        return locking.make(world.registry, view, locking.asked(texts), terms)


def held(world: World, lock: Lock, terms: Terms = TERMS, /, **subjects: str | Path) -> SetVerdict:
    texts = {word: str(subject) for word, subject in subjects.items()}
    with world.view() as view:
        return judge_set(world.registry, view, questions(view, lock, terms, texts))


def code(verdict: SetVerdict) -> int:
    return exits.code_of(verdict.failure) if verdict.failure else 0


def codes(verdict: SetVerdict) -> dict[str, int]:
    return {p.word: exits.code_of(p.failure) if p.failure else 0 for p in verdict.parts}


def moved(world: World, lock: Lock) -> list[Change]:
    with world.view() as view:
        return locking.moved(view, lock)


def believing(world: World, *names: str) -> None:
    """From now on these are believed, about everything, and nobody else."""
    path = world.folder / f"trust-{'-'.join(names)}.yaml"
    for name in names:
        world.trust = trust_file.add(path, name, world.signer(name).public)


# --- writing --------------------------------------------------------------------------------


def test_what_is_locked(family: World) -> None:
    lock = made(family, BASE, f"lora={ADAPTER}", f"{TOKENIZER}").lock
    base, lora, tok = lock.members
    assert [one.word for one in lock.members] == ["base", "lora", "tok"]
    assert (base.source, str(base.name), base.kind, base.size) == (BASE, BASE, "model", 4)
    assert (lora.kind, tok.kind) == ("adapter", "tokenizer")
    (signer,) = base.signers
    assert (signer.principal, signer.key) == ("owner", family.signer("owner").public.id)
    assert made(family, TOKENIZER, f"lora={ADAPTER}", BASE).lock.encode() == lock.encode()
    verdict = held(family, lock)
    assert codes(verdict) == {"base": 0, "lora": 0, "tok": 0}
    assert {part.verdict.entry for part in verdict.parts if part.verdict} == {verdict.entry}
    assert moved(family, lock) == []


def test_nothing_is_locked_that_the_gate_refuses(family: World) -> None:
    family.quarantine(TOKENIZER)
    for texts in ((TOKENIZER,), (BASE, TOKENIZER), (TOKENIZER, BASE)):
        with pytest.raises(StemmaError) as caught:
            made(family, *texts)
        assert exits.code_of(caught.value) == family.code(TOKENIZER) == 11
    believing(family, "bob")
    with pytest.raises(StemmaError) as caught:
        made(family, BASE)
    assert exits.code_of(caught.value) == family.code(BASE) == 13


def test_the_policy_and_the_age_are_asked(family: World) -> None:
    with pytest.raises(NotVerified, match="stage"):
        made(family, BASE, terms=Terms(load("starter"), "nowhere"))
    with pytest.raises(StemmaError) as caught:
        made(family, BASE, terms=Terms(max_age=timedelta(minutes=5)))
    assert exits.code_of(caught.value) == 14, "no feed is pinned"


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (("models/no:1",), NotFound),
        ((BASE, "models/base:2"), BadLock),  # one word
        ((f"a={BASE}", f"b={BASE}"), BadLock),  # one artifact
        ((f"../a={BASE}",), BadLock),
        ((f"path={BASE}",), BadLock),
        ((f"={BASE}",), BadLock),
        ((), BadLock),
        (("base=",), BadName),
    ],
)
def test_what_cannot_be_a_lock(
    family: World, texts: tuple[str, ...], error: type[StemmaError]
) -> None:
    with pytest.raises(error):
        made(family, *texts)


def test_a_digest_alone_has_no_name_to_be_locked_under(family: World) -> None:
    artifact = made(family, BASE).lock.members[0].artifact
    with pytest.raises(BadName, match="NAME:VERSION"):
        made(family, str(artifact))
    (member,) = made(family, f"models/base@{artifact}").lock.members
    assert (str(member.name), member.artifact) == (BASE, artifact)


def test_what_was_admitted_is_locked_on_that_word(world: World) -> None:
    world.trust_also("ada", predicates=[admission.TYPE])
    artifact = world.push("models/old:1", {"w": b"old"}, kind="model", by="stranger").artifact
    admit(world, "models/old:1", artifact)
    policy = world.folder / "p.yaml"
    policy.write_text(
        "format: urn:stemma:policy:v0.1\nrules:\n"
        "  - names: ['**']\n    provenance: {admitted: allow}\n    bom: none\n"
    )
    terms = Terms(load(str(policy)))
    (member,) = made(world, "models/old:1", terms=terms).lock.members
    assert [(one.principal, one.said) for one in member.signers] == [("ada", Said.ADMISSION)]
    assert code(held(world, Lock.of([member]), terms)) == 0
    world.push("models/old:1", {"w": b"old"}, kind="model")  # there is provenance now, too
    assert code(held(world, Lock.of([member]), terms)) == 0
    assert [c.word for c in locking.changes(Lock.of([member]), made(world, "models/old:1").lock)]


def admit(world: World, name: str, artifact: Digest) -> None:
    letting.admit(
        world.registry,
        world.trust,
        world.signer("ada"),
        [name],
        admission.Admission("old", world.now, None),
    )


# --- holding --------------------------------------------------------------------------------


def test_directories_and_references(family: World) -> None:
    lock = made(family, BASE, ADAPTER).lock
    good, bad = family.directory({"w": b"base"}), family.directory({"w": b"base", "x": b""})
    assert codes(held(family, lock, base=good)) == {"adapter": 0, "base": 0}
    verdict = held(family, lock, base=bad)
    assert (codes(verdict), code(verdict)) == ({"adapter": 0, "base": 12}, 12)
    assert code(held(family, lock, base=BASE)) == 0
    assert code(held(family, lock, base=str(lock.by_word["base"].artifact))) == 0
    assert code(held(family, lock, base="models/base:2")) == 12
    with pytest.raises(NotFound):
        held(family, lock, base="models/no:1")
    with pytest.raises(NotFound):
        held(family, lock, base=family.folder / "nothing")


def test_the_same_bytes_under_another_name_are_judged_as_the_locked_one(family: World) -> None:
    """Its rules hold, and what was said about the other name does not."""
    lock = made(family, BASE).lock
    family.push("free/base:1", {"w": b"base"}, kind="model")
    policy = family.folder / "p.yaml"
    policy.write_text("format: urn:stemma:policy:v0.1\nrules:\n  - names: ['free/*']\n")
    terms = Terms(load(str(policy)))
    assert code(held(family, lock, base="free/base:1")) == 0
    assert code(held(family, lock, terms, base="free/base:1")) == 10


def test_a_signer_who_was_not_expected_does_not_do(family: World) -> None:
    lock = made(family, BASE).lock
    family.trust_also("bob")
    family.push(BASE, {"w": b"base"}, kind="model", by="bob")
    assert code(held(family, lock)) == 0, "another one more changes nothing"
    both = made(family, BASE).lock
    assert [one.principal for one in both.members[0].signers] == ["bob", "owner"]
    (change,) = locking.changes(lock, both)
    assert change.lines == (f"signer now also bob (key {family.signer('bob').public.id[:12]})",)
    believing(family, "bob")
    assert family.code(BASE) == 0
    assert code(held(family, lock)) == 13
    verdict = held(family, both)
    assert code(verdict) == 13, "each of those that were reviewed"
    assert "owner" in str(verdict.failure)
    believing(family, "bob", "owner")
    assert code(held(family, both)) == 0


def test_a_key_that_became_somebody_elses_is_not_the_signer(family: World) -> None:
    lock = made(family, BASE).lock
    public = family.signer("owner").public
    family.trust = trust_file.add(family.folder / "renamed.yaml", "mallory", public)
    assert family.code(BASE) == 0
    assert code(held(family, lock)) == 13


def test_a_name_that_means_other_bytes_by_now(
    family: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody binds it again; then who bound it first is believed no more."""
    lock = made(family, BASE).lock
    family.trust_also("bob")
    with monkeypatch.context() as patch:
        patch.setattr(publish, "binding", lambda *_: None)
        family.push(BASE, {"w": b"evil"}, kind="model", by="bob")
    assert (code(held(family, lock)), moved(family, lock)) == (0, [])
    believing(family, "bob")
    (change,) = moved(family, lock)
    assert any(line.startswith("artifact sha256:") for line in change.lines)
    assert family.code(BASE) == 0, "to the gate these are its bytes now"
    assert code(held(family, lock)) == 12
    assert code(held(family, lock, base=family.directory({"w": b"base"}))) == 12
    assert code(held(family, lock, base=family.directory({"w": b"evil"}))) == 12


def test_a_lock_that_somebody_edited(family: World) -> None:
    (member,) = made(family, BASE).lock.members
    other = made(family, "models/base:2").lock.members[0]
    for edited, expected in (
        (replace(member, artifact=other.artifact), 12),
        (replace(member, name=other.name), 12),
        (replace(member, size=5), 10),
        (replace(member, kind="adapter"), 0),  # it says nothing about the bytes
        (replace(member, name=NameVersion.parse("models/gone:1")), 10),
    ):
        lock = Lock.of([edited])
        assert code(held(family, lock)) == expected, edited
        (change,) = moved(family, lock)
        assert change.lines


# --- one set --------------------------------------------------------------------------------


def test_quarantine_of_one_member_stops_all(family: World) -> None:
    lock = made(family, BASE, TOKENIZER).lock
    family.quarantine(TOKENIZER)
    verdict = held(family, lock)
    assert (codes(verdict), code(verdict)) == ({"base": 0, "tok": 11}, 11)
    bad = family.directory({"w": b"bad"})
    verdict = held(family, lock, base=bad)
    assert (codes(verdict), code(verdict)) == ({"base": 12, "tok": 11}, 12)


def test_undecided_only_where_nothing_failed(
    family: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = made(family, BASE, TOKENIZER).lock
    artifact = lock.by_word["base"].artifact
    real = MemoryStore.chunks

    def chunks(store: MemoryStore, digest: Digest) -> object:
        if digest == artifact:  # its manifest
            raise Unavailable("the store is away")
        return real(store, digest)

    monkeypatch.setattr(MemoryStore, "chunks", chunks)
    verdict = held(family, lock)
    assert (codes(verdict), code(verdict)) == ({"base": 14, "tok": 0}, 14)
    family.quarantine(TOKENIZER)
    assert code(held(family, lock)) == 11


@pytest.mark.parametrize(
    ("kind", "relation", "other"),
    [("adapter", "adapter-of", "model"), ("model", "tokenized-by", "tokenizer")],
)
def test_what_was_made_for_another_is_refused(
    world: World, kind: str, relation: str, other: str
) -> None:
    world.push("a/right:1", {"w": b"1"}, kind=other)
    world.push("a/wrong:1", {"w": b"2"}, kind=other)
    world.push("a/m:1", {"w": b"m"}, f"{relation}=a/right:1", kind=kind)
    assert made(world, "a/m:1", "a/right:1").warnings == ()
    assert len(made(world, "a/m:1", "a/right:1", "a/wrong:1").lock.members) == 3
    (warning,) = made(world, "a/m:1").warnings
    assert warning == f"m (a/m:1) is {relation} a/right:1, which is not in the set"
    with pytest.raises(NotVerified, match="the set has wrong \\(a/wrong:1\\)") as caught:
        made(world, "a/m:1", "a/wrong:1")
    assert exits.code_of(caught.value) == 10
    members = [*made(world, "a/m:1").lock.members, *made(world, "a/wrong:1").lock.members]
    verdict = held(world, Lock.of(members))
    assert (set(codes(verdict).values()), code(verdict)) == ({0}, 10)


def test_the_declared_base_in_another_form_will_do(family: World) -> None:
    quantized = {"w": b"base, smaller"}
    family.push("models/q:1", quantized, f"quantized-from={BASE}", kind="model")
    family.push("models/q2:1", {"w": b"gguf"}, "converted-from=models/q:1", kind="model")
    family.push("models/tuned:1", {"w": b"t"}, f"fine-tuned-from={BASE}", kind="model")
    assert made(family, ADAPTER, "models/q:1").warnings == ()
    assert made(family, ADAPTER, "models/q2:1").warnings == ()
    with pytest.raises(NotVerified, match="does not fit"):
        made(family, ADAPTER, "models/tuned:1")


def test_lineage_of_strangers_neither_parts_nor_joins(family: World) -> None:
    adapter = {"a": b"adapter"}
    family.push(ADAPTER, adapter, "adapter-of=models/base:2", kind="adapter", by="stranger")
    assert made(family, ADAPTER, BASE).warnings == ()
    with pytest.raises(NotVerified, match="does not fit"):
        made(family, ADAPTER, "models/base:2")
    family.trust_also("stranger")
    assert made(family, ADAPTER, "models/base:2").warnings == ()


# --- bringing it up -------------------------------------------------------------------------


def updated(world: World, lock: Lock) -> Mapping[str, tuple[str, ...]]:
    with world.view() as view:
        new = locking.update(world.registry, view, lock, TERMS).lock
    return {change.word: change.lines for change in locking.changes(lock, new)}


def test_an_edited_reference_is_followed(family: World) -> None:
    lock = made(family, BASE, TOKENIZER).lock
    assert updated(family, lock) == {}
    base, tok = lock.members
    edited = Lock.of([replace(base, source="models/base:2"), tok])
    assert [change.word for change in moved(family, edited)] == ["base"]
    assert code(held(family, edited)) == 0, "what is locked is what is locked"
    changed = updated(family, edited)
    assert list(changed) == ["base"]
    assert changed["base"][0] == "name models/base:1 -> models/base:2"
    family.quarantine("models/base:2")
    with pytest.raises(NotVerified):
        updated(family, edited)


# --- the file -------------------------------------------------------------------------------


def test_where_a_lock_is_not_written(family: World, tmp_path: Path) -> None:
    lock = made(family, BASE).lock
    other = tmp_path / "train.py"
    other.write_text("print()")
    link = tmp_path / "link.lock"
    link.symlink_to(other)
    for path in (other, link, tmp_path):
        with pytest.raises(StemmaError) as caught:
            locking.write(path, lock)
        assert exits.code_of(caught.value) == 1
    assert other.read_text() == "print()"
    assert link.is_symlink()


def test_what_changed_meanwhile_is_not_overwritten(family: World, tmp_path: Path) -> None:
    path = tmp_path / "stemma.lock"
    lock, other = made(family, BASE).lock, made(family, TOKENIZER).lock
    locking.write(path, lock)
    found, before = locking.read(path)
    assert found == lock
    locking.write(path, other)
    with pytest.raises(StemmaError, match="changed meanwhile"):
        locking.write(path, lock, before)
    assert locking.read(path)[0] == other
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".stemma")] == []
