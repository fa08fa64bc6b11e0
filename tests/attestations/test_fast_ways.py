"""What is read in a short way is what the long way reads, and what it refuses is refused."""

from __future__ import annotations

import base64
import contextlib
from typing import Any
from unittest.mock import patch

import orjson
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import bundle, canonical, json_strict, statement
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, all_written, parse_digest_set, sha256s
from stemma_attestations.envelope import unbase64
from stemma_attestations.errors import BadDigest, BadEnvelope, BadJSON, BadName, BadStatement
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import NameVersion, split_name
from stemma_attestations.predicates import lineage
from stemma_attestations.statement import ResourceDescriptor
from tests.building import examples, json_values

PIECES = ["{", "}", "[", "]", '"', '""', '"a"', "\\", '\\"', "\\\\", ",", ":", "{}", "[[", "é"]
ODD = st.text('\x00\x1f\x7f\n\t"\\/a\u2028\ue000\U0001f600', max_size=4)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=8,
)


# Around the limits, in every spelling; and what is no number for everybody.
NUMBERS = """
0 -0 1 -7 9007199254740991 9007199254740992 -9007199254740993 18446744073709551616 1e16 1E16
1e+16 1.5e16 1e20 1e21 1e400 1.0 0.5 -0.0 9007199254740992.0 9500000000000000.0 1e-7 1e5
4503599627370497.5 5e-324 1.7976931348623157e+308 123456789012345678901 NaN Infinity 01 1.
"""
TEXTS = r"""
"a" "b" "" "\ud800" "\u00e9" "\ud83d\ude00" "\n" "é" "1e16," {"a":1} true null
"""
DEEP = ["[" * deep + "]" * deep for deep in (63, 64)]
TOKENS = [*f"{NUMBERS} {TEXTS}".split(), *DEEP, "\ufeff", " ", '"\x7f"']
DOCUMENTS = st.sampled_from(
    ('{"a":%s}', '{"a":[%s,%s]}', '{"a":%s,"a":%s}', '{"b":%s,"a":%s}', "{%s:%s}", "%s", "{%s")
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


def _with_care(data: bytes) -> Any:
    with patch.object(json_strict, "_plainly", return_value=None):
        return json_strict.loads(data)


@examples(800)
@given(DOCUMENTS, st.lists(st.sampled_from(TOKENS), min_size=2, max_size=2))
def test_what_is_read_fast_is_what_is_read_with_care(form: str, tokens: list[str]) -> None:
    data = (form % tuple(tokens[: form.count("%s")])).encode()
    fast = json_strict._plainly(data) if data.count(b"[") < json_strict.MAX_DEPTH else None
    if fast is not None:
        assert repr(fast) == repr(_with_care(data))


@examples(500)
@given(st.floats() | st.integers(), st.booleans())
def test_a_number_is_read_fast_as_it_is_with_care(value: float, inside: bool) -> None:
    data = (f'{{"a":[{value!r},1]}}' if inside else f'{{"a":{value!r}}}').encode()
    fast = json_strict._plainly(data)
    if fast is not None:
        assert repr(fast) == repr(_with_care(data))


SHAPES = st.recursive(
    st.sampled_from([None, True, 7, "x", "]}", 0.5, 1.0, 2.0**60, 1e22]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=9,
)


@examples(400)
@given(st.dictionaries(ODD, SHAPES, max_size=3), st.integers(0, 6))
def test_what_is_too_deep_is_not_read_fast(value: dict[str, Any], limit: int) -> None:
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    fast = json_strict._plainly(data, limit)
    with patch.object(json_strict, "_plainly", return_value=None):
        careful = _refused(lambda: json_strict.loads(data, max_depth=limit), BadJSON)
    assert repr(fast) == repr(careful)


@examples(200)
@given(st.dictionaries(ODD, PLAIN, max_size=3))
def test_what_we_write_is_read_fast(value: dict[str, Any]) -> None:
    data = canonical.dumps(value)
    if canonical._is_plain(value):
        assert json_strict._plainly(data) == value == _with_care(data)
    else:
        assert json_strict.loads(data) == value


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


KEY = PublicKey.parse(
    b"-----BEGIN PUBLIC KEY-----\n"
    b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    b"-----END PUBLIC KEY-----\n"
)
SPOILT = [b'"', b"\\", b"=", b"-", b" ", b"\n", b"A", b"a", b"0", b"}", b",", b"\xc3\xa9", b"\0"]


@examples(600)
@given(
    st.binary(max_size=7),
    st.binary(max_size=7),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1), st.sampled_from(SPOILT)), max_size=2),
)
def test_a_bundle_is_read_fast_as_it_is_with_care(
    payload: bytes, signature: bytes, changes: list[tuple[float, int, bytes]]
) -> None:
    raw = Bundle.build(payload, signature, KEY).raw
    for share, gone, put in changes:
        at = int(share * len(raw))
        raw = raw[:at] + put + raw[at + gone :]
    fast = bundle._as_built(raw)
    if fast is not None:
        careful = Bundle._parse(raw)
        assert (fast, fast.material) == (careful, careful.material)
        assert fast.envelope.to_json() == careful.envelope.to_json()
    assert changes or (fast is not None) == bool(payload and signature)


