"""Things that are known by a name: one thing has one key, and different things never share one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadName
from stemma_attestations.named import Named, hugging_face, is_name_only, parse, within
from tests.building import examples

COMMIT, OTHER = "a" * 40, "1" * 64


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("hf:acme/base", "hf:acme/base"),
        ("hf:acme/base@main", "hf:acme/base"),
        ("hf://acme/base", "hf:acme/base"),
        ("https://huggingface.co/acme/base", "hf:acme/base"),
        ("https://huggingface.co/acme/base/tree/main", "hf:acme/base"),
        ("pkg:huggingface/acme/base", "hf:acme/base"),
        (f"pkg:huggingface/acme/base@{COMMIT}", f"hf:acme/base@{COMMIT}"),
        (f"https://huggingface.co/acme/base/resolve/{COMMIT}/x.bin", f"hf:acme/base@{COMMIT}"),
        ("https://huggingface.co/datasets/acme/d", "hf:datasets/acme/d"),
        ("hf:gpt2", "hf:gpt2"),
        ("pkg:pypi/Torch@2.1.0", "pkg:pypi/torch@2.1.0"),
        (f"pkg:generic/m@1?checksum=sha256:{OTHER}", f"sha256:{OTHER}"),
        (f"oci:ghcr.io/acme/m@sha256:{OTHER}", f"sha256:{OTHER}"),
        (f"oci:ghcr.io/acme/m:1@sha256:{OTHER}", f"sha256:{OTHER}"),
        (f"pkg:oci/m@sha256:{OTHER}?repository_url=ghcr.io/acme", f"sha256:{OTHER}"),
        ("oci:ghcr.io/acme/m", "oci:ghcr.io/acme/m:latest"),
        ("S3://bucket/key", "s3://bucket/key"),
        ("https://me:secret@example.org/d?id=7&X-Amz-Signature=99", "https://example.org/d?id=7"),
        ("path:example.org/acme/p/data/a.csv@md5:00", "path:example.org/acme/p/data/a.csv@md5:00"),
    ],
)
def test_one_thing_has_one_name(text: str, means: str) -> None:
    thing = parse(text)
    assert str(thing) == means
    assert str(parse(means)) == means if isinstance(thing, Named) else thing == Digest.parse(means)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme",
        "hf:",
        "hf:a/b/c/d",
        "hf:datasets",
        "hf:../up",
        "pkg:nothing",
        "pkg:generic/m?checksum=sha256:12",
        "oci:UP",
        "path:noscope",
        "hf:acme/b\u202ease",
        "s3://a b",
        "name:x/\n",
        "hf:" + "a" * 3000,
        "md5:" + "0" * 32,
    ],
)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse(text)


def test_only_what_can_never_mean_other_bytes_is_more_than_a_name() -> None:
    assert is_name_only(parse("hf:acme/base@v1.0"))
    assert is_name_only(parse("pkg:pypi/torch@2.1.0"))
    assert is_name_only(within("path", "p", f"x@{COMMIT}"))
    assert not is_name_only(parse(f"hf:acme/base@{COMMIT}"))
    assert not is_name_only(sha256(OTHER))


def test_the_key_is_of_the_text_and_of_no_other() -> None:
    thing = hugging_face("acme/base")
    assert thing != parse("hf:datasets/acme/base")
    with pytest.raises(BadDigest):
        Named("hf", thing.value, "hf:acme/other")
    with pytest.raises(BadDigest):
        Named("sha256", thing.value, "hf:acme/base")
    assert min([sha256(OTHER), thing]) is thing
    assert sha256(OTHER) > thing >= thing <= sha256(OTHER)


@examples(300)
@given(st.text(max_size=60), st.sampled_from(["", "hf:", "pkg:", "oci:", "https://", "name:"]))
@example("?", "https://")
@example("somebody@#part", "https://")
def test_whatever_is_written_is_refused_or_stays_what_it_is(text: str, scheme: str) -> None:
    try:
        thing = parse(scheme + text)
    except BadName:
        return
    assert parse(str(thing)) == thing if isinstance(thing, Named) else str(thing)
