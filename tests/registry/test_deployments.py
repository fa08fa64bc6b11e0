"""Where artifacts run: whose word counts, until when, and what strangers can do about it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import deployment
from stemma_attestations.predicates.deployment import (
    STARTED,
    STOPPED,
    VERIFIED,
    Deployment,
    Spot,
)
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry import deploying
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import compare, query
from stemma_registry.catalogue.deployed import Wanted
from stemma_registry.config import LIMITS
from stemma_registry.deploying import Left, Subject
from stemma_registry.errors import Refused
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.lineage.deployments import Deployed, Deployments, State, load
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.lineage.whereabouts import only_deployed, with_deployments
from stemma_registry.registry import record, snapshot
from tests.world import World

DAY = timedelta(days=1)
HERE = Spot("gpu-1", "qa", "prod")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """raw -> model -> tuned, and a sibling; `host` may say where models run, `eve` nothing."""
    world = World(tmp_path)
    world.now = world.now.replace(microsecond=0)
    world.trust_also("host", ["models/**"], [deployment.TYPE])
    world.push("data/raw:1")
    world.push("models/m:1", None, "trained-on=data/raw:1", kind="model")
    world.push("models/tuned:1", None, "fine-tuned-from=models/m:1", kind="model")
    world.push("models/other:1", kind="model")
    yield world
    world.registry.close()


def subject(world: World, name: str) -> Subject:
    with world.view() as view:
        row = query.bindings(view.connection, NameVersion.parse(name))[0]
        return Subject(query.digests(view.connection, [row.artifact_id])[row.artifact_id], row.name)


def say(
    world: World,
    state: str = STARTED,
    name: str = "models/m:1",
    by: str = "host",
    spot: Spot = HERE,
    instance: str | None = None,
    at: timedelta = timedelta(0),
    life: timedelta = DAY,
) -> Left:
    now = world.now + at
    until = None if state == STOPPED else now + life
    said = Deployment(spot, state, instance or secrets.token_hex(16), now, now, until, 3)
    signer = world.signer(by)
    return deploying.leave(world.registry, world.trust, signer, [subject(world, name)], said)


def found(
    world: World, after: timedelta = timedelta(0), ended: bool = False, **wanted: object
) -> Deployments:
    with snapshot(world.registry, world.trust, world.now + after) as view:
        return load(view, Wanted(**wanted), ended)  # type: ignore[arg-type]


def only(world: World, **options: object) -> Deployed:
    (one,) = found(world, **options).found  # type: ignore[arg-type]
    return one


def test_a_run_from_its_start_to_its_end(world: World) -> None:
    left = say(world)
    one = only(world)
    assert (one.state, one.believed, one.by) == (State.RUNNING, True, "host")
    assert (one.spot, str(one.name), one.since) == (HERE, "models/m:1", world.now)
    assert one.fact.n == left.entry
    say(world, STOPPED, instance=left.said.instance, at=timedelta(hours=1))
    assert found(world, timedelta(hours=2)).found == ()
    ended = only(world, after=timedelta(hours=2), ended=True)
    assert (ended.state, ended.until) == (State.STOPPED, world.now + timedelta(hours=1))


def test_a_host_that_died_is_not_shown_for_ever(world: World) -> None:
    say(world)
    assert only(world, after=DAY - timedelta(seconds=1)).state is State.RUNNING
    assert found(world, DAY).found == ()
    assert only(world, after=DAY, ended=True).state is State.LAPSED


def test_a_renewed_record_counts_on_and_keeps_its_beginning(world: World) -> None:
    first = say(world)
    again = Deployment(
        *(HERE, STARTED, first.said.instance, world.now),
        world.now + DAY / 2,
        world.now + 3 * DAY / 2,
    )
    deploying.leave(world.registry, world.trust, world.signer("host"), first.subjects, again)
    one = only(world, after=DAY)
    assert (one.since, one.until) == (world.now, world.now + 3 * DAY / 2)
    say(world, STOPPED, instance=first.said.instance, at=DAY / 4)
    assert found(world, DAY).found == (), "a stop is final, whatever came in which order"


def test_what_is_verified_again_is_one_deployment(world: World) -> None:
    for hours in range(3):
        say(world, VERIFIED, at=timedelta(hours=hours))
    say(world, VERIFIED, spot=Spot("gpu-2"))
    assert [one.spot.host for one in found(world, timedelta(hours=3)).found] == ["gpu-1", "gpu-2"]
    newest = found(world, timedelta(hours=3)).found[0]
    assert (newest.state, newest.said) == (State.VERIFIED, world.now + timedelta(hours=2))


def test_filters(world: World) -> None:
    say(world)
    say(world, name="models/other:1", spot=Spot("gpu-2", "other", "dev"))
    assert len(found(world).found) == 2
    for wanted in ({"host": "gpu-2"}, {"service": "other"}, {"stage": "dev"}):
        assert str(only(world, **wanted).name) == "models/other:1", wanted
    assert found(world, host="gpu").found == ()


# What strangers, and hosts of other names, can do.


def test_a_stranger_is_shown_and_counts_for_nothing(world: World) -> None:
    left = say(world, by="eve")
    assert "does not let" in left.warnings[0]
    one = only(world)
    assert not one.believed
    assert found(world).believed == ()
    assert found(world).hosts == []


def test_a_stranger_stops_and_renews_nobody(world: World) -> None:
    left = say(world, life=timedelta(hours=1))
    instance = left.said.instance
    say(world, STOPPED, by="mallory", instance=instance)
    assert only(world).state is State.RUNNING
    say(world, by="eve", instance=instance, life=timedelta(days=300), at=timedelta(minutes=1))
    believed = found(world, timedelta(hours=2)).believed
    assert believed == (), "nor does a run go on because a stranger says so"
    say(world, STOPPED, by="host", instance=instance)
    shown = found(world, timedelta(minutes=2)).found
    assert [one.believed for one in shown] == [False]


def test_a_stranger_may_end_his_own(world: World) -> None:
    left = say(world, by="eve")
    say(world, STOPPED, by="mallory", instance=left.said.instance)
    assert len(found(world).found) == 1
    say(world, STOPPED, by="eve", instance=left.said.instance)
    assert found(world).found == ()


def test_a_stop_under_another_name_or_instance_is_another_stop(world: World) -> None:
    left = say(world)
    say(world, STOPPED)
    say(world, STOPPED, name="models/other:1", instance=left.said.instance)
    assert only(world).instance == left.said.instance


def test_a_host_speaks_for_its_names_only(world: World) -> None:
    assert not say(world).warnings
    left = say(world, name="data/raw:1")
    assert "data/raw:1" in left.warnings[0]
    assert [str(one.name) for one in found(world).believed] == ["models/m:1"]


def test_a_revoked_host_is_not_believed(world: World) -> None:
    say(world)
    text = world.trust_path.read_text()
    marker = '- principal: "host"'
    assert marker in text
    world.trust = world.trust.parse(
        text.replace(marker, f"{marker}\n    revoked: 2020-01-01T00:00:00Z").encode()
    )
    assert not only(world).believed


def test_replays_change_nothing(world: World) -> None:
    left = say(world, life=timedelta(hours=1))
    say(world, STOPPED, instance=left.said.instance)
    before = found(world, ended=True)
    with world.view() as view:
        facts = query.facts_of(view.connection, [before.found[0].node], deployment.TYPE)[
            before.found[0].node
        ]
    for fact in facts:
        # The same envelope in a bundle of other bytes: another blob, the same statement.
        raw = json.loads(get_bytes(world.store, fact.bundle, LIMITS.manifest_bytes))
        other = Bundle.parse(json.dumps(raw, indent=1).encode()).raw
        uploads = Uploads.begin(world.registry.store, world.registry.catalogue)
        keys = tuple(uploads.put(key) for key in world.signer("host").keys)
        event = Event(PUSH, bundles=(uploads.put(other),), keys=keys)
        who = world.signer("owner")
        record(world.registry, world.trust, who, world.now, lambda e=event: [e], uploads)  # type: ignore[misc]
    after = found(world, ended=True)
    assert [(one.state, one.until, one.instance) for one in after.found] == [
        (one.state, one.until, one.instance) for one in before.found
    ]


def test_many_records_of_strangers_are_counted_and_not_held(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemma_registry.lineage.deployments.LIMITS", type(LIMITS)(others=3))
    for number in range(5):
        say(world, by="eve", spot=Spot(f"host-{number}"))
    say(world)
    seen = found(world)
    assert [one.believed for one in seen.found] == [True, False, False, False]
    assert seen.unheard == 2


BROKEN: list[dict[str, object]] = [
    {"host": None},
    {"host": ""},
    {"host": "a\nb"},
    {"host": "\u202eevil"},
    {"host": " a"},
    {"host": "a" * 256},
    {"service": "\x1b[31m"},
    {"stage": 7},
    {"state": "paused"},
    {"state": STOPPED},
    {"instance": "A" * 32},
    {"instance": "1" * 31},
    {"until": None},
    {"until": "2020-01-01T00:00:00Z"},
    {"until": "9999-12-31T23:59:59Z"},
    {"since": "2999-01-01T00:00:00Z"},
    {"issuedAt": "yesterday"},
    {"entry": -1},
    {"entry": True},
]


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_a_record_that_breaks_its_rules(change: dict[str, object]) -> None:
    good = good_record(datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert deployment.parse(good).spot == HERE
    with pytest.raises(BadStatement):
        deployment.parse({**good, **change})


def test_broken_records_in_the_ledger_are_none_and_stop_nobody(world: World) -> None:
    good, thing = good_record(world.now), subject(world, "models/m:1")
    named = ResourceDescriptor(name=str(thing.name), digests=(thing.digest,))
    for change in BROKEN[:3] + BROKEN[-2:]:
        _append(world, Statement.build([named], deployment.TYPE, {**good, **change}))
    for name in (None, "no version"):
        bare = ResourceDescriptor(name=name, digests=(thing.digest,))
        _append(world, Statement.build([named, bare], deployment.TYPE, good))
    assert found(world, ended=True).found == ()
    _append(world, Statement.build([named], deployment.TYPE, good))
    assert only(world).believed


def good_record(now: datetime) -> dict[str, object]:
    return deployment.build(Deployment(HERE, STARTED, "1" * 32, now, now, now + DAY, 3), "n")


def _append(world: World, statement: Statement) -> None:
    signer = world.signer("host")
    uploads = Uploads.begin(world.registry.store, world.registry.catalogue)
    event = Event(
        PUSH,
        bundles=(uploads.put(signer.sign(statement).raw),),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )
    record(world.registry, world.trust, signer, world.now, lambda: [event], uploads)


def test_times_at_the_ends_of_the_calendar(world: World) -> None:
    for year in (1000, 9999):
        begin = datetime(year, 1, 1, tzinfo=UTC)
        said = Deployment(HERE, STARTED, f"{year:032x}", begin, begin, begin + DAY)
        things = [subject(world, "models/m:1")]
        deploying.leave(world.registry, world.trust, world.signer("host"), things, said)
    assert only(world).since.year == 9999, "a clock that runs ahead is shown: better than missed"
    assert len(found(world, ended=True).found) == 2


def test_a_clock_that_is_behind_is_told_of(world: World) -> None:
    late = say(world, at=-timedelta(hours=3))
    assert "clock is 3h behind" in late.warnings[0] or "clock is 2h behind" in late.warnings[0]


def test_bounds_on_how_long_a_record_counts() -> None:
    for life in (timedelta(seconds=59), timedelta(days=367), -DAY):
        with pytest.raises(Malformed):
            deploying.check_life(life)
    assert deploying.check_life(DAY) == DAY


# Traces, previews, and the catalogue as a projection.


def test_a_trace_of_what_is_deployed(world: World) -> None:
    say(world, name="models/tuned:1")
    say(world, name="models/other:1", spot=Spot("gpu-9"))
    with world.view() as view:
        start = query.bindings(view.connection, NameVersion.parse("data/raw:1"))[0].artifact_id
        whole = with_deployments(trace(view, start, Direction.DOWN), load(view, Wanted()))
        part = only_deployed(whole)
        elsewhere = with_deployments(whole, load(view, Wanted(stage="dev")))
    assert {node.label for node in whole.nodes.values() if node.deployed} == {"models/tuned:1"}
    assert [n.label for n in part.nodes.values()] == ["data/raw:1", "models/m:1", "models/tuned:1"]
    assert len(part.edges) == 2
    assert len(only_deployed(trace_without(elsewhere)).nodes) == 1


def trace_without(found: object) -> object:
    """The same trace, deployed nowhere."""
    from dataclasses import replace

    nodes = {n: node._replace(deployed=()) for n, node in found.nodes.items()}  # type: ignore[attr-defined]
    return replace(found, nodes=nodes)  # type: ignore[type-var]


def test_the_preview_of_a_quarantine_says_what_runs(world: World) -> None:
    say(world, name="models/tuned:1")
    say(world, by="eve")
    say(world, name="models/other:1", spot=Spot("gpu-9"))
    seen = world.preview("data/raw:1").deployed
    assert [(str(one.name), one.believed) for one in seen.found] == [
        ("models/tuned:1", True),
        ("models/m:1", False),
    ]
    assert seen.hosts == ["gpu-1"]


def test_the_gate_does_not_read_records(world: World) -> None:
    before = world.verify("models/m:1")
    for _ in range(3):
        say(world, VERIFIED)
    after = world.verify("models/m:1")
    assert [step.details for step in before.steps[2:4]] == [s.details for s in after.steps[2:4]]


def test_a_rebuilt_catalogue_says_the_same(world: World) -> None:
    left = say(world)
    say(world, STOPPED, instance=left.said.instance)
    say(world, VERIFIED, spot=Spot("gpu-2"))
    before = found(world, ended=True)
    world.rebuild()
    after = found(world, ended=True)
    assert [one.fact for one in after.found] == [one.fact for one in before.found]


def test_an_edited_row_is_noticed(world: World, tmp_path: Path) -> None:
    say(world)
    other = World.__new__(World)
    other.__dict__.update(world.__dict__)
    other.catalogue_path = tmp_path / "fresh.sqlite3"
    other.registry = other._open()
    other.registry.catalogue.catch_up()
    with world.registry.catalogue.writing() as connection:
        connection.exec_driver_sql("UPDATE deployment SET host = 'elsewhere'")
    with (
        world.registry.catalogue.reading() as ours,
        other.registry.catalogue.reading() as fresh,
    ):
        (one,) = compare.differences(ours, fresh)
    other.registry.close()
    assert one.kind == "deployment"
    assert one.changed == {"host": ("elsewhere", "gpu-1")}


def test_what_is_unknown_or_nameless_is_not_reported(world: World) -> None:
    verdict = world.verify("models/m:1")
    with world.view() as view:
        (one,) = deploying.subjects_of(view, [verdict, verdict])
        assert str(one.name) == "models/m:1"
        from dataclasses import replace

        with pytest.raises(Refused):
            deploying.subjects_of(view, [replace(verdict, artifact=None)])
