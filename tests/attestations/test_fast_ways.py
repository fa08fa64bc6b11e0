"""What is read in a short way is what the long way reads, and what it refuses is refused."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest, parse_digest_set
from stemma_attestations.envelope import unbase64
from stemma_attestations.errors import BadDigest, BadEnvelope, BadJSON, BadStatement
from stemma_attestations.predicates import lineage
from tests.building import examples, json_values

PIECES = ["{", "}", "[", "]", '"', '""', '"a"', "\\", '\\"', "\\\\", ",", ":", "{}", "[[", "é"]
ODD = st.text('\x00\x1f\x7f\n\t"\\/a\u2028\ue000\U0001f600', max_size=4)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=8,
)


def _refused(work: Any, *kinds: type[Exception]) -> Any:
    try:
        return work()
    except kinds:
        return None


@examples(400)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.integers(0, 3))
def test_depth_is_what_a_walk_over_the_brackets_finds(text: str, limit: int) -> None:
    walked = _depth_refused(json_strict._walk_depth, text.encode(), limit)
    assert _depth_refused(json_strict._check_depth, text.encode(), limit) == walked


def _depth_refused(check: Any, data: bytes, limit: int) -> bool:
    try:
        check(data, limit)
    except BadJSON:
        return True
    return False


@examples(300)
@given(PLAIN | json_values)
def test_canonical_bytes_are_those_of_the_library(value: Any) -> None:
    try:
        expected = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError):
        return
    with contextlib.suppress(BadJSON):  # numbers that RFC 7493 refuses
        assert canonical.dumps(value) == expected
    if canonical._is_plain(value):
        assert canonical.dumps(value) == expected


@examples(400)
@given(st.binary(min_size=1, max_size=9), st.data())
def test_base64_has_one_spelling(data: bytes, draw: st.DataObject) -> None:
    spelled = list(base64.b64encode(data).decode())
    for _ in range(draw.draw(st.integers(0, 2))):
        at = draw.draw(st.integers(0, len(spelled) - 1))
        spelled[at : at + draw.draw(st.integers(0, 1))] = draw.draw(st.sampled_from("AB/+=-_ \né"))
    text = "".join(spelled)
    found = _refused(lambda: unbase64(text, "payload"), BadEnvelope)
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    right = decoded and base64.b64encode(decoded).decode() == text
    assert found == (decoded if right else None)


A, B = (Digest.of(name).value for name in (b"a", b"b"))
VALUES = st.sampled_from([A, B, A.upper(), A[:-1], f"{A[:-1]}\n", "", "é" * 64, None, 7, [], {}])
SETS = st.dictionaries(st.sampled_from(["sha256", "sha512", "gitCommit", "x"]), VALUES, max_size=2)
THINGS = st.fixed_dictionaries(
    {"digest": SETS | VALUES},
    optional={"name": VALUES | st.just("n:1"), "uri": VALUES, "annotations": VALUES},
)
EDGES = st.fixed_dictionaries(
    {},
    optional={
        "output": THINGS | st.just({"digest": {"sha256": A}}) | VALUES,
        "input": THINGS | st.just({"digest": {"sha256": B}, "name": "n:1"}) | VALUES,
        "relation": st.just("trained-on") | VALUES,
        "more": VALUES,
    },
)
ABOUT = {A: Digest("sha256", A)}


@examples(500)
@given(EDGES | THINGS | VALUES)
def test_a_plain_edge_is_what_the_long_way_reads(obj: Any) -> None:
    short = lineage._plain(obj, ABOUT, dict(ABOUT))
    if short is not None:
        assert short == lineage._parse_edge(obj, ABOUT)


def test_an_edge_as_we_write_it_is_read_in_the_short_way() -> None:
    edge = {
        "output": {"digest": {"sha256": A}},
        "relation": "trained-on",
        "input": {"name": "n:1", "digest": {"sha256": B}},
    }
    known = dict(ABOUT)
    assert lineage._plain(edge, ABOUT, known) == lineage._parse_edge(edge, ABOUT)
    assert known[B] == Digest("sha256", B)


@examples(300)
@given(SETS | VALUES)
def test_a_digest_set_of_one_is_read_as_any_other(obj: Any) -> None:
    found = _refused(lambda: parse_digest_set(obj), BadDigest, BadStatement)
    wider = {**obj, "x": 1} if isinstance(obj, dict) else obj
    assert found == _refused(lambda: parse_digest_set(wider), BadDigest, BadStatement)
