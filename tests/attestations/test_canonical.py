"""Canonical JSON against the published vectors of RFC 8785, and against our own strict parser."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stemma_attestations import canonical
from stemma_attestations.errors import BadJSON
from stemma_attestations.json_strict import loads
from tests.building import MAX_INTEGER, examples, json_values, texts

# RFC 8785, appendix B: the bits of a double, and its text.
NUMBERS = """
0000000000000000 0
8000000000000000 0
0000000000000001 5e-324
8000000000000001 -5e-324
7fefffffffffffff 1.7976931348623157e+308
ffefffffffffffff -1.7976931348623157e+308
44b52d02c7e14af5 9.999999999999997e+22
44b52d02c7e14af6 1e+23
44b52d02c7e14af7 1.0000000000000001e+23
444b1ae4d6e2ef50 1e+21
3eb0c6f7a0b5ed8c 9.999999999999997e-7
3eb0c6f7a0b5ed8d 0.000001
41b3de4355555553 333333333.3333332
41b3de4355555554 333333333.33333325
41b3de4355555555 333333333.3333333
41b3de4355555556 333333333.3333334
41b3de4355555557 333333333.33333343
becbf647612f3696 -0.0000033333333333333333
43143ff3c1cb0959 1424953923781206.2
"""
# The rest of appendix B: whole numbers beyond 2**53 - 1, written without an exponent. RFC 7493
# and our parser refuse that text, so a writer may refuse it too; it may write nothing else.
BEYOND = """
4340000000000000 9007199254740992
c340000000000000 -9007199254740992
4430000000000000 295147905179352830000
444b1ae4d6e2ef4e 999999999999999700000
444b1ae4d6e2ef4f 999999999999999900000
"""


def table(text: str) -> list[tuple[float, bytes]]:
    rows = [line.split() for line in text.split("\n") if line]
    return [(struct.unpack(">d", bytes.fromhex(bits))[0], out.encode()) for bits, out in rows]


@pytest.mark.parametrize(("number", "text"), table(NUMBERS))
def test_rfc_8785_numbers(number: float, text: bytes) -> None:
    assert canonical.dumps(number) == text


@pytest.mark.parametrize(("number", "text"), table(BEYOND))
def test_rfc_8785_numbers_that_no_strict_reader_takes_back(number: float, text: bytes) -> None:
    try:
        assert canonical.dumps(number) == text
    except BadJSON:
        pass


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_rfc_8785_numbers_without_a_text(number: float) -> None:
    with pytest.raises(BadJSON):
        canonical.dumps({"a": [number]})


def test_rfc_8785_section_3_2_2() -> None:
    document = loads(
        b'{\n  "numbers": [333333333.33333329, 1E30, 4.50,\n'
        b"              2e-3, 0.000000000000000000000000001],\n"
        b'  "string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/",\n'
        b'  "literals": [null, true, false]\n}'
    )
    # Section 3.2.4 prints these bytes.
    expected = """
        7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c
        22 6e 75 6d 62 65 72 73 22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31
        65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31 65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22
        3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d
    """
    assert canonical.dumps(document) == bytes.fromhex(expected)


def test_rfc_8785_section_3_2_3_keys_are_sorted_by_utf_16_code_units() -> None:
    document = loads(
        b'{"\\u20ac":"Euro Sign","\\r":"Carriage Return",'
        b'"\\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",'
        b'"\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control",'
        b'"\\u00f6":"Latin Small Letter O With Diaeresis"}'
    )
    values = list(loads(canonical.dumps(document)).values())
    assert values == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_appendix_of_strings_every_control_character_has_one_spelling() -> None:
    named = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
    for code in range(0x20):
        escape = "\\" + named[code] if code in named else f"\\u{code:04x}"
        assert canonical.dumps(chr(code)) == f'"{escape}"'.encode()
    assert canonical.dumps('"\\/') == b'"\\"\\\\/"'
    assert canonical.dumps("\x7f\x80\u2028\ufeff\U0001f602") == (
        '"\x7f\x80\u2028\ufeff\U0001f602"'.encode()
    )


def test_text_is_not_normalised_and_locale_plays_no_part() -> None:
    assert canonical.dumps({"A\u030a": "\u00c5"}) == '{"A\u030a":"\u00c5"}'.encode()
    french = {"peach": 0, "p\u00e9ch\u00e9": 1, "p\u00eache": 2, "sin": 3}
    assert list(loads(canonical.dumps(french)).values()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        "\ud800",
        {"\udc00": 1},
        {1: "a"},
        {None: "a"},
        {"a": {1, 2}},
        {"a": b"bytes"},
        {"a": object()},
    ],
)
def test_what_has_no_canonical_bytes_is_refused(value: Any) -> None:
    with pytest.raises(BadJSON):
        canonical.dumps(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadJSON):
        canonical.dumps(endless)


@examples(400)
@given(json_values)
def test_one_value_has_one_sequence_of_bytes(value: Any) -> None:
    raw = canonical.dumps(value)
    again = loads(raw)
    assert again == value  # 1.0 and 1 are one number in JSON
    assert canonical.dumps(again) == raw


@examples(400)
@given(st.floats(allow_nan=False, allow_infinity=False).map(repr))
@example("1e20")
@example("-1e20")
@example("1e16")
@example("9007199254740992.0")
def test_what_was_read_can_be_written_and_read_again(text: str) -> None:
    try:
        value = loads(text.encode())
        raw = canonical.dumps(value)
    except BadJSON:
        return  # refusing is an answer; writing what no reader takes is none
    assert loads(raw) == value
    assert canonical.dumps(loads(raw)) == raw


@examples(200)
@given(st.dictionaries(texts, st.integers(0, 9), max_size=8), st.randoms())
def test_the_order_of_keys_plays_no_part(value: dict[str, int], random: Any) -> None:
    pairs = list(value.items())
    random.shuffle(pairs)
    raw = canonical.dumps(dict(pairs))
    assert raw == canonical.dumps(value)
    keys = list(loads(raw))
    assert keys == sorted(value, key=lambda key: key.encode("utf-16-be"))
