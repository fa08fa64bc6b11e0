"""YAML for files that people review: plain data in, one kind of error out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import yaml_strict
from stemma_attestations.errors import BadTrustRoot
from tests.building import bounded, examples


def load(text: str | bytes) -> Any:
    raw = text if isinstance(text, bytes) else text.encode()
    return yaml_strict.load(raw, BadTrustRoot)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b\nc:\n  - d\n  - 'e'\n", {"a": "b", "c": ["d", "e"]}),
        ("# a comment\na: b # another\n", {"a": "b"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ('{"a": ["b", {"c": "d"}]}', {"a": ["b", {"c": "d"}]}),
        ("a:\n  - b: c\n    d: e\n", {"a": [{"b": "c", "d": "e"}]}),
        ("a: 2026-01-31", {"a": "2026-01-31"}),
        ("a: 2026-01-31T12:00:00Z", {"a": "2026-01-31T12:00:00Z"}),
        ("a: '*'\nb: \"&x\"\nc: '!t'\n", {"a": "*", "b": "&x", "c": "!t"}),
        ("a: b*c\nd: e&f\ng: h!i\n", {"a": "b*c", "d": "e&f", "g": "h!i"}),
        ("a:\n", {"a": None}),
        ("", None),
        ("---\na: b\n...\n", {"a": "b"}),
    ],
)
def test_plain_data(text: str, value: Any) -> None:
    assert load(text) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: 1\na: 2\n", id="duplicate key"),
        pytest.param("a: 1\n'a': 2\n", id="duplicate key, quoted"),
        pytest.param('a: 1\n"\\x61": 2\n', id="duplicate key, escaped"),
        pytest.param("x:\n  - a: 1\n    a: 1\n", id="duplicate key, nested"),
        pytest.param("{a: 1, a: 1}", id="duplicate key, flow"),
        pytest.param("a: &x b\nc: *x\n", id="anchor and alias"),
        pytest.param("a: &x b\n", id="an anchor alone"),
        pytest.param("a: &x [1]\n", id="an anchor on a list"),
        pytest.param("&x a: b\n", id="an anchor on a key"),
        pytest.param("a: *x\n", id="an alias alone"),
        pytest.param("a: !!python/object/apply:os.system [id]\n", id="a Python object"),
        pytest.param("a: !!python/name:os.system\n", id="a Python name"),
        pytest.param("a: !custom b\n", id="a tag of somebody"),
        pytest.param("!custom\na: b\n", id="a tag on the document"),
        pytest.param("a: !!str b\n", id="a standard tag"),
        pytest.param("a: !!binary aGk=\n", id="binary"),
        pytest.param("a: !!set {b, c}\n", id="a set"),
        pytest.param("a: !!omap [b: 1]\n", id="an ordered map"),
        pytest.param("a: !!timestamp 2026-01-31\n", id="a timestamp"),
        pytest.param("a: !!timestamp foo\n", id="a timestamp that is none"),
        pytest.param("a: !!bool foo\n", id="a bool that is none"),
        pytest.param('a: !!int ""\n', id="an integer that is none"),
        pytest.param('a: !!float ""\n', id="a float that is none"),
        pytest.param("a: !!map [b]\n", id="a list that says it is a map"),
        pytest.param("!!str a: b\n", id="a tag on a key"),
        pytest.param("a: b\n---\nc: d\n", id="two documents"),
        pytest.param("a: b\n...\nc: d\n", id="something behind the document"),
        pytest.param("true: a\n", id="a bool as key"),
        pytest.param("~: a\n", id="null as key"),
        pytest.param("[a]: b\n", id="a list as key"),
        pytest.param("? {a: b}\n: c\n", id="a mapping as key"),
        pytest.param("a: '\n", id="an open quote"),
        pytest.param("a: [b\n", id="an open list"),
        pytest.param("\ta: b\n", id="a tab as indent"),
        pytest.param("a: b: c\n", id="two colons"),
        pytest.param("%YAML 9.9\n---\na: b\n", id="a version of the future"),
        pytest.param("a: \x00\n", id="NUL"),
        pytest.param("a: \x07\n", id="a control character"),
        pytest.param('a: "\\UFFFFFFFF"\n', id="an escape beyond Unicode"),
        pytest.param('a: "\\U00110000"\n', id="an escape just beyond Unicode"),
        pytest.param(b"a: \xff\n", id="not UTF-8"),
        pytest.param("a: b\n".encode("utf-16"), id="UTF-16"),
    ],
)
def test_refused(text: str | bytes) -> None:
    with pytest.raises(BadTrustRoot) as refused:
        load(text)
    assert len(str(refused.value)) < 300


def test_a_refusal_names_the_place() -> None:
    with pytest.raises(BadTrustRoot, match="line 3, column 1"):
        load("a: 1\nb: 2\na: 3\n")


def test_nothing_is_merged() -> None:
    assert load("a:\n  b: c\n  <<: {d: e}\n") == {"a": {"b": "c", "<<": {"d": "e"}}}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('a: "\\ud800"', id="a lone surrogate by escape"),
        pytest.param("a: " + "1:" * 400 + "1.0", id="a sexagesimal float out of range"),
        pytest.param("a: " + "9" * 5000, id="an integer of 5,000 digits"),
        pytest.param("a: 0b_", id="a binary number without digits"),
        pytest.param("a: =", id="the default value"),
        pytest.param("a: .inf", id="infinity"),
    ],
)
def test_odd_scalars_are_data_or_refused(text: str) -> None:
    try:
        assert set(load(text)) == {"a"}
    except BadTrustRoot:
        pass


# --- bounded --------------------------------------------------------------------------------


def test_size_limit_is_exact() -> None:
    assert yaml_strict.MAX_BYTES == 1024 * 1024
    fits = b"a: b #" + b"x" * (yaml_strict.MAX_BYTES - 6)
    with bounded(seconds=20, megabytes=50):
        assert load(fits) == {"a": "b"}
    with pytest.raises(BadTrustRoot):
        load(fits + b"x")


def test_a_billion_laughs_are_not_laughed() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    with bounded(seconds=1, megabytes=5), pytest.raises(BadTrustRoot):
        load("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 100_000, id="lists"),
        pytest.param("{a: " * 50_000, id="mappings"),
        pytest.param("- " * 50_000, id="block lists"),
        pytest.param("? " * 50_000, id="keys of keys"),
        pytest.param("\n".join(" " * i + "a:" for i in range(1_000)), id="indented mappings"),
        pytest.param("a: " + "1:" * 100_000 + "1", id="a sexagesimal integer"),
        pytest.param("a: 0b" + "1" * 500_000, id="a binary integer"),
        pytest.param("a: " + "*" * 100_000, id="stars"),
        pytest.param("a: '" + "''" * 100_000, id="an open quote"),
        pytest.param("a: !" + "%41" * 30_000 + " b", id="an escaped tag"),
    ],
)
def test_hostile_text_ends_in_bounded_time(text: str) -> None:
    # Quadratic work would be minutes; the slowest takes two seconds of an idle machine.
    with bounded(seconds=10, megabytes=60):
        try:
            assert load(text) is not None
        except BadTrustRoot:
            pass


SHARDS = [
    *("a", "b: ", "- ", "\n", "\n  ", ": ", "? ", "[", "]", "{", "}", ",", "'", '"', "|", ">", "#"),
    *("&x ", "*x", "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!null ", "!x ", "!!set "),
    *("1", "0x", "0b_", "1:1", ".inf", "~", "yes", "=", "<<", "2026-01-31", "\\", "\\ud800", "---"),
    *("...", "%", "@", "`", "\x85", "\u2028", "\ufeff", "\t", "é", "1e5", "!!omap ", "!!pairs "),
    *("!!binary ", "!!str ", "!!map ", "!!seq ", "!!merge ", "!!value ", "-", "--- "),
]


@examples(1500)
@given(st.lists(st.sampled_from(SHARDS), max_size=10).map("".join))
def test_no_text_raises_anything_but_the_error_that_was_asked_for(text: str) -> None:
    try:
        value = load(text)
    except BadTrustRoot:
        return
    json.dumps(value)  # plain data only: no dates, sets or bytes


@pytest.mark.slow
@examples(30_000)
@given(st.lists(st.sampled_from(SHARDS), max_size=20).map("".join) | st.text(max_size=30))
def test_no_text_raises_anything_else_at_length(text: str) -> None:
    try:
        value = load(text)
    except BadTrustRoot:
        return
    json.dumps(value)
