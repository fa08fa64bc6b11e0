"""Names, versions, and patterns that match whole segments only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import BadName
from stemma_attestations.names import (
    MAX_NAME,
    MAX_VERSION,
    NameVersion,
    check_name,
    check_pattern,
    check_version,
    is_within,
    name_matches,
    subject_name,
)
from tests.building import bounded, examples

GOOD_NAMES = ["a", "0", "acme/model", "a-b_c.d", "a/b/c/d", "x" * MAX_NAME, "a..b", "a.", "a-"]
BAD_NAMES = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/../b", "./a", ".a", "a/.b", "-a", "_a"),
    *("A", "aB", "a b", " a", "a ", "a\n", "\na", "a\x00", "a\\b", "a:b", "a@b", "a*", "*", "**"),
    *("a/*", "a%2fb", "é", "ａ", "а", "x" * (MAX_NAME + 1), "a+b", "a~", "a#b", "a?b", "a,b"),
]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(name: str) -> None:
    assert check_name(name) == name
    assert check_pattern(name) == name
    assert name_matches(name, name)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(name: str) -> None:
    with pytest.raises(BadName):
        check_name(name)
    with pytest.raises(BadName):
        NameVersion.parse(f"{name}:1.0")


@pytest.mark.parametrize(
    "version", ["1", "1.0.0", "v2", "2026-11-21", "1.0+gpu", "A_b", "0", "z" * MAX_VERSION]
)
def test_good_versions(version: str) -> None:
    assert check_version(version) == version
    assert str(NameVersion.parse(f"acme/m:{version}")) == f"acme/m:{version}"


@pytest.mark.parametrize(
    "version",
    ["", ".", "..", "-1", "+1", "_1", "1/2", "1:2", "1 ", " 1", "1\n", "1\x00", "１", "é", "1@2"]
    + ["*", "1*", "z" * (MAX_VERSION + 1), "1~2", "1^2"],
)
def test_bad_versions(version: str) -> None:
    with pytest.raises(BadName):
        check_version(version)
    assert subject_name(f"acme/m:{version}") is None


@pytest.mark.parametrize("text", ["", "acme/model", ":", "acme/model:", ":1", "a:b:c", "a:1:"])
def test_a_name_with_version_has_exactly_one_of_each(text: str) -> None:
    with pytest.raises(BadName):
        NameVersion.parse(text)


def test_a_subject_may_have_no_name() -> None:
    assert subject_name(None) is None
    assert subject_name("") is None
    assert subject_name("weights/model.safetensors") is None
    assert subject_name("acme/m:1") == NameVersion("acme/m", "1")


@examples(300)
@given(st.text(alphabet="aZ09./-_+: *\n", max_size=12))
def test_parse_is_the_inverse_of_str(text: str) -> None:
    try:
        parsed = NameVersion.parse(text)
    except BadName:
        return
    assert str(parsed) == text
    assert check_name(parsed.name) == parsed.name
    assert check_version(parsed.version) == parsed.version


# --- patterns -------------------------------------------------------------------------------


def covers(pattern: list[str], name: list[str]) -> bool:
    """The meaning of a pattern, said in the most direct way."""
    if not pattern:
        return not name
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        return any(covers(rest, name[skip:]) for skip in range(len(name) + 1))
    return bool(name) and first in ("*", name[0]) and covers(rest, name[1:])


SEGMENTS = st.sampled_from(["a", "b", "ab", "a.b"])


@examples(1000)
@given(
    st.lists(SEGMENTS | st.sampled_from(["*", "**"]), min_size=1, max_size=6),
    st.lists(SEGMENTS, min_size=1, max_size=6),
)
def test_patterns_against_brute_force(pattern: list[str], name: list[str]) -> None:
    assert name_matches("/".join(pattern), "/".join(name)) is covers(pattern, name)


@examples(1000)
@given(
    st.lists(SEGMENTS | st.sampled_from(["*", "**"]), min_size=1, max_size=4),
    st.lists(SEGMENTS | st.sampled_from(["*", "**"]), min_size=1, max_size=4),
    st.lists(SEGMENTS, min_size=1, max_size=5),
)
def test_what_is_within_a_pattern_is_matched_by_it(
    inner: list[str], outer: list[str], name: list[str]
) -> None:
    if covers(inner, name) and is_within(["/".join(inner)], ["/".join(outer)]):
        assert covers(outer, name)


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        (["x/*"], ["x/*"], True),
        (["x/*", "y/a"], ["y/**", "x/**"], True),
        (["x/**"], ["**"], True),
        (["x/a/**"], ["x/**"], True),
        ([], [], True),
        (["x/**"], ["x/*"], False),
        (["x/**"], ["x/*/**"], False),
        (["**"], ["*/**", "**/**"], True),
        (["**"], ["x/**"], False),
        (["x/*", "prod/*"], ["x/*"], False),
        (["x/*"], [], False),
    ],
)
def test_within(inner: list[str], outer: list[str], within: bool) -> None:
    assert is_within(inner, outer) is within


@pytest.mark.parametrize(
    ("pattern", "name", "match"),
    [
        ("prod/*", "prod/m", True),
        ("prod/*", "prod", False),
        ("prod/*", "prod/team/m", False),
        ("prod/*", "prod-evil/m", False),
        ("prod/*", "evil/prod/m", False),
        ("prod", "prod-evil", False),
        ("prod", "prod/m", False),
        ("prod/**", "prod", True),
        ("prod/**", "prod/a/b/c", True),
        ("prod/**", "production/a", False),
        ("**/prod", "prod", True),
        ("**/prod", "a/prod", True),
        ("**/prod", "aprod", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "a/b/c/z/d", False),
        ("*", "a", True),
        ("*", "a/b", False),
        ("*/*", "a", False),
        ("**", "anything/at/all", True),
        ("a.b", "axb", False),
        ("a.b/*", "a.b/c", True),
        ("a/b", "A/b", False),
    ],
)
def test_near_misses(pattern: str, name: str, match: bool) -> None:
    assert check_pattern(pattern) == pattern
    assert name_matches(pattern, name) is match


@pytest.mark.parametrize(
    "pattern",
    ["", "/", "prod*", "*prod", "pro*d/m", "***", "a/***", "a**", "**a", "a//b", "/a", "a/", "?"]
    + ["[ab]", "{a,b}", "a/..", "..", ".", "A", "a b", "a\n", "**\n", "a:1", "x" * (MAX_NAME + 1)],
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(BadName):
        check_pattern(pattern)


def test_a_pattern_full_of_stars_is_decided_in_bounded_time() -> None:
    # A backtracking matcher needs longer than the universe has for this one.
    pattern, name = "/".join(["**"] * 66), "/".join(["a"] * 99) + "/b"
    assert len(check_pattern(pattern)) <= MAX_NAME
    with bounded(seconds=1, megabytes=5):
        assert not name_matches(pattern + "/c", name)
        assert name_matches(pattern, name)
