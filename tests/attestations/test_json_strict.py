"""Strict JSON: what it reads, it reads like everybody; what parsers disagree about, it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import json_strict
from stemma_attestations.errors import BadJSON
from stemma_attestations.json_strict import MAX_DEPTH, load_object, loads
from tests.building import MAX_INTEGER, bounded, examples, json_values, same


@examples(300)
@given(json_values, st.booleans(), st.sampled_from([None, 1]))
def test_reads_back_what_the_standard_library_writes(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert same(loads(text.encode()), value)


@examples(500)
@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_bad_json(data: bytes) -> None:
    _loads_or_refuses(data)


SHARDS = [
    *'{}[]",:',
    *("\\", '\\"', "\\u0061", "\\ud83d", "\\ude00", "\\u", '"a"', "a", "é", "\ufeff", "\x00"),
    *("0", "1", "-", "-0", "01", "1.5", "1e5", "1e999", "1E+", ".5", "9007199254740992"),
    *("true", "null", "NaN", "-Infinity", "\n", " ", "/*c*/", "//", "'"),
]


@examples(1500)
@given(st.lists(st.sampled_from(SHARDS), max_size=12).map("".join))
def test_what_is_read_means_what_the_standard_library_says(text: str) -> None:
    data = text.encode()
    if (value := _loads_or_refuses(data)) is not REFUSED:
        assert same(value, json.loads(data))


@pytest.mark.slow
@examples(50_000)
@given(st.lists(st.sampled_from(SHARDS), max_size=30).map("".join) | st.text())
def test_what_is_read_means_what_the_standard_library_says_at_length(text: str) -> None:
    data = text.encode()
    if (value := _loads_or_refuses(data)) is not REFUSED:
        assert same(value, json.loads(data))


REFUSED = object()


def _loads_or_refuses(data: bytes) -> Any:
    try:
        return loads(data)
    except BadJSON:
        return REFUSED


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"   \n", id="white space only"),
        pytest.param(b'{"a":1,"a":1}', id="duplicate key, equal values"),
        pytest.param(b'{"a":1,"a":2}', id="duplicate key"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="duplicate after unescaping"),
        pytest.param(b'{"/":1,"\\/":2}', id="duplicate after unescaping a slash"),
        pytest.param('{"é":1,"\\u00e9":2}'.encode(), id="duplicate, raw and escaped"),
        pytest.param(b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}', id="duplicate, a pair and raw"),
        pytest.param(b'{"":1,"":2}', id="duplicate empty key"),
        pytest.param(b'{"x":[{"a":{"b":1,"b":2}}]}', id="duplicate key, nested"),
        pytest.param(b'[1,{"a":[],"c":0,"a":{}}]', id="duplicate key in a list"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'{"a":[Infinity]}', id="Infinity"),
        pytest.param(b"-Infinity", id="minus Infinity"),
        pytest.param(b"1e999", id="a float beyond the range"),
        pytest.param(b"[-1e309]", id="a negative float beyond the range"),
        pytest.param(b"9" * 400 + b".0", id="a long float beyond the range"),
        pytest.param(b"1e20", id="an integer beyond 2**53 - 1 with an exponent"),
        pytest.param(b"-9007199254740992.0", id="an integer beyond 2**53 - 1 with a point"),
        pytest.param(b'"\\ud800"', id="lone high surrogate"),
        pytest.param(b'"\\uDFFF"', id="lone low surrogate, upper case"),
        pytest.param(b'"\\udc00\\ud800"', id="surrogates in the wrong order"),
        pytest.param(b'"\\ud83dx\\ude00"', id="a pair that is split"),
        pytest.param(b'"\\ud83d\\\\ude00"', id="a pair whose second half is no escape"),
        pytest.param(b'{"a":{"\\ud800":1}}', id="lone surrogate in a key"),
        pytest.param(b'[[["\\udead"]]]', id="lone surrogate deep down"),
        pytest.param(b'"\xed\xa0\x80"', id="lone surrogate as raw bytes"),
        pytest.param(b'"\xed\xa0\xbd\xed\xb8\x80"', id="a surrogate pair as raw bytes (CESU-8)"),
        pytest.param(b'"\xc0\x80"', id="overlong NUL"),
        pytest.param(b'"\xc1\xa1"', id="overlong letter"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b'"\xf4\x90\x80\x80"', id="beyond U+10FFFF"),
        pytest.param('"a"'.encode("utf-16"), id="UTF-16"),
        pytest.param('"a"'.encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param('"a"'.encode("utf-32-be"), id="UTF-32"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"{} {}", id="two documents"),
        pytest.param(b"{}\x00", id="trailing NUL"),
        pytest.param(b"{},", id="trailing comma behind"),
        pytest.param(b"[1,]", id="trailing comma inside"),
        pytest.param(b'{"a":1,}', id="trailing comma in an object"),
        pytest.param(b"{}//", id="comment"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"{a:1}", id="bare key"),
        pytest.param(b"{1:1}", id="a number as key"),
        pytest.param(b'"\n"', id="a raw line feed in a string"),
        pytest.param(b'"\x00"', id="a raw NUL in a string"),
        pytest.param(b'"\\x41"', id="an escape JSON has not"),
        pytest.param(b'"\\u00e"', id="a short escape"),
        pytest.param(b'"\\u+123"', id="a signed escape"),
        pytest.param(b'"abc', id="open string"),
        pytest.param(b'"abc\\', id="open escape"),
        pytest.param(b"[[]", id="open list"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"+1", id="plus"),
        pytest.param(b".5", id="no digit before the point"),
        pytest.param(b"1.", id="no digit behind the point"),
        pytest.param(b"0x10", id="hexadecimal"),
        pytest.param(b"1_000", id="underscore"),
        pytest.param("\N{FULLWIDTH DIGIT ONE}".encode(), id="a full-width digit"),
        pytest.param("\N{ARABIC-INDIC DIGIT ONE}".encode(), id="an Arabic digit"),
        pytest.param("\u00a0{}".encode(), id="a space JSON has not"),
        pytest.param(b"True", id="Python's True"),
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(BadJSON):
        loads(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' \t\r\n{"a" : [ ] }\n', {"a": []}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'["a","a"]', ["a", "a"]),
        (b'{"a":1,"A":2,"\\u00e4":3}', {"a": 1, "A": 2, "ä": 3}),
        (b'{"\\u00e9":1,"e\\u0301":2}', {"\u00e9": 1, "e\u0301": 2}),
        (b'"NaN"', "NaN"),
        (b'"\\u0000\xef\xbb\xbf\xef\xbf\xbf"', "\x00\ufeff\uffff"),
        (b"-0", 0),
        (b"1e2", 100.0),
        (b"9007199254740991.0", 9007199254740991.0),
        (b"1e21", 1e21),
        (b"[true,false,null]", [True, False, None]),
    ],
)
def test_near_misses_are_read(data: bytes, value: Any) -> None:
    assert same(loads(data), value)


# --- integers -------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_up_to_the_limit_of_a_double(sign: str) -> None:
    assert loads(f"{sign}{MAX_INTEGER}".encode()) == int(f"{sign}{MAX_INTEGER}")
    for beyond in (MAX_INTEGER + 1, MAX_INTEGER + 2, 10**16, 10**17, 2**63, 2**64, "7" * 5000):
        with pytest.raises(BadJSON):
            loads(f'{{"a":[{sign}{beyond}]}}'.encode())


def test_a_huge_number_is_refused_in_bounded_time() -> None:
    # int() is quadratic in the digits; a million of them would take minutes.
    with bounded(seconds=2, megabytes=40), pytest.raises(BadJSON):
        loads(b"[" + b"7" * 4_000_000 + b"]")
    with bounded(seconds=2, megabytes=40), pytest.raises(BadJSON):
        loads(b"[" + b"7" * 2_000_000 + b"." + b"7" * 2_000_000 + b"]")


# --- depth and size -------------------------------------------------------------------------


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


BRACKETS = st.recursive(
    st.text(alphabet='[]{}"\\', max_size=8),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=4), v),
    max_leaves=12,
)


@examples(300)
@given(BRACKETS)
def test_the_depth_is_that_of_the_value_and_strings_do_not_count(value: Any) -> None:
    data, depth = json.dumps(value).encode(), depth_of(value)
    assert same(loads(data, max_depth=depth), value)
    if depth:
        with pytest.raises(BadJSON):
            loads(data, max_depth=depth - 1)


@pytest.mark.parametrize(("opener", "closer"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_limit(opener: bytes, closer: bytes) -> None:
    inner = b"0"
    assert loads(opener * MAX_DEPTH + inner + closer * MAX_DEPTH) is not None
    with pytest.raises(BadJSON):
        loads(opener * (MAX_DEPTH + 1) + inner + closer * (MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b'{"a":' * 300_000,
        b'["' + b"[" * 100 + b'",' + b"[" * 300_000,
        b"]" * 300_000 + b"[" * 300_000,
        b"[]" + b"]" * 300_000 + b"[" * 300_000,
        b'"\\\\"' + b"[" * 300_000,
        b'["\\""' + b",[" * 300_000,
        b'["' + b"]" * 300_000 + b'"' + b",[" * 300_000,
        b'"' + b"[" * 300_000,
        b"\xff" * 10 + b"[" * 300_000,
    ],
)
def test_nothing_exhausts_the_stack(data: bytes) -> None:
    # On a thread's small stack a parser that recursed this deep would end the process.
    with bounded(seconds=3, megabytes=100), pytest.raises(BadJSON):
        loads(data)


def test_size_limit_is_exact() -> None:
    assert loads(b'"12345678"', max_bytes=10) == "12345678"
    with pytest.raises(BadJSON):
        loads(b'"12345678" ', max_bytes=10)
    with pytest.raises(BadJSON):
        loads(b" " * json_strict.MAX_BYTES + b"1")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'"' + b'\\"' * 16_000, id="escaped quotes, never closed"),
        pytest.param(b'"' + b"\\\\" * 16_000 + b"\\", id="escaped backslashes, never closed"),
        pytest.param(b'"' + b"a\\" * 16_000, id="letters and backslashes"),
        pytest.param(b'"' * 32_001, id="quotes"),
        pytest.param(b'["' + b'\\",' * 11_000, id="escaped quotes and commas"),
    ],
)
def test_hostile_strings_are_refused_in_bounded_time(data: bytes) -> None:
    # 32 KB. What is quadratic here takes minutes at the size limit.
    with bounded(seconds=1, megabytes=20), pytest.raises(BadJSON):
        loads(data)


def test_a_long_string_costs_a_small_multiple_of_its_size() -> None:
    # A bundle holds its payload as one string of base64: this is the ordinary case.
    data = b'{"payload":"' + b"QUJD" * 500_000 + b'"}'
    with bounded(seconds=2, megabytes=10 * len(data) / 1e6):
        assert len(loads(data)["payload"]) == 2_000_000


def test_many_keys_cost_a_small_multiple_of_their_size() -> None:
    data = json.dumps({f"key{i}": i for i in range(100_000)}).encode()
    with bounded(seconds=3, megabytes=30 * len(data) / 1e6):
        assert len(loads(data)) == 100_000


# --- objects --------------------------------------------------------------------------------


def test_load_object_wants_an_object() -> None:
    assert load_object(b'{"a":1}') == {"a": 1}
    for data in (b"[]", b'"{}"', b"null", b"1"):
        with pytest.raises(BadJSON):
            load_object(data)


def test_messages_are_one_short_line() -> None:
    for data in (b'{"%s":1,"%s":2}' % (b"k" * 9999, b"k" * 9999), b"9" * 9999, b'"\n' * 9999):
        with pytest.raises(BadJSON) as refused:
            loads(data)
        assert len(str(refused.value)) < 200
        assert "\n" not in str(refused.value)
