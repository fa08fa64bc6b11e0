"""Stages: what is where, who is believed about it, and how it gets there and back."""

from __future__ import annotations

import contextlib
import copy
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from stemma_attestations import policy_file
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadName, NotVerified, Quarantined, SignatureRefused
from stemma_attestations.policy import Policy
from stemma_attestations.predicates import stage as predicate
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.predicates.approval import Approval
from stemma_attestations.predicates.stage import Move
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_migrations import run
from stemma_registry import gate
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import audit
from stemma_registry.care.replicate import replicate
from stemma_registry.catalogue import compare, schema
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import Home
from stemma_registry.describe import attestations, history
from stemma_registry.errors import NotFound, Overtaken, Refused
from stemma_registry.foreign import letting
from stemma_registry.gate import Terms
from stemma_registry.ledger.entry import PUSH, STAGE, Event
from stemma_registry.ledger.log import append, read_entry
from stemma_registry.reference import looks_like_reference, resolve
from stemma_registry.registry import Registry, current
from stemma_registry.stages import holding, listing, promoting
from stemma_registry.stages.desk import Desk
from stemma_registry.stages.promoting import Changed
from stemma_registry.stages.recording import record_verdict
from tests.registry.collecting import Hooked, gc
from tests.world import World

HEAD = "format: urn:stemma:policy:v0.1\nrules:\n"
MODEL = "models/m"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three versions of a model, each from data of its own; Ada may do what the owner may."""
    world = World(tmp_path_factory.mktemp("made"), Hooked())
    world.trust_also("ada")
    for n in "123":
        world.push(f"data/d:{n}")
        files = {"m.bin": n.encode()}
        world.push(f"{MODEL}:{n}", files, f"trained-on=data/d:{n}", kind="model")
    world.registry.close()
    return world


@pytest.fixture
def models(made: World, tmp_path: Path) -> Iterator[World]:
    """A copy of it, for one test to change."""
    world, store = copy.copy(made), Hooked()
    assert isinstance(made.store, Hooked)
    store.blob_bytes, store.objects = dict(made.store.blob_bytes), dict(made.store.objects)
    world.folder, world.store, world.home = tmp_path, store, Home(tmp_path / "home")
    world.signers = dict(made.signers)
    world.trust_path = shutil.copy(made.trust_path, tmp_path / "trust.yaml")
    world.catalogue_path = tmp_path / "catalogue.sqlite3"
    if world.place().embedded:
        shutil.copy(made.catalogue_path, world.catalogue_path)
    world.registry = Registry(store, Catalogue.open(world.place(), store), world.home)
    yield world
    world.registry.close()


def desk(world: World, by: str = "owner", registry: Registry | None = None) -> Desk:
    return Desk(registry or world.registry, world.trust, world.signer(by), world.now)


def policy(text: str) -> Policy:
    return policy_file.parse(text.encode(), "test")


def promote(
    world: World,
    version: str,
    stage: str = "prod",
    by: str = "owner",
    terms: Terms = gate.TERMS,
    registry: Registry | None = None,
) -> Changed:
    return promoting.promote(desk(world, by, registry), f"{MODEL}:{version}", stage, terms)


def rollback(world: World, stage: str = "prod", terms: Terms = gate.TERMS) -> Changed:
    return promoting.rollback(desk(world), MODEL, stage, terms, "it was worse")


def at(world: World, stage: str = "prod") -> str | None:
    """The version that is there."""
    with world.view() as view:
        found = holding.holder(view, MODEL, stage)
        return found.name.version if found else None


def head(world: World) -> int:
    return current(world.registry, world.trust).n


def judge(world: World, text: str, terms: Terms = gate.TERMS) -> None:
    with world.view() as view:
        gate.verify_reference(world.registry, view, text, None, terms)


def said(
    world: World,
    version: str,
    previous: str | None,
    by: str,
    action: str = predicate.PROMOTE,
    stage: str = "prod",
) -> Event:
    """A statement about a stage that nobody's gate was asked for."""
    with world.view() as view:
        artifact = resolve(view, f"{MODEL}:{version}").digest
    before = sha256(previous) if previous else None
    move = Move(stage, action, None, world.now, before, Digest.of(b"no verdict"))
    subject = ResourceDescriptor(name=f"{MODEL}:{version}", digests=(artifact,))
    says = predicate.build(move, secrets.token_hex(16))
    return signed(world, Statement.build([subject], predicate.TYPE, says), by)


