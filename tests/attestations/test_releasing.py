"""What surely lifts everything lifts whatever is asked about, whoever else releases it too."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stemma_attestations import releasing
from stemma_attestations.predicates import status
from stemma_attestations.releasing import Voice
from stemma_attestations.trust import TrustRoot
from tests.building import key, signer, trust_bytes

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEYS = [key(name) for name in "abc"]
NAMES = ("x/one", "y/one", None)
PATTERNS = st.sampled_from(["**", "x/*", "y/*"])
LISTED = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["ann", "bob"]), PATTERNS),
    min_size=1,
    max_size=5,
    unique=True,
)
# Two people release it, and one who answers to the names of both, about `x/*`.
JOINED = [(0, "ann", "**"), (1, "bob", "**"), (2, "ann", "x/*"), (2, "bob", "x/*")]


@settings(max_examples=60, deadline=None)
@given(LISTED, st.integers(1, 2), st.sets(st.integers(0, 2)))
@example(JOINED, 2, {0, 1, 2})
def test_more_releases_never_bring_back_what_is_surely_lifted(
    listed: list[tuple[int, str, str]], needed: int, by: set[int]
) -> None:
    signers = [signer(KEYS[at], who, names=[pattern]) for at, who, pattern in listed]
    about = {"predicates": [status.TYPE], "names": ["**"], "principals": needed}
    trust = TrustRoot.parse(trust_bytes(*signers, thresholds=[about]))
    releases = [Voice(KEYS[at].public.id) for at in sorted(by)]
    voices = [Voice(one.public.id) for one in KEYS]
    for name in NAMES:
        lifted = releasing.lifted(trust, releases, name, None, NOW)
        if releasing.lifts_everything(trust, releases, NOW):
            assert lifted
        for stopped in voices:
            may = trust.has_authorised(stopped.signer or "", status.TYPE, name)
            if may and releasing.covers_wholly(trust, releases, stopped, NOW):
                assert lifted
    if by == {0, 1, 2} and listed == JOINED:
        assert releasing.lifts_everything(trust, releases[:2], NOW)
        assert not releasing.lifts_everything(trust, releases, NOW)
