"""Locks as files: one spelling when written, and every mistake told with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadLock
from stemma_attestations.lock import (
    MAX_BYTES,
    MAX_MEMBERS,
    Lock,
    Member,
    Said,
    Signatory,
    ordered,
    parse,
    word_of,
)
from stemma_attestations.names import NameVersion
from stemma_attestations.relations import KINDS
from tests.building import FIXTURES, bounded, sha

KEY = "ab" * 32
GOOD = f"""\
# a comment
format: urn:stemma:lock:v0.1
members:
  base:
    from: models/base#prod
    name: models/base:1
    kind: model
    artifact: {sha(b"base")}
    size: 13
    signers:
    - principal: training
      key: {KEY}
  tok:
    from: models/tok:1
    name: models/tok:1
    kind: tokenizer
    artifact: {sha(b"tok")}
    size: 0
    signers:
    - principal: ci
      said: admission
      identity:
        issuer: https://issuer.example.org
        subject: https://git.example.org/a/b/.ci/build.yml@refs/heads/main
        root: {sha(b"root")}
"""


def test_what_is_read() -> None:
    base, tok = parse(GOOD.encode()).members
    assert (base.word, base.source, str(base.name)) == ("base", "models/base#prod", "models/base:1")
    assert (base.kind, base.artifact, base.size) == ("model", sha(b"base"), 13)
    assert base.signers == (Signatory("training", key=KEY),)
    (who,) = tok.signers
    assert (who.said, who.key, who.root) == (Said.ADMISSION, None, str(sha(b"root")))


def test_the_frozen_one_is_written_as_it_is_read() -> None:
    raw = (FIXTURES / "lock.yaml").read_bytes()
    assert parse(raw).encode() == raw


PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
TEXTS = st.text(PRINTABLE, min_size=1, max_size=20)
WORDS = st.one_of(
    st.sampled_from(["no", "on", "null", "true", "y", "123", "0x1f", "1e3", "2026-01-01", "a--"]),
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
).filter(lambda word: word.isascii() and word != "path")
SIGNATORIES = st.one_of(
    st.builds(Signatory, TEXTS, st.sampled_from(Said), key=st.just(KEY)),
    st.builds(
        Signatory,
        TEXTS,
        st.sampled_from(Said),
        subject=TEXTS,
        issuer=TEXTS,
        root=st.just(str(sha(b"root"))),
    ),
)


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    words = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    return [
        Member(
            word,
            draw(TEXTS),
            NameVersion("models/m", str(n)),
            draw(st.sampled_from(KINDS)),
            sha(str(n).encode()),
            draw(st.integers(0, 10**15)),
            ordered(draw(st.lists(SIGNATORIES, min_size=1, max_size=3))),
        )
        for n, word in enumerate(words)
    ]


@given(members())
def test_what_is_written_is_read_and_has_one_spelling(found: list[Member]) -> None:
    lock = Lock.of(found)
    raw = lock.encode()
    assert parse(raw) == lock
    assert Lock.of(reversed(found)).encode() == raw


UPPER = str(sha(b"base")).upper().replace("SHA256", "sha256")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  tok:", "  base:", "line 13: `members`: duplicate key 'base'"),
        (str(sha(b"tok")), str(sha(b"base")), "line 14: `members.tok`: the same artifact as base"),
        (
            "    kind: model\n",
            "    kind: model\n    colour: red\n",
            "line 8: `members.base.colour`",
        ),
        ("format: urn:stemma:lock:v0.1", "format: urn:stemma:lock:v9", "line 2: `format`"),
        ("format: urn:stemma:lock:v0.1\n", "", "`format` is missing"),
        (str(sha(b"base")), UPPER, "line 8: `members.base.artifact`: a sha256 digest is 64"),
        (str(sha(b"base")), "sha1:" + "0" * 40, "line 8: `members.base.artifact`"),
        (str(sha(b"base")), str(sha(b"base"))[:-1], "line 8: `members.base.artifact`"),
        ("  base:", "  ../base:", "line 5: `members.../base`"),
        ("  base:", "  a/b:", "is no word"),
        ("  base:", "  Base:", "is no word"),
        ("  base:", "  -rf:", "is no word"),
        ("  base:", "  path:", "is no word"),
        ("  base:", f"  {'a' * 65}:", "is no word"),
        ("  base:", "  no:", "keys are text"),
        ("size: 13", "size: -1", "line 9: `members.base.size`: a number of bytes"),
        ("size: 13", "size: 1e3", "a number of bytes"),
        ("size: 13", "size: 99999999999999999", "a number of bytes"),
        ("kind: model", "kind: weights", "one of model"),
        ("name: models/base:1", "name: models/base", "line 6: `members.base.name`"),
        ("models/base#prod", "''", "line 5: `members.base.from`"),
        (f"key: {KEY}", f"key: {KEY.upper()}", "64 lower-case"),
        (f"key: {KEY}", f"key: {KEY}\n      identity: {{}}", "one of the two"),
        (f"      key: {KEY}\n", "", "one of the two"),
        (f"signers:\n    - principal: training\n      key: {KEY}", "signers: []", "one at least"),
        ("said: admission", "said: hearsay", "one of provenance, admission"),
        ("    size: 0\n", "", "`size` is missing"),
        ("# a comment", "a: &x 1", "anchors"),
        ("# a comment", "<<<<<<< HEAD", "line 2"),
    ],
)
def test_mistakes_are_told_with_their_line(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(BadLock) as caught:
        parse(GOOD.replace(old, new, 1).encode())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"[]", b"\xff", b"null", b"format: urn:stemma:lock:v0.1\nmembers: {}\n"],
)
def test_what_is_no_lock(raw: bytes) -> None:
    with pytest.raises(BadLock):
        parse(raw)


def test_large_ones() -> None:
    with bounded(60, 200), pytest.raises(BadLock):
        parse(b"- " * (MAX_BYTES // 2))
    with bounded(1, 10), pytest.raises(BadLock, match="at most"):
        parse(b"a" * (MAX_BYTES + 1))
    lock = parse(GOOD.encode()).members[0]
    many = [
        Member(
            f"w{n}",
            lock.source,
            lock.name,
            lock.kind,
            Digest.of(str(n).encode()),
            n,
            lock.signers,
        )
        for n in range(MAX_MEMBERS + 1)
    ]
    assert len(parse(Lock.of(many[:-1]).encode()).members) == MAX_MEMBERS
    with pytest.raises(BadLock, match="members"):
        Lock.of(many)


@pytest.mark.parametrize(
    ("name", "word"),
    [("models/base:1", "base"), ("m:1", "m"), ("a/qwen2.5-7b_it:1", "qwen2-5-7b-it")],
)
def test_the_word_of_a_name(name: str, word: str) -> None:
    assert word_of(NameVersion.parse(name)) == word


@pytest.mark.parametrize("name", ["a/path:1", f"a/{'b' * 65}:1"])
def test_a_name_without_a_word_of_its_own(name: str) -> None:
    with pytest.raises(BadLock, match="say WORD="):
        word_of(NameVersion.parse(name))
