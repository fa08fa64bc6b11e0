"""Digests: one door in, one spelling out, and what counts as the same bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.digest import LENGTHS, Digest, digests_match, parse_digest_set, sha256
from stemma_attestations.errors import BadDigest
from tests.building import examples

HEX = "0123456789abcdef" * 8


def digest(algorithm: str, fill: str = "a", length: int | None = None) -> Digest:
    return Digest(algorithm, fill * (length or LENGTHS[algorithm][0]))


@pytest.mark.parametrize(
    ("algorithm", "length"), [(a, n) for a, lengths in LENGTHS.items() for n in lengths]
)
def test_parse_and_str_are_inverses(algorithm: str, length: int) -> None:
    text = f"{algorithm}:{HEX[:length]}"
    parsed = Digest.parse(text)
    assert (parsed.algorithm, parsed.value) == (algorithm, HEX[:length])
    assert str(parsed) == text
    assert Digest.parse(str(parsed)) == parsed


@examples(300)
@given(
    st.text(max_size=80)
    | st.from_regex(r"(sha256|sha1|md5|SHA256|gitCommit|blake2b):[0-9a-fA-F]{38,66}\n?")
)
def test_what_is_accepted_is_spelled_in_exactly_one_way(text: str) -> None:
    try:
        parsed = Digest.parse(text)
    except BadDigest:
        return
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        HEX[:64],
        f":{HEX[:64]}",
        f"sha256:{HEX[:63]}",
        f"sha256:{HEX[:65]}",
        f"sha256:{HEX[:128]}",
        f"sha512:{HEX[:64]}",
        f"sha1:{HEX[:64]}",
        f"gitCommit:{HEX[:41]}",
        f"gitcommit:{HEX[:40]}",
        f"sha256:{HEX[:64].upper()}",
        f"SHA256:{HEX[:64]}",
        f"Sha256:{HEX[:64]}",
        f"sha-256:{HEX[:64]}",
        f"sha256::{HEX[:63]}",
        f"sha256:sha256:{HEX[:64]}",
        f" sha256:{HEX[:64]}",
        f"sha256: {HEX[:63]}",
        f"sha256:{HEX[:63]}\n",
        f"sha256:{HEX[:64]}\n",
        f"sha256:0x{HEX[:62]}",
        f"sha256:+{HEX[:63]}",
        f"sha256:{HEX[:63]}g",
        f"sha256:{HEX[:32]}_{HEX[:31]}",
        "sha256:" + "\N{FULLWIDTH DIGIT ONE}" * 64,
        "sha256:" + "\N{ARABIC-INDIC DIGIT ONE}" * 64,
        f"crc32:{HEX[:8]}",
        f"sha3-256:{HEX[:64]}",
        f"blake2b:{HEX[:128]}",
        f"gitoid:{HEX[:64]}",
    ],
)
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(BadDigest):
        Digest.parse(text)


def test_the_constructor_is_the_same_door() -> None:
    with pytest.raises(BadDigest):
        Digest("sha256", HEX[:64].upper())
    with pytest.raises(BadDigest):
        sha256(f"sha256:{HEX[:64]}")


@pytest.mark.parametrize("value", [None, 1, 1.5, True, ["a"] * 64, {}, b"a" * 64])
def test_what_is_no_text_is_no_digest(value: Any) -> None:
    """Found by fuzzing: JSON holds anything where a digest should be."""
    with pytest.raises(BadDigest):
        Digest("sha256", value)
    with pytest.raises(BadDigest):
        Digest(value, "a" * 64)


def test_a_refusal_of_a_huge_text_has_a_short_message() -> None:
    with pytest.raises(BadDigest) as refused:
        Digest.parse("x" * 1_000_000 + ":00")
    assert len(str(refused.value)) < 200


def test_of_is_sha256_of_the_bytes() -> None:
    # FIPS 180-4, the example message "abc".
    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert str(Digest.of(b"abc")) == expected
    assert Digest.of(b"").value == hashlib.sha256().hexdigest()


def test_short_is_for_people_and_no_digest() -> None:
    assert Digest.of(b"abc").short == "sha256:ba7816bf8f01"
    with pytest.raises(BadDigest):
        Digest.parse(Digest.of(b"abc").short)


# --- digest sets ----------------------------------------------------------------------------


def test_a_set_keeps_what_is_recognised_in_one_order() -> None:
    one, two = HEX[:64], HEX[:128]
    forwards = parse_digest_set({"sha512": two, "sha256": one, "dirHash": "whatever"})
    backwards = parse_digest_set({"dirHash": 7, "sha256": one, "sha512": two})
    assert forwards == backwards == (Digest("sha256", one), Digest("sha512", two))
    assert parse_digest_set({}) == ()


@pytest.mark.parametrize(
    "obj",
    [
        None,
        [],
        "sha256:" + HEX[:64],
        {"sha256": None},
        {"sha256": 7},
        {"sha256": [HEX[:64]]},
        {"sha256": HEX[:64].upper()},
        {"sha256": HEX[:64], "sha1": "short"},
        {"sha256": HEX[:64], "md5": HEX[:33]},
        {"sha256": "sha256:" + HEX[:64]},
    ],
)
def test_a_set_with_one_malformed_recognised_digest_is_refused_whole(obj: object) -> None:
    with pytest.raises(BadDigest):
        parse_digest_set(obj)


A, B = digest("sha256", "a"), digest("sha256", "b")
A512, B512 = digest("sha512", "a"), digest("sha512", "b")
SHA1, SHA1_OTHER, MD5 = digest("sha1", "a"), digest("sha1", "b"), digest("md5", "a")


@pytest.mark.parametrize(
    ("expected", "actual", "match"),
    [
        pytest.param([A], [A], True, id="equal"),
        pytest.param([A], [B], False, id="different"),
        pytest.param([A, A512], [A, A512], True, id="both agree"),
        pytest.param([A, A512], [A, B512], False, id="one of two disagrees"),
        pytest.param([A, A512], [A], True, id="only one is known to both"),
        pytest.param([A], [A512], False, id="nothing in common"),
        pytest.param([], [], False, id="nothing at all"),
        pytest.param([A], [], False, id="nothing against something"),
        pytest.param([SHA1], [SHA1], False, id="sha1 alone never matches"),
        pytest.param([MD5], [MD5], False, id="md5 alone never matches"),
        pytest.param([SHA1, MD5], [SHA1, MD5], False, id="two weak ones do not add up"),
        pytest.param([A, SHA1], [A, SHA1], True, id="a weak one beside a strong one"),
        pytest.param([A, SHA1], [A, SHA1_OTHER], False, id="a weak one can still disagree"),
        pytest.param([A, SHA1], [B, SHA1], False, id="a weak one does not save a strong one"),
        pytest.param([A, SHA1], [B512, SHA1], False, id="only the weak one is common"),
    ],
)
def test_match(expected: list[Digest], actual: list[Digest], match: bool) -> None:
    assert digests_match(expected, actual) is match
    assert digests_match(actual, expected) is match
