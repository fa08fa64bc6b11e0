"""More evidence may help, less never does; and nobody's word but a believed signer's counts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import NotVerified, SignatureRefused
from stemma_attestations.request import Evidence, StatusView
from tests.attestations.scene import (
    BOM,
    CI,
    GOOD,
    LINEAGE,
    LISTED,
    MALLORY,
    PROVEN,
    PROVENANCE,
    STOP,
    bom_predicate,
    evidence,
    provenance_predicate,
    request,
    statement,
    trusting,
    verdict_of,
)
from tests.building import examples, manifest_of, sha, signer

REVIEWER_GRANT = {"predicates": [PROVENANCE], "names": ["acme/model"]}
TRUST = trusting(signer(MALLORY, "reviewer", **REVIEWER_GRANT))

# What each item is worth under TRUST: what it says, if it counts at all.
POOL: dict[str, tuple[Evidence, str | None]] = {
    "provenance": (PROVEN, "provenance"),
    "bom": (LISTED, "bom"),
    "provenance by the reviewer": (
        evidence(statement(PROVENANCE, provenance_predicate("quantize")), MALLORY),
        "provenance",
    ),
    "lineage": (evidence(statement(LINEAGE, {"edges": []})), "something"),
    "dirty provenance": (
        evidence(statement(PROVENANCE, provenance_predicate(dirty=True))),
        "something",
    ),
    "bom of something else": (
        evidence(statement(BOM, bom_predicate(manifest_of({"x": b""})))),
        "something",
    ),
    "bom by the reviewer, who may not": (evidence(statement(BOM, bom_predicate()), MALLORY), None),
    "bom about another name": (
        evidence(statement(BOM, bom_predicate(), name="acme/other:1.0")),
        None,
    ),
    "provenance about another version": (
        evidence(statement(PROVENANCE, provenance_predicate(), name="acme/model:2.0")),
        None,
    ),
    "provenance of other bytes": (
        evidence(statement(PROVENANCE, provenance_predicate(), artifact=sha(b"x"))),
        None,
    ),
    "bom with a broken signature": (evidence(statement(BOM, bom_predicate()), signed=b"x"), None),
    "bom under the signer's hint": (
        evidence(statement(BOM, bom_predicate()), MALLORY, hint=CI.public.id),
        None,
    ),
    "junk": (Evidence(sha(b"junk"), b"junk", b"junk"), None),
}
SUBSETS = st.sets(st.sampled_from(sorted(POOL)))


def outcome(names: Sequence[str], status: StatusView) -> type[NotVerified] | None:
    items = [POOL[name][0] for name in names]
    return verdict_of(request(evidence=items, trust=TRUST, status=status))[1]


CLEAN = StatusView(7)
VIEWS = st.sampled_from([CLEAN, StatusView(7, stops=(STOP,)), StatusView(7, undecided="late")])


@examples(250)
@given(SUBSETS)
def test_it_passes_exactly_with_believed_provenance_and_a_believed_bom(names: set[str]) -> None:
    worth = {POOL[name][1] for name in names} - {None}
    if not worth:
        expected: type[NotVerified] | None = SignatureRefused
    else:
        expected = None if {"provenance", "bom"} <= worth else NotVerified
    assert outcome(sorted(names), CLEAN) is expected


@examples(250)
@given(SUBSETS, VIEWS, st.data())
def test_removing_evidence_never_turns_a_refusal_into_a_pass(
    names: set[str], status: StatusView, data: st.DataObject
) -> None:
    if outcome(sorted(names), status) is None:
        return
    for name in names:
        assert outcome(sorted(names - {name}), status) is not None
    kept = data.draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
    assert outcome(sorted(kept), status) is not None


@examples(100)
@given(SUBSETS, VIEWS, st.randoms(use_true_random=False))
def test_order_and_repetition_play_no_part(
    names: set[str], status: StatusView, shuffle: random.Random
) -> None:
    order = sorted(names)
    expected = outcome(order, status)
    shuffle.shuffle(order)
    assert outcome(order, status) is expected
    assert outcome(order + order, status) is expected


@examples(150)
@given(SUBSETS, VIEWS)
def test_what_is_not_believed_neither_blocks_nor_unblocks(
    names: set[str], status: StatusView
) -> None:
    believed = sorted(name for name in names if POOL[name][1] is not None)
    if believed:
        assert outcome(sorted(names), status) is outcome(believed, status)
    else:
        assert outcome(sorted(names), status) is not None


def test_a_crowd_of_strangers_changes_nothing() -> None:
    """Untrusted statements of every type, about this very name, in any number."""
    crowd = [
        evidence(statement(kind, predicate), MALLORY)
        for kind in (PROVENANCE, BOM, LINEAGE, "urn:stemma:status:v0.1")
        for predicate in (
            provenance_predicate(dirty=True),
            bom_predicate(manifest_of({"x": b""})),
            {"action": "quarantine", "reason": "x", "issuedAt": "2026-11-21T12:00:00Z"},
        )
    ]
    verdict, refused = verdict_of(request(evidence=[*crowd, *GOOD, *crowd]))
    assert refused is None
    assert verdict.accepted == tuple(sorted(e.digest for e in GOOD))
    assert verdict_of(request(evidence=crowd))[1] is SignatureRefused


def test_a_stop_that_is_removed_is_the_only_way_past_it() -> None:
    stopped = StatusView(7, stops=(STOP,))
    for names in (["provenance", "bom"], sorted(POOL)):
        assert outcome(names, CLEAN) is None
        assert outcome(names, stopped) is not None