def signed(world: World, statement: Statement, by: str) -> Event:
    signer = world.signer(by)
    bundle = put_bytes(world.store, signer.sign(statement).raw)
    keys = tuple(put_bytes(world.store, key) for key in signer.keys)
    return Event(PUSH, bundles=(bundle,), keys=keys)


def put(world: World, *events: Event) -> None:
    """Append, as anybody can who may write to the store."""
    now = current(world.registry, world.trust)
    assert append(world.store, now, lambda: events, world.registry.catalogue.catch_up)


def statement_in(world: World, bundle: Digest) -> Statement:
    return Bundle.parse(b"".join(world.store.chunks(bundle))).statement()


def statement_at(world: World, stage: str = "prod") -> str:
    with world.view() as view:
        found = holding.holder(view, MODEL, stage)
        assert found is not None
        return found.statement


# --- promotion ------------------------------------------------------------------------------


def test_what_was_promoted_is_there(models: World) -> None:
    done = promote(models, "1")
    assert (done.entry, done.before, str(done.name)) == (head(models), None, f"{MODEL}:1")
    with models.view() as view:
        found = resolve(view, f"{MODEL}#prod")
        same = resolve(view, f"{MODEL}:1")
    assert (found.digest, found.name, found.stage) == (same.digest, same.name, "prod")
    assert done.digest == same.digest
    judge(models, f"{MODEL}#prod")
    second = promote(models, "2")
    assert second.before is not None
    assert second.before.name.version == "1"
    assert at(models) == "2"
    assert at(models, "dev") is None
    third = promoting.promote(desk(models), f"{MODEL}#prod", "staging", gate.TERMS)
    assert str(third.name) == f"{MODEL}:2"


def test_the_verdict_is_in_the_same_entry(models: World) -> None:
    done = promote(models, "1")
    assert done.entry is not None
    entry = read_entry(models.store, done.entry)
    assert entry is not None
    assert [(event.type, event.critical) for event in entry.events] == [(STAGE, True)]
    summary, moved = (statement_in(models, digest) for digest in entry.events[0].bundles)
    assert (summary.digest, moved.digest) == (done.summary, done.statement)
    assert predicate.parse(moved).move.verdict == summary.digest
    assert vsa.parse(summary.predicate).passed
    with models.view() as view:
        kinds = {a.fact.predicate_type for a in attestations(models.registry, view, f"{MODEL}:1")}
        what = history(view, f"{MODEL}:1")[0]
    assert {predicate.TYPE, vsa.TYPE} <= kinds
    assert (what.what, what.n) == ("promote prod", done.entry)


def test_promoting_what_is_there_changes_nothing(models: World) -> None:
    first = promote(models, "1")
    before = head(models)
    again = promote(models, "1", by="ada")
    assert (again.entry, again.statement, head(models)) == (None, first.statement, before)
    models.quarantine("data/d:1")
    with pytest.raises(Quarantined):
        promote(models, "1")


def test_a_no_is_a_no_and_nothing_is_appended(models: World) -> None:
    models.quarantine("data/d:1")
    models.push(f"{MODEL}:4", kind="model", by="stranger")
    before = head(models)
    with pytest.raises(Quarantined) as caught:
        promote(models, "1")
    assert caught.value.verdict.stage == "prod"
    with pytest.raises(SignatureRefused):
        promote(models, "4")
    with pytest.raises(NotVerified, match="has no stage porod"):
        promote(models, "2", "porod")
    with pytest.raises(NotFound):
        promote(models, "9")
    with pytest.raises(Refused, match="does not let"):
        promote(models, "2", by="stranger")
    assert head(models) == before
    with pytest.raises(NotFound, match=r"nothing is at models/m#prod"):
        judge(models, f"{MODEL}#prod")


