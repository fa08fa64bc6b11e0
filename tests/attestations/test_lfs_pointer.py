"""What a Git LFS pointer is, and what only looks like one."""

from __future__ import annotations

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.lfs_pointer import MOST, Pointer, parse

OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
# The example of the specification.
TEXT = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n".encode()


def test_the_example_of_the_specification() -> None:
    pointer = Pointer(Digest("sha256", OID), 12345)
    assert parse(TEXT) == pointer
    assert pointer.raw == TEXT


@pytest.mark.parametrize("old", [b"https://hawser.github.com/spec/v1", b"http://git-media.io/v/2"])
def test_what_it_was_called_before_is_read(old: bytes) -> None:
    assert parse(TEXT.replace(b"https://git-lfs.github.com/spec/v1", old)) == parse(TEXT)


def test_one_with_an_extension_is_known_as_such() -> None:
    extended = TEXT.replace(b"oid", b"ext-0-case sha256:" + b"0" * 64 + b"\noid", 1)
    pointer = parse(extended)
    assert pointer is not None
    assert pointer.extended


@pytest.mark.parametrize(
    "data",
    [
        b"",
        TEXT + b"\n",
        TEXT + b"x",
        b" " + TEXT,
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.upper(),
        TEXT.replace(b"sha256:4", b"sha256:G"),
        TEXT.replace(b"12345", b"-1"),
        TEXT.replace(b"12345", b"9223372036854775808"),
        TEXT.replace(b"12345", b"1" * 2000),
        TEXT.replace(b"12345", "١٢٣".encode()),
        TEXT.replace(b"size 12345\n", b""),
        TEXT.replace(b"/v1", b"/v2"),
        TEXT.replace(b"oid", b"ext-0-" + b"a" * MOST + b" sha256:0\noid"),
        b"\n".join(reversed(TEXT.splitlines())),
    ],
)
def test_what_is_none(data: bytes) -> None:
    assert parse(data) is None


def test_a_size_may_be_as_large_as_git_lfs_can_count() -> None:
    pointer = parse(TEXT.replace(b"12345", b"9223372036854775807"))
    assert pointer is not None
    assert pointer.size == 2**63 - 1