def test_only_our_own_spelling_of_a_bundle_is_read_fast() -> None:
    raw = Bundle.build(b"{}", b"sig", KEY).raw
    assert bundle._as_built(raw) == Bundle._parse(raw)
    for other in (
        raw[:-1],
        raw + b" ",
        raw[5:],
        b"",
        raw[-80:],
        raw.replace(b'{"sig":', b'{"keyid":"","sig":'),
        raw.replace(KEY.id.encode(), KEY.id.upper().encode()),
        raw.replace(b'"c2ln"', b'"c2lh","sig":"c2ln"'),
        raw.replace(b'"e30="', b'"e30=","payload":"e30="'),
        raw.replace(b'"e30="', b'"e31="'),
    ):
        assert bundle._as_built(other) is None
    with patch.object(bundle, "MAX_BYTES", len(raw) - 1):
        assert bundle._as_built(raw) is None


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
@given(st.lists(EDGES | THINGS | VALUES, max_size=3))
def test_plain_edges_are_what_the_long_way_reads(items: list[Any]) -> None:
    short = lineage._plain(items, ABOUT)
    if short is not None:
        assert short == tuple(lineage._parse_edge(obj, ABOUT) for obj in items)


def test_edges_as_we_write_them_are_read_in_the_short_way() -> None:
    edge = {
        "output": {"digest": {"sha256": A}},
        "relation": "trained-on",
        "input": {"name": "n:1", "digest": {"sha256": B}},
    }
    assert lineage._plain([edge, edge], ABOUT) == (lineage._parse_edge(edge, ABOUT),) * 2


@examples(400)
@given(st.lists(THINGS | VALUES, min_size=1, max_size=3))
def test_plain_subjects_are_what_the_long_way_reads(items: list[Any]) -> None:
    short = statement._plain_subjects(items)
    if short is not None:
        long = tuple(ResourceDescriptor.parse(obj) for obj in items)
        assert short == long
        assert [one.raw for one in short] == [one.raw for one in long]
        assert repr(short) == repr(long)


def test_subjects_as_we_write_them_are_read_in_the_short_way() -> None:
    plain = {"name": "n:1", "digest": {"sha256": A}}
    assert statement._plain_subjects([plain, plain]) == (ResourceDescriptor.parse(plain),) * 2


@examples(300)
@given(st.lists(st.sampled_from([A, B, A.upper(), A[:-1], A + B, f"{A[:-1]}\n", "", "é" * 64])))
def test_digests_are_read_together_as_one_by_one(values: list[str]) -> None:
    alone = _refused(lambda: {value: Digest("sha256", value) for value in values}, BadDigest)
    assert _refused(lambda: sha256s(values), BadDigest) == alone


@examples(100)
@given(st.lists(st.binary(max_size=2) | st.binary(min_size=32, max_size=32), max_size=4))
def test_digests_that_were_written_are_read_together_as_one_by_one(values: list[bytes]) -> None:
    digits = [value.hex() for value in values]
    alone = _refused(lambda: [Digest("sha256", value) for value in digits], BadDigest)
    assert _refused(lambda: all_written(digits), BadDigest) == alone


@examples(300)
@given(
    st.lists(st.sampled_from(["a", "a/b", ":", "1", "/", ".", "A", "\n", "x" * 129]), max_size=6)
)
def test_a_name_is_split_as_its_parts_are_checked(pieces: list[str]) -> None:
    text = "".join(pieces)
    parsed = _refused(lambda: NameVersion.parse(text), BadName)
    assert split_name(text) == ((parsed.name, parsed.version) if parsed else None)


@examples(300)
@given(SETS | VALUES)
def test_a_digest_set_of_one_is_read_as_any_other(obj: Any) -> None:
    found = _refused(lambda: parse_digest_set(obj), BadDigest, BadStatement)
    wider = {**obj, "x": 1} if isinstance(obj, dict) else obj
    assert found == _refused(lambda: parse_digest_set(wider), BadDigest, BadStatement)
