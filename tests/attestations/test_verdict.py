"""The conclusion that steps allow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from stemma_attestations.errors import (
    BytesDiffer,
    NotVerified,
    Quarantined,
    SignatureRefused,
    StemmaError,
    Undecided,
)
from stemma_attestations.verdict import Outcome, Step, Verdict
from tests.building import NOW, sha

# Exit codes 12, 13, 11, 10 and 14: the order in which one of several is named.
ORDER: list[type[NotVerified]] = [
    BytesDiffer,
    SignatureRefused,
    Quarantined,
    NotVerified,
    Undecided,
]


def verdict(steps: Sequence[Step]) -> Verdict:
    return Verdict("acme/m:1", sha(b"m"), None, tuple(steps), sha(b"t"), "p", 7, NOW)


@pytest.mark.parametrize(
    "failures", [c for n in range(1, 6) for c in itertools.combinations(ORDER, n)]
)
def test_the_most_severe_failure_is_named_whatever_the_order(
    failures: tuple[type[NotVerified], ...],
) -> None:
    steps = [Step.failed(i, f"step {i}", f, f"because of {i}") for i, f in enumerate(failures, 2)]
    expected = min(failures, key=ORDER.index)
    for order in (steps, steps[::-1]):
        whole = verdict([Step.passed(1, "one"), *order, Step.passed(9, "nine")])
        assert whole.failure is expected
        assert not whole.passed
        with pytest.raises(NotVerified) as refused:
            whole.require()
        assert type(refused.value) is expected
        assert refused.value.verdict is whole
        number = 2 + failures.index(expected)
        assert str(refused.value) == f"acme/m:1: because of {number}"


def test_all_steps_passed() -> None:
    whole = verdict([Step.passed(1, "one", "a detail"), Step.passed(2, "two")])
    assert whole.passed
    assert whole.failure is None
    assert whole.require() is whole


def test_no_steps_prove_nothing() -> None:
    assert not verdict([]).passed
    assert verdict([]).failure is NotVerified


def test_a_step_that_says_nothing_about_its_failure_still_refuses() -> None:
    """Fail closed: an outcome that is not `passed` is never a yes."""
    for outcome in (Outcome.FAILED, Outcome.UNDECIDED):
        whole = verdict([Step.passed(1, "one"), Step(2, "two", outcome)])
        assert not whole.passed
        assert whole.failure is NotVerified


def test_a_refusal_without_details_names_the_step() -> None:
    with pytest.raises(Quarantined, match="nothing upstream"):
        verdict([Step.failed(9, "nothing upstream is quarantined", Quarantined)]).require()


def test_undecided_is_an_outcome_of_its_own() -> None:
    assert Step.failed(9, "t", Undecided).outcome is Outcome.UNDECIDED
    assert all(Step.failed(9, "t", f).outcome is Outcome.FAILED for f in ORDER[:-1])


def test_every_refusal_is_not_verified_and_they_are_told_apart() -> None:
    assert all(issubclass(failure, NotVerified) for failure in ORDER)
    assert issubclass(NotVerified, StemmaError)
    for one, other in itertools.permutations([f for f in ORDER if f is not NotVerified], 2):
        assert not issubclass(one, other)
