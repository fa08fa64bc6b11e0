"""Distrust of a signer, waivers, retired names, releases by two: what they stop and let pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.grants import Grant, Threshold
from stemma_attestations.policy import BUILTIN
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates import waiver as waiver_predicate
from stemma_attestations.predicates.criterion import Distrusted, Retired
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_registry import gate
from stemma_registry.catalogue import halts
from stemma_registry.errors import NotFound, Refused
from stemma_registry.gate import Terms
from stemma_registry.lineage import support
from stemma_registry.measures import criteria, distrust, retiring, signing, waiving
from stemma_registry.measures.waiving import Wish
from tests.world import World

DAY = timedelta(days=1)


def whom(world: World, text: str, **options: object) -> Distrusted:
    with world.view() as view:
        return distrust.whom(view, text, **options)  # type: ignore[arg-type]


def preview(world: World, of: Distrusted, by: str = "owner") -> distrust.Preview:
    with world.view() as view:
        return distrust.preview(view, of, world.signer(by))


def distrusted(world: World, text: str, by: str = "owner", **options: object) -> str:
    of = whom(world, text, **options)
    digest, _ = distrust.distrust(
        world.registry, world.trust, world.signer(by), of, "the key was stolen", world.now
    )
    return str(digest)


def waive(world: World, ref: str, quarantine: str, by: str = "owner", days: int = 7) -> int:
    wish = Wish(ref, quarantine, world.now + days * DAY, "the eval set is not in it")
    return waiving.waive(world.registry, world.trust, world.signer(by), wish, world.now).waits


def by_two(world: World, *types: str) -> None:
    """From now on two distinct principals have to say these, for a yes."""
    threshold = Threshold(Grant(types, ("**",)), 2)
    world.trust = replace(world.trust, thresholds=(*world.trust.thresholds, threshold))


@pytest.fixture
def family(world: World) -> World:
    """`ci` made the base and the model, `owner` what was made of the model."""
    world.trust_also("ci")
    world.push("data/base:1", {"b": b"b"}, by="ci")
    world.push("models/m:1", {"w": b"m"}, "trained-on=data/base:1", kind="model", by="ci")
    world.push("models/fine:1", {"w": b"f"}, "fine-tuned-from=models/m:1", kind="model")
    world.push("data/other:1", {"o": b"o"})
    return world


ALL = ("data/base:1", "models/m:1", "models/fine:1", "data/other:1")


def codes(world: World) -> list[int]:
    return [world.code(ref) for ref in ALL]


def test_what_loses_its_last_support_is_stopped_with_what_descends_from_it(family: World) -> None:
    assert codes(family) == [0, 0, 0, 0]
    of = whom(family, "ci")
    seen = preview(family, of)
    assert [str(item.version.name) for item in seen.lost] == ["data/base:1", "models/m:1"]
    assert seen.counts.kinds == {"model": 2, "dataset": 1}
    assert seen.counts.owners == {"ci": 2, "owner": 1}
    assert codes(family) == [0, 0, 0, 0]  # a preview changes nothing
    digest = distrusted(family, "ci")
    # The signature of what was made so does not count, and what came of it is stopped.
    assert codes(family) == [13, 13, 11, 0]
    with pytest.raises(Exception, match=r"distrusted: at any time, by owner: the key was stolen"):
        family.verify("models/m:1")
    with pytest.raises(Exception, match=r"nothing holds it up since ci is distrusted"):
        family.verify("models/fine:1")
    family.rebuild()
    assert codes(family) == [13, 13, 11, 0]
    family.release(digest)
    assert codes(family) == [0, 0, 0, 0]
    with pytest.raises(NotFound, match="released already"):
        family.release(digest)


def test_what_somebody_else_vouches_for_too_stands(family: World) -> None:
    family.push("data/base:1", {"b": b"b"})
    family.push("models/m:1", {"w": b"m"}, "trained-on=data/base:1", kind="model")
    assert preview(family, whom(family, "ci")).lost == ()
    distrusted(family, "ci")
    assert codes(family) == [0, 0, 0, 0]


def test_distrust_by_a_stranger_changes_nothing(family: World) -> None:
    with family.view() as view:
        of = distrust.whom(view, "ci")
    seen = preview(family, of, by="stranger")
    assert seen.lost == ()
    assert "does not let" in seen.warnings[0]
    distrusted(family, "ci", by="stranger")
    assert codes(family) == [0, 0, 0, 0]
    with family.view() as view:
        assert [one.believed for one in criteria.standing(view)] == [False]


def test_distrust_reaches_the_names_of_who_signed_it_and_no_other(world: World) -> None:
    world.trust_also("ci")
    world.trust_also("x-team", names=["x/*"])
    world.push("x/a:1", {"a": b"a"}, by="ci")
    world.push("prod/b:1", {"b": b"b"}, by="ci")
    digest = distrusted(world, "ci", by="x-team")
    assert (world.code("x/a:1"), world.code("prod/b:1")) == (13, 0)
    world.release(digest, by="x-team")
    assert (world.code("x/a:1"), world.code("prod/b:1")) == (0, 0)
    distrusted(world, "ci", names=["prod/*"])
    assert (world.code("x/a:1"), world.code("prod/b:1")) == (0, 13)


def test_overlapping_distrust_stays_until_both_are_released(family: World) -> None:
    first, second = distrusted(family, "ci"), distrusted(family, family.signer("ci").id)
    family.release(first)
    assert codes(family) == [13, 13, 11, 0]
    family.quarantine("data/base:1")
    family.release(second)
    assert codes(family) == [11, 11, 11, 0]
    family.release("data/base:1")
    assert codes(family) == [0, 0, 0, 0]


def test_distrust_never_lets_more_through(family: World) -> None:
    """What somebody stopped stays stopped when he is distrusted, and what he lifted comes back."""
    family.quarantine("data/other:1", by="ci")
    stopped = family.quarantine("data/base:1")
    family.release(stopped, by="ci")
    assert codes(family) == [0, 0, 0, 11]
    distrusted(family, "ci")
    # Of the first there are statements by `owner` too: that it was stopped.
    assert codes(family) == [11, 13, 11, 11]
    family.release(stopped)
    assert family.code("data/other:1") == 11


def test_a_name_bound_by_who_is_distrusted_is_free_for_others(family: World) -> None:
    distrusted(family, "ci")
    family.push("models/m:1", {"w": b"rebuilt"}, kind="model")
    assert family.code("models/m:1") == 0


def test_nobody_distrusts_himself(family: World) -> None:
    with pytest.raises(Refused, match="could not release it again"):
        distrusted(family, "owner")
    with pytest.raises(NotFound, match="no principal"):
        distrusted(family, "nobody-knows")


def test_a_distrusted_signer_does_not_release_what_distrusts_him(family: World) -> None:
    digest = distrusted(family, "ci")
    with pytest.raises(Refused, match="does not let"):
        family.release(digest, by="ci")
    # Nor does it count when he writes it all the same.
    hand_in_release(family, digest, "ci")
    assert codes(family) == [13, 13, 11, 0]


def hand_in_release(world: World, digest: str, by: str) -> None:
    said = predicate.build_release("all is well", format_time(world.now), [Digest.parse(digest)])
    subject = ResourceDescriptor(digests=(Digest.parse(digest),))
    statement = Statement.build([subject], predicate.TYPE, said)
    signing.append(world.registry, world.trust, world.signer(by), statement, world.now)


def test_two_who_distrust_each_other_are_both_out_until_a_third_helps(world: World) -> None:
    for name in ("ann", "bob"):
        world.trust_also(name)
        world.push(f"x/{name}:1", {"a": name.encode()}, by=name)
    first, second = distrusted(world, "bob", by="ann"), distrusted(world, "ann", by="bob")
    assert (world.code("x/ann:1"), world.code("x/bob:1")) == (13, 13)
    hand_in_release(world, first, "bob")
    hand_in_release(world, second, "ann")
    assert (world.code("x/ann:1"), world.code("x/bob:1")) == (13, 13)
    world.release(first)  # then bob may speak again, and what he released counts at once
    assert world.code("x/bob:1") == 0
    world.release(second)
    assert (world.code("x/ann:1"), world.code("x/bob:1")) == (0, 0)


def test_a_criterion_of_an_unknown_kind_denies_where_it_is_believed(family: World) -> None:
    unknown = {"type": "records", "of": "bad.jsonl"}
    said = {
        "action": predicate.MATCHING,
        "criterion": unknown,
        "reason": "newer",
        "issuedAt": format_time(family.now),
        "nonce": "n",
    }
    subject = ResourceDescriptor(digests=(Digest.of(b"records"),))
    statement = Statement.build([subject], predicate.TYPE, said)
    signing.append(family.registry, family.trust, family.signer("stranger"), statement, family.now)
    assert codes(family) == [0, 0, 0, 0]
    signing.append(family.registry, family.trust, family.signer("owner"), statement, family.now)
    assert codes(family) == [14, 14, 14, 14]


def test_a_waiver_lets_one_descendant_pass_for_a_time(family: World) -> None:
    family.push("models/last:1", {"w": b"l"}, "quantized-from=models/fine:1", kind="model")
    digest = family.quarantine("data/base:1")
    waive(family, "models/fine:1", digest)
    assert codes(family) == [11, 11, 0, 0]
    assert family.code("models/last:1") == 11  # it does not flow on
    verdict = family.verify("models/fine:1")
    assert "WAIVED by owner" in verdict.warnings[0]
    assert any("WAIVED" in str(step.to_json()) for step in verdict.steps if step.number == 9)
    family.rebuild()
    assert family.code("models/fine:1") == 0
    with family.view() as view, pytest.raises(Exception, match="quarantined"):
        terms = Terms(policy=replace(BUILTIN, waivers=False))
        gate.verify_reference(family.registry, view, "models/fine:1", terms=terms)
    family.now += 8 * DAY
    assert family.code("models/fine:1") == 11


def test_a_waiver_is_in_spite_of_one_quarantine(family: World) -> None:
    first, second = family.quarantine("data/base:1"), family.quarantine("models/m:1")
    waive(family, "models/fine:1", first[: len("sha256:") + 12])
    assert family.code("models/fine:1") == 11
    waive(family, "models/fine:1", second)
    assert family.code("models/fine:1") == 0


def test_what_is_quarantined_itself_is_not_waived(family: World) -> None:
    digest = family.quarantine("data/base:1")
    with pytest.raises(Refused, match="quarantined itself"):
        waive(family, "data/base:1", digest)
    with pytest.raises(NotFound, match="no such quarantine stops"):
        waive(family, "data/other:1", digest)
    # Nor where somebody writes it all the same.
    with family.view() as view:
        node = gate.resolve(view, "data/base:1")
    said = waiver_predicate.Waiver(Digest.parse(digest), "why not", family.now, family.now + DAY)
    subject = ResourceDescriptor(name="data/base:1", digests=(node.digest,))
    statement = Statement.build([subject], waiver_predicate.TYPE, waiver_predicate.build(said, "n"))
    signing.append(family.registry, family.trust, family.signer("owner"), statement, family.now)
    assert family.code("data/base:1") == 11


def test_a_waiver_counts_by_who_may_waive_for_that_name(family: World) -> None:
    digest = family.quarantine("data/base:1")
    for name in ("stranger", "other"):
        if name == "other":
            family.trust_also("other", names=["x/*"])
        with pytest.raises(Refused, match="does not let"):
            waive(family, "models/fine:1", digest, by=name)
    with pytest.raises(Refused, match="366 days"):
        waive(family, "models/fine:1", digest, days=400)


def test_a_waiver_by_who_is_distrusted_lapses(family: World) -> None:
    digest = family.quarantine("data/base:1")
    family.trust_also("ann")
    waive(family, "models/fine:1", digest, by="ann")
    assert family.code("models/fine:1") == 0
    distrusted(family, "ann")
    assert family.code("models/fine:1") == 11


def test_two_principals_waive_where_the_trust_root_says_so(family: World) -> None:
    family.trust_also("ann")
    digest = family.quarantine("data/base:1")
    by_two(family, waiver_predicate.TYPE)
    assert waive(family, "models/fine:1", digest) == 1
    assert family.code("models/fine:1") == 11
    assert waive(family, "models/fine:1", digest) == 1  # himself once more is nobody's second
    assert family.code("models/fine:1") == 11
    assert waive(family, "models/fine:1", digest, by="ann") == 0
    assert family.code("models/fine:1") == 0


def test_two_principals_release_where_the_trust_root_says_so(family: World) -> None:
    family.trust_also("ann")
    by_two(family, predicate.TYPE)
    digest = family.quarantine("data/base:1")  # what stops needs no second
    assert family.code("models/m:1") == 11
    assert family.release("data/base:1").waits == 1
    assert family.code("models/m:1") == 11
    with pytest.raises(NotFound, match="somebody else has to"):
        family.release(digest)
    assert family.release(digest, by="ann").waits == 0
    assert codes(family) == [0, 0, 0, 0]
    with pytest.raises(NotFound, match="released already"):
        family.release(digest)
    rule = distrusted(family, "ci", by="owner")
    assert family.release(rule).waits == 1
    with pytest.raises(NotFound, match="somebody else has to"):
        family.release(rule)
    assert codes(family) == [11, 13, 11, 0]
    assert family.release(rule, by="ann").waits == 0
    assert codes(family) == [0, 0, 0, 0]


def retire(world: World, text: str, by: str = "owner") -> str:
    signer = world.signer(by)
    of = retiring.named(text)
    digest, _ = retiring.retire(world.registry, world.trust, signer, of, "burnt", world.now)
    return str(digest)


def test_a_retired_name_is_given_to_nothing_else(family: World) -> None:
    digest = retire(family, "data/base:1")
    assert codes(family) == [11, 0, 0, 0]  # the bytes did no wrong
    with pytest.raises(Refused, match="retired: burnt"):
        family.push("data/base:1", {"b": b"another"})
    family.push("data/base:2", {"b": b"b"})
    assert family.code("data/base:2") == 0
    family.rebuild()
    assert family.code("data/base:1") == 11
    family.release(digest)
    assert family.code("data/base:1") == 0


def test_all_versions_of_a_name_are_retired_also_those_to_come(family: World) -> None:
    retire(family, "data/base")
    with pytest.raises(Refused, match="retired"):
        family.push("data/base:9", {"b": b"9"})
    assert family.code("data/base:1") == 11


def test_a_stranger_retires_nothing(family: World) -> None:
    with pytest.raises(Refused, match="does not let"):
        retire(family, "data/base:1", by="stranger")
    of = Retired("data/base", "1")
    stranger = family.signer("stranger")
    signing.stop_matching(family.registry, family.trust, stranger, of, "mine", family.now)
    assert family.code("data/base:1") == 0
    family.push("data/base:1", {"b": b"b"}, parameters={"more": "1"})


def test_the_words_of_a_criterion() -> None:
    one = Distrusted(
        identity=("https://issuer", "me@example.org"),
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 2, 1, tzinfo=UTC),
        names=("x/*",),
    )
    assert criterion.load(criterion.encode(one).decode()) == one
    assert [one.holds(time) for time in (None, one.since, one.until)] == [True, True, False]
    assert [one.is_about(name) for name in ("x/y", "y/x", None)] == [True, False, False]
    noon = "2026-01-01T12:00:00Z"
    for wrong in (
        {"type": "signer"},
        {"type": "signer", "principal": "a", "key": "0" * 64},
        {"type": "signer", "principal": "a", "unknown": 1},
        {
            "type": "signer",
            "principal": "a",
            "from": noon,
            "until": noon,
        },
        {"type": "signer", "key": "AB"},
        {"type": "name"},
        {"type": "name", "name": "a", "version": 1},
        {"type": "package"},
        "signer",
    ):
        with pytest.raises(criterion.BadStatement):
            criterion.parse(wrong)


def test_lost_support_is_one_question(family: World) -> None:
    distrusted(family, "ci")
    with family.view() as view:
        rows = support.all_lost(view)
        names = {row.fact.about for row in rows}
        assert names == {"data/base:1", "models/m:1"}
        start = gate.resolve(view, "models/fine:1").node
        nodes = halts.upstream(view.connection, start, 1_000)
        above = support.lost_above(view, nodes)
        assert {row.fact.about for row in above} == names
