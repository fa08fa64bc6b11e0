"""Which paths a manifest may hold: every rule, and beside each a near miss that is fine."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import BadPath
from stemma_attestations.paths import MAX_COMPONENT_BYTES, MAX_PATH_BYTES, check_path, check_paths
from tests.building import bounded, examples

# Rule -> what it refuses, and what comes close without breaking it.
RULES: dict[str, tuple[list[str], list[str]]] = {
    "absolute": (["/a", "//a", "/", "/a/b"], ["a/b"]),
    "parent and self": (
        ["..", "a/..", "../a", "a/../b", ".", "./a", "a/.", "a/./b"],
        ["..a", "...a", ".a", "a..b", "a/..b", ".a.b"],
    ),
    "empty": (["", "a//b", "a/", "//"], ["a"]),
    "backslash": (["a\\b", "\\a", "a\\", "..\\a", "\\\\host\\share"], ["a|b"]),
    "NUL and control": (
        ["a\x00", "\x00", "a\x00.txt", "a\nb", "a\rb", "a\tb", "a\x1bb", "a\x7fb", "a\x85b"]
        + ["a\u2028b", "a\u2029b"],
        ["a b", "a\u00a0b", "\u00e9", "\U0001f600", "日本語/数据.txt"],
    ),
    "bidirectional": (
        [f"a{c}b" for c in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e"]
        + [f"a{c}b" for c in "\u2066\u2067\u2068\u2069"],
        ["שלום.txt", "سلام/a"],
    ),
    "drives and streams": (
        ["C:a", "c:/a", "C:", "a:b", "a:b:$DATA", "a/b::$INDEX_ALLOCATION", ":a"],
        ["C/a", "a\uff1ab"],
    ),
    "trailing dot or space": (
        ["a.", "a ", "a/b.", "a./b", "a /b", "a..", "a. ", "a .", "...", " "],
        [" a", "a.b", "a b", " a/b"],
    ),
    "devices": (
        ["con", "CON", "Con.txt", "prn", "AUX", "aux.tar.gz", "nul", "nul.", "a/NUL/b", "com1"]
        + ["COM9.log", "lpt1", "LPT3.txt", "com\u00b9", "lpt\u00b3.x", "conin$", "CONOUT$", "com0"]
        + ["con .txt", "nul  .a.b"],
        ["console", "con-fig", "icon", "auxiliary.py", "aux_loss.json", "null", "nul-1", "com"]
        + ["com10", "lpt", "lpta", "a.con", "model.aux", "prn_", "conin", "xnul/y"],
    ),
    "git": (
        [".git", ".GIT", ".Git", "a/.git", ".git/config", "a/.gIt/hooks", "git~1", "GIT~1"]
        + ["a/git~2/b", ".git ", ".git.", ".g\u200cit", ".gi\u200dt", "\ufeff.git", ".git\u200b"]
        + [".G\u200dIT/x", "git\u206a~1"],
        [".github", ".gitignore", ".gitattributes", ".gitmodules", ".github/workflows/ci.yml"]
        + ["git", "a.git", ".git2", ".gitt", "git~", "git~a", "git-1", "_git", "x.git/y", ".gi"],
    ),
    "not text": (["\ud800", "a/\udcff"], ["\ufffd"]),
    "component length": (
        ["a" * 256, "b/" + "é" * 128, "a" * 256 + "/b"],
        ["a" * 255, "b/" + "é" * 127, "a" * 255 + "/" + "b" * 255],
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    refused, fine = RULES[rule]
    for path in refused:
        with pytest.raises(BadPath):
            check_path(path)
        with pytest.raises(BadPath):
            check_paths(["ok", path])
    for path in fine:
        assert check_path(path) == path
        check_paths([path, "ok"])


def test_length_limits_are_exact() -> None:
    assert MAX_COMPONENT_BYTES == 255
    whole = "/".join(["a" * 255] * 16)
    assert len(whole) == MAX_PATH_BYTES - 1
    assert check_path(whole) == whole
    for longer in (whole + "/b", whole + "/bc"):
        with pytest.raises(BadPath):
            check_path(longer)


def test_every_control_character_of_unicode_is_refused() -> None:
    bidirectional = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in ("Cc", "Cs", "Zl", "Zp") or (
            unicodedata.bidirectional(character) in bidirectional
        ):
            with pytest.raises(BadPath):
                check_path(f"a{character}b")


def test_no_single_character_disguises_git() -> None:
    """Case folding, normalisation and what HFS+ ignores: whatever is inserted or replaced."""
    # The list of git's own `next_hfs_char`: ignored by HFS+ when it compares names.
    ignored = {*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF}
    for code in ignored:
        for place in range(5):
            name = ".git"[:place] + chr(code) + ".git"[place:]
            with pytest.raises(BadPath):
                check_path(name)
    for code in range(0x80, sys.maxunicode + 1):
        character = chr(code)
        if 0xD800 <= code < 0xE000:
            continue
        plain = unicodedata.normalize("NFC", character.casefold())
        if plain in ("g", "i", "t", "gi", "it", "git"):
            with pytest.raises(BadPath):
                check_path(".git".replace(plain, character))


# --- collisions -----------------------------------------------------------------------------

COLLISIONS = [
    pytest.param("a", "a", id="the same path twice"),
    pytest.param("readme", "README", id="case"),
    pytest.param("a/B", "a/b", id="case below a directory"),
    pytest.param("caf\u00e9", "cafe\u0301", id="NFC and NFD"),
    pytest.param("CAFE\u0301", "caf\u00e9", id="case and normal form"),
    pytest.param("\u212b", "\u00e5", id="the sign and the letter"),
    pytest.param("\u212a", "k", id="Kelvin and k"),
    pytest.param("stra\u00dfe", "STRASSE", id="sharp s"),
    pytest.param("stra\u1e9ee", "strasse", id="capital sharp s"),
    pytest.param("\u017f", "S", id="long s"),
    pytest.param("\ufb01le", "file", id="a ligature"),
    pytest.param("\u03c3", "\u03c2", id="two sigmas"),
    pytest.param("\u03b1\u0345\u0301", "\u1fb4", id="marks in another order"),
    pytest.param("a", "a/b", id="file and directory"),
    pytest.param("A", "a/b", id="file and directory by case"),
    pytest.param("a/b", "a/b/c/d", id="file and directory, deeper"),
    pytest.param("caf\u00e9", "cafe\u0301/x", id="file and directory by normal form"),
    pytest.param("data/x", "Data/y", id="two spellings of a directory"),
    pytest.param("a/data/x", "a/DATA/y", id="two spellings of a deeper directory"),
    pytest.param("\u00e9/x", "e\u0301/y", id="two normal forms of a directory"),
]


@pytest.mark.parametrize(("one", "other"), COLLISIONS)
def test_collisions(one: str, other: str) -> None:
    check_paths([one])
    check_paths([other])
    for pair in itertools.permutations([one, other, "between", "x/y"]):
        with pytest.raises(BadPath):
            check_paths(pair)


@pytest.mark.parametrize(
    "paths",
    [
        ["a", "b", "ab", "a.b", "a-b"],
        ["a/b", "a/c", "a.b", "ab/c"],
        ["a/b/c", "a/b/d", "a/e/c", "b/a"],
        ["e", "\u00e9", "\u00e8"],
        ["i", "\u0131"],
        ["a", "b/a", "b/c/a"],
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        [],
    ],
)
def test_no_collision(paths: list[str]) -> None:
    for order in itertools.permutations(paths):
        check_paths(order)


# --- properties -----------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["a", "b", "A", "\u00e9", "e\u0301", "\u00df", "ss", ".", "..", " ", "git", ".git", "~1", "nul"]
    + ["日", "\U0001f600", "\u200d", "-", "_", "0", "con", "\ufb01", "fi", "\u0130", "#", "%", "'"]
) | st.characters(codec="utf-8")
COMPONENTS = st.lists(PIECES, min_size=1, max_size=4).map("".join)
PATHS = st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join)


def accepted(paths: list[str]) -> bool:
    try:
        check_paths(paths)
    except BadPath:
        return False
    return True


@examples(400)
@given(st.lists(PATHS, max_size=5))
def test_order_plays_no_part_and_more_paths_never_help(paths: list[str]) -> None:
    verdict = accepted(paths)
    assert accepted(paths[::-1]) is verdict
    assert accepted(sorted(paths)) is verdict
    if verdict:
        assert all(accepted(paths[:i] + paths[i + 1 :]) for i in range(len(paths)))


@examples(150)
@given(st.lists(PATHS, max_size=8))
def test_accepted_paths_can_be_created_and_listed_back(candidates: list[str]) -> None:
    paths: list[str] = []
    for path in candidates:
        if accepted([*paths, path]):
            paths.append(path)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in paths:
            target = root / path
            assert target.resolve().is_relative_to(root.resolve())
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x") as out:
                out.write(path)
        listed = {
            os.path.relpath(os.path.join(where, name), root).replace(os.sep, "/")
            for where, _, names in os.walk(root)
            for name in names
        }
        assert listed == set(paths)
        assert all((root / path).read_text() == path for path in paths)


def test_deep_paths_cost_a_small_multiple_of_their_size() -> None:
    # 100 KB of paths in a manifest from elsewhere must not cost a thousand times as much here.
    deep = [f"{i}/" + "a/" * 2000 + "f" for i in range(25)]
    with bounded(seconds=3, megabytes=20):
        accepted(deep)


def test_many_paths_are_checked_in_bounded_time() -> None:
    many = [f"shard-{i // 1000}/part-{i}.parquet" for i in range(20_000)]
    with bounded(seconds=6, megabytes=50):
        check_paths(many)