def test_what_has_no_name_is_not_promoted(models: World) -> None:
    with models.view() as view:
        digest = str(resolve(view, f"{MODEL}:1").digest)
    with pytest.raises(Refused, match="has no name"):
        promoting.promote(desk(models), digest, "prod", gate.TERMS)
    named = promoting.promote(desk(models), f"{MODEL}@{digest}", "prod", gate.TERMS)
    assert str(named.name) == f"{MODEL}:1"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("models/m#prod", True),
        ("models/m#", False),
        ("models/m#Prod", False),
        ("#prod", False),
        ("./m#prod", False),
        ("models/m:1#prod", False),
        ("models/m#prod#2", False),
    ],
)
def test_the_grammar_of_stage_references(models: World, text: str, is_one: bool) -> None:
    assert looks_like_reference(text) is is_one
    with models.view() as view, pytest.raises(NotFound if is_one else BadName):
        resolve(view, text)


def test_what_is_at_a_stage_is_judged_for_it(models: World) -> None:
    promote(models, "1")
    asks = policy(HEAD + "- names: ['**']\n- {names: ['**'], stages: [prod], approvals: {}}\n")
    judge(models, f"{MODEL}:1", Terms(asks))
    with pytest.raises(NotVerified, match="1 approval is asked for"):
        judge(models, f"{MODEL}#prod", Terms(asks))
    judge(models, f"{MODEL}#prod", Terms(asks, "dev"))


def test_what_is_quarantined_stays_where_it_is_and_is_refused(models: World) -> None:
    promote(models, "1")
    models.quarantine("data/d:1")
    assert models.code(f"{MODEL}#prod") == 11
    with models.view() as view:
        assert [(one.current, one.quarantined) for one in listing.placed(view)] == [(True, True)]


# --- two at once ----------------------------------------------------------------------------


def test_of_two_at_once_one_wins_and_the_other_is_told(models: World, tmp_path: Path) -> None:
    assert isinstance(models.store, Hooked)
    elsewhere = Catalogue.open(tmp_path / "elsewhere.sqlite3", models.store)
    other = Registry(models.store, elsewhere, models.home)
    models.store.before_create = lambda: promote(models, "2", by="ada", registry=other)
    with pytest.raises(Overtaken, match=r"ada came first: models/m#prod is models/m:2 since"):
        promote(models, "1")
    assert at(models) == "2"
    # The same from another stage of the same name, or of another name, is in nobody's way.
    models.store.before_create = lambda: promote(models, "2", "dev", by="ada", registry=other)
    assert promote(models, "3").entry is not None
    assert (at(models), at(models, "dev")) == ("3", "2")
    # Both wanted the same.
    models.store.before_create = lambda: promote(models, "1", by="ada", registry=other)
    assert promote(models, "1").entry is None
    assert at(models) == "1"
    elsewhere.close()


def test_a_quarantine_between_verdict_and_append(models: World, tmp_path: Path) -> None:
    assert isinstance(models.store, Hooked)
    models.store.before_create = lambda: models.quarantine("data/d:1", artifact_only=True)
    with pytest.raises(Quarantined, match="data/d:1 is quarantined by owner"):
        promote(models, "1")
    assert at(models) is None


def test_a_suspicion_between_verdict_and_append(models: World) -> None:
    assert isinstance(models.store, Hooked)
    strict = policy("on_suspect: deny\n" + HEAD + "- names: ['**']\n")
    models.store.before_create = lambda: models.quarantine("data/d:1", by="stranger")
    with pytest.raises(NotVerified, match="suspect by now"):
        promote(models, "1", terms=Terms(strict))
    models.store.before_create = lambda: models.quarantine("data/d:2", by="stranger")
    assert promote(models, "2").entry is not None


# --- who is believed ------------------------------------------------------------------------


def test_a_stranger_neither_promotes_nor_blocks(models: World) -> None:
    put(models, said(models, "3", None, "stranger"))
    assert at(models) is None
    promote(models, "1")
    put(models, said(models, "3", statement_at(models), "stranger"))
    assert at(models) == "1"
    assert promote(models, "2").entry is not None
    assert at(models) == "2"
    with models.view() as view:
        rows = listing.placed(view, MODEL, history=True)
    assert [(r.row.name.version, r.counts, r.current, r.signer == "owner") for r in rows] == [
        ("2", True, True, True),
        ("3", False, False, False),
        ("1", True, False, True),
        ("3", False, False, False),
    ]


def test_who_may_promote_one_name_moves_no_other(models: World) -> None:
    models.trust_also("bob", ["data/**"])
    models.trust_also("cy", ["models/**"], ["https://slsa.dev/provenance/v1"])
    for who in ("bob", "cy"):
        put(models, said(models, "3", None, who))
        with pytest.raises(Refused, match="does not let"):
            promote(models, "3", by=who)
    assert at(models) is None


def revoke(world: World, who: str) -> None:
    signers = (
        replace(s, revoked=world.now) if s.principal == who else s for s in world.trust.signers
    )
    world.trust = replace(world.trust, signers=tuple(signers))


def test_revoking_a_promoter_takes_off_what_he_did_and_nothing_else(models: World) -> None:
    promote(models, "1")
    promote(models, "2", by="ada")
    assert at(models) == "2"
    kept = models.trust
    revoke(models, "ada")
    assert at(models) == "1"
    models.trust = kept
    promote(models, "3")
    revoke(models, "ada")
    assert at(models) == "3", "what superseded a statement that does not count any more"
    assert rollback(models).name.version == "1"


def test_a_key_that_is_over_leaves_what_it_promoted(models: World) -> None:
    promote(models, "1")
    promote(models, "2", by="ada")
    signers = tuple(
        replace(s, valid_until=models.now) if s.principal == "ada" else s
        for s in models.trust.signers
    )
    models.trust = replace(models.trust, signers=signers)
    assert at(models) == "2"
    with pytest.raises(Refused, match="does not let"):
        promote(models, "3", by="ada")


# --- replay ---------------------------------------------------------------------------------


def test_an_old_statement_in_a_later_entry_moves_nothing(models: World) -> None:
    first = promote(models, "1")
    assert first.entry is not None
    old = read_entry(models.store, first.entry)
    assert old is not None
    promote(models, "2")
    put(models, *old.events)
    assert at(models) == "2"
    # In another envelope: the same statement, signed again by somebody who is believed.
    statement = statement_in(models, old.events[0].bundles[1])
    put(models, signed(models, statement, "ada"))
    assert at(models) == "2"
    assert promote(models, "3").entry is not None


def test_what_lost_a_race_moves_nothing_when_it_is_appended_later(models: World) -> None:
    promote(models, "1")
    lost = said(models, "3", statement_at(models), "owner")
    first = said(models, "3", None, "owner")
    never = said(models, "3", "ab" * 32, "owner")
    promote(models, "2")
    put(models, lost, first, never)
    assert at(models) == "2"
    assert promote(models, "3").entry is not None


def test_a_copy_that_comes_before_the_statement_withholds_nothing(models: World) -> None:
    promote(models, "1")
    real = said(models, "2", statement_at(models), "owner")
    copy = signed(models, statement_in(models, real.bundles[0]), "stranger")
    put(models, copy)
    put(models, replace(real, keys=()))
    assert at(models) == "1"
    put(models, real)
    assert at(models) == "2"
    assert promote(models, "3").entry is not None


def test_a_statement_that_cannot_be_read_moves_nothing(models: World) -> None:
    with models.view() as view:
        artifact = resolve(view, f"{MODEL}:1").digest
    subject = ResourceDescriptor(name=f"{MODEL}:1", digests=(artifact,))
    move = Move("prod", predicate.PROMOTE, None, models.now, None, artifact)
    good = predicate.build(move, "n")
    bad: Sequence[dict[str, object]] = [
        {**good, "stage": "PROD"},
        {**good, "action": "demote"},
        {**good, "previous": "yesterday"},
        {**good, "verdict": f"sha1:{'ab' * 20}"},
        {**good, "issuedAt": "noon"},
        {key: value for key, value in good.items() if key != "previous"},
    ]
    for says in bad:
        put(models, signed(models, Statement.build([subject], predicate.TYPE, says), "owner"))
    two = Statement.build([subject, subject], predicate.TYPE, good)
    bare = Statement.build([replace(subject, name=None)], predicate.TYPE, good)
    for statement in (two, bare):
        put(models, signed(models, statement, "owner"))
    assert at(models) is None
    assert promote(models, "1").entry is not None


# --- rollback -------------------------------------------------------------------------------


def test_rolling_back_goes_further_back_each_time(models: World) -> None:
    for version in "123":
        promote(models, version)
    done = rollback(models)
    assert (done.name.version, done.skipped, at(models)) == ("2", (), "2")
    assert rollback(models).name.version == "1"
    with pytest.raises(NotFound, match="nothing to go back to"):
        rollback(models)
    promote(models, "3")
    assert rollback(models).name.version == "1"
    with models.view() as view:
        first = listing.placed(view, MODEL, history=True)[0].row
    assert (first.action, first.reason) == ("rollback", "it was worse")


def test_rolling_back_skips_what_does_not_verify_now(models: World) -> None:
    for version in "123":
        promote(models, version)
    models.quarantine("data/d:2")
    done = rollback(models)
    assert (done.name.version, at(models)) == ("1", "1")
    assert [(s.name.version, type(s.failure)) for s in done.skipped] == [("2", Quarantined)]
    assert models.code(f"{MODEL}#prod") == 0


def test_where_nothing_earlier_verifies_nothing_changes(models: World) -> None:
    with pytest.raises(NotFound, match="nothing is at"):
        rollback(models)
    promote(models, "1")
    with pytest.raises(NotFound, match="nothing to go back to"):
        rollback(models)
    promote(models, "2")
    models.quarantine("data/d:1")
    before = head(models)
    with pytest.raises(NotVerified, match=r"nothing earlier verifies: .* quarantined"):
        rollback(models)
    assert (at(models), head(models)) == ("2", before)


def test_rolling_back_asks_the_policy_of_the_stage(models: World) -> None:
    promote(models, "1")
    promote(models, "2")
    asks = Terms(policy(HEAD + "- {names: ['**'], stages: [prod], approvals: {}}\n"))
    with pytest.raises(NotVerified, match="1 approval is asked for"):
        rollback(models, terms=asks)
    approve(models, "1", "ada")
    assert rollback(models, terms=asks).name.version == "1"


def test_two_rollbacks_at_once(models: World, tmp_path: Path) -> None:
    assert isinstance(models.store, Hooked)
    for version in "123":
        promote(models, version)
    elsewhere = Catalogue.open(tmp_path / "elsewhere.sqlite3", models.store)
    other = Registry(models.store, elsewhere, models.home)

    def someone() -> None:
        promoting.rollback(desk(models, "ada", other), MODEL, "prod", gate.TERMS)

    models.store.before_create = someone
    assert rollback(models).entry is None, "one rollback, asked for twice"
    assert at(models) == "2"
    elsewhere.close()


# --- people sign off ------------------------------------------------------------------------


def approve(world: World, version: str, by: str) -> None:
    text = f"{MODEL}:{version}"
    said = Approval("prod", "looked at", world.now)
    letting.approve(world.registry, world.trust, world.signer(by), text, said)


def test_names_of_high_risk_need_people(models: World) -> None:
    """As in docs/formats/policy.md: machines may build and promote, people sign off."""
    for who in ("alice", "bob", "bot"):
        models.trust_also(who)
    signs_off = policy(
        HEAD + "- names: ['**']\n"
        "- names: [models/**]\n  stages: [prod]\n  approvals: {by: [alice, bob], count: 2}\n"
    )
    terms = Terms(signs_off)
    for who in ("bot", "ada", "alice"):
        approve(models, "1", who)
        with pytest.raises(NotVerified, match=r"2 approvals are asked for, [01] count"):
            promote(models, "1", terms=terms)
    approve(models, "1", "bob")
    assert promote(models, "1", by="bot", terms=terms).entry is not None
    with pytest.raises(NotVerified):
        promote(models, "2", terms=terms)


def test_approvals_do_not_survive_a_change_of_bytes(models: World) -> None:
    terms = Terms(policy(HEAD + "- {names: ['**'], approvals: {}}\n"))
    approve(models, "1", "ada")
    promote(models, "1", terms=terms)
    models.push(f"{MODEL}:4", {"m.bin": b"1", "more.txt": b""}, "trained-on=data/d:1", kind="model")
    with pytest.raises(NotVerified, match="1 approval is asked for"):
        promote(models, "4", terms=terms)
    assert at(models) == "1"


# --- the registry as a whole ----------------------------------------------------------------


def placings(world: World) -> Iterator[object]:
    with world.view() as view:
        for one in listing.placed(view, history=True):
            yield (replace(one.row, artifact_id=0), one.signer, one.current, one.counts)


def test_a_rebuild_gives_the_same_answers(models: World, tmp_path: Path) -> None:
    for version in "123":
        promote(models, version)
    rollback(models)
    put(models, said(models, "3", None, "stranger"))
    before = list(placings(models))
    fresh = Catalogue.open(tmp_path / "fresh.sqlite3", models.store)
    fresh.catch_up()
    with models.registry.catalogue.reading() as ours, fresh.reading() as theirs:
        assert list(compare.differences(ours, theirs)) == []
    fresh.close()
    assert audit(models.store, models.home, models.trust).whole
    models.rebuild()
    assert list(placings(models)) == before


def test_a_replica_and_a_collected_store_give_the_same_answers(models: World) -> None:
    promote(models, "1")
    promote(models, "2")
    before = list(placings(models))
    assert gc(models).deleted == 0
    target = MemoryStore()
    replicate(models.store, target, models.home, models.trust)
    assert audit(target, models.home, models.trust).whole
    path = models.folder / "replica.sqlite3"
    models.registry.close()
    models.registry = Registry(target, Catalogue.open(path, target), models.home)
    assert list(placings(models)) == before
    judge(models, f"{MODEL}#prod")


def test_a_loser_leaves_only_what_is_collected(models: World, tmp_path: Path) -> None:
    assert isinstance(models.store, Hooked)
    elsewhere = Catalogue.open(tmp_path / "elsewhere.sqlite3", models.store)
    other = Registry(models.store, elsewhere, models.home)
    models.store.before_create = lambda: promote(models, "2", by="ada", registry=other)
    with pytest.raises(Overtaken):
        promote(models, "1")
    elsewhere.close()
    assert gc(models).deleted == 2, "the bundles of the verdict and of the statement"
    assert at(models) == "2"


def test_a_catalogue_that_passed_such_a_statement_over_reads_it_again(models: World) -> None:
    """An older version saw it in an event of another type, and made no row of it."""
    put(models, said(models, "1", None, "owner"))
    put(models, said(models, "2", statement_at(models), "owner"))
    models.registry.close()
    old = Catalogue.at(models.place(), models.store)
    with old.reading() as connection:
        state = dict(connection.execute(select(t.state)).mappings().one())
    for later in ("made", "bare"):
        del state[later]
    with contextlib.closing(old), old.writing() as connection:
        schema.drop(connection)
        run.upgrade(connection, "0004")
        connection.execute(insert(t.state).values(state))  # it says that it has read everything
    models.registry = Registry(
        models.store, Catalogue.open(models.place(), models.store), models.home
    )
    assert at(models) == "2"


def test_a_changed_row_is_found(models: World, tmp_path: Path) -> None:
    promote(models, "1")
    fresh = Catalogue.open(tmp_path / "fresh.sqlite3", models.store)
    fresh.catch_up()
    with fresh.writing() as connection:
        connection.exec_driver_sql("UPDATE stage SET version = '2'")
    with models.registry.catalogue.reading() as ours, fresh.reading() as theirs:
        (found,) = compare.differences(theirs, ours)
    fresh.close()
    assert found.kind == "stage"
    assert found.changed == {"version": ("2", "1")}


def test_a_verdict_is_recorded_on_request(models: World) -> None:
    with models.view() as view:
        verdict = gate.verify_reference(models.registry, view, f"{MODEL}:1")
    signer = models.signer("owner")
    done = record_verdict(models.registry, models.trust, signer, verdict, models.now)
    assert (done.entry, done.warnings) == (head(models), ())
    with models.view() as view:
        found = attestations(models.registry, view, f"{MODEL}:1")
    assert vsa.TYPE in {item.fact.predicate_type for item in found}
    models.quarantine("data/d:2")
    with models.view() as view, pytest.raises(Quarantined) as caught:
        gate.verify_reference(models.registry, view, f"{MODEL}:2")
    no = caught.value.verdict
    stranger = models.signer("stranger")
    done = record_verdict(models.registry, models.trust, stranger, no, models.now)
    assert "does not let" in done.warnings[0]
