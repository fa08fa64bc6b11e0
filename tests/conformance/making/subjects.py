"""Which bytes, and under which name: digests that match by halves, and bundles of other bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from tests.building import sha
from tests.conformance.making.case import ARTIFACT, BUNDLE, Case
from tests.conformance.making.scene import (
    KEY_GOOD,
    MODEL,
    OTHER_MODEL,
    bent_bundle,
    packed,
    signed,
    statement,
    subject,
)

ABOUT = "attestations/stemma_attestations/statement.py::Statement.subjects_about"
MATCH = "attestations/stemma_attestations/digest.py::digests_match"
SET = "attestations/stemma_attestations/digest.py::parse_digest_set"
NAMED = "attestations/stemma_attestations/verify.py::_refusal"
OTHER_BYTES = "its statement is about other bytes"

RIGHT, WRONG = sha(MODEL).value, sha(OTHER_MODEL).value
SHA1, MD5 = hashlib.sha1(MODEL).hexdigest(), hashlib.md5(MODEL).hexdigest()
SHA512 = hashlib.sha512(MODEL).hexdigest()

WEAK: dict[str, tuple[dict[str, str], str]] = {
    "sha1-only": ({"sha1": SHA1}, "only by its SHA-1, which can be forged"),
    "md5-only": ({"md5": MD5}, "only by its MD5, which can be forged"),
    "sha1-and-md5": ({"md5": MD5, "sha1": SHA1}, "by its SHA-1 and its MD5, and no better"),
    "git-blob-only": ({"gitBlob": SHA1}, "only as a Git object named by SHA-1"),
    "sha256-wrong-sha1-right": (
        {"sha1": SHA1, "sha256": WRONG},
        "by a SHA-1 that is right and a SHA-256 that is of other bytes",
    ),
    "sha256-wrong-md5-right": (
        {"md5": MD5, "sha256": WRONG},
        "by an MD5 that is right and a SHA-256 that is of other bytes",
    ),
    "unknown-only": ({"blake99": RIGHT}, "by an algorithm that nobody knows"),
}
MALFORMED: dict[str, tuple[dict[str, Any], str, str]] = {
    "upper-case": ({"sha256": RIGHT.upper()}, "64 lower-case hex digits", "in capital letters"),
    "short": ({"sha256": RIGHT[:63]}, "64 lower-case hex digits", "one digit short"),
    "newline": ({"sha256": RIGHT + "\n"}, "64 lower-case hex digits", "with a line end behind it"),
    "prefixed": ({"sha256": f"sha256:{RIGHT}"}, "64 lower-case hex digits", "with its name before"),
    "empty": ({"sha256": ""}, "64 lower-case hex digits", "as an empty text"),
    "number": ({"sha256": 0}, "the sha256 digest is not text", "as a number"),
    "beside-bad-sha1": (
        {"sha1": "0", "sha256": RIGHT},
        "a sha1 digest is 40 lower-case hex digits",
        "correctly, beside a SHA-1 that is none",
    ),
}


def cases() -> Iterator[Case]:
    """All of them; every statement is signed by the key that is believed."""
    right = {"sha1": SHA1, "sha256": RIGHT}
    yield KEY_GOOD.also_good(
        "subject-two-digests",
        "The subject is named by its SHA-256, and by its SHA-1 beside it.",
        {BUNDLE: packed(signed(statement([subject(**right)])))},
    )
    yield KEY_GOOD.also_good(
        "subject-among-others",
        "The statement is about two artifacts; the one that is asked about is the second.",
        {BUNDLE: _about(subject("acme/other:1.0", sha256=WRONG), subject())},
    )
    for name, (digests, how) in WEAK.items():
        check, reason = MATCH, OTHER_BYTES
        if name == "unknown-only":
            check = "attestations/stemma_attestations/statement.py::_parse_subjects"
            reason = "every subject of a statement has a digest"
        story = f"The subject has the right name and is identified {how}."
        yield _bad(name, story, check, reason, subject(**digests))
    for name, (digests, reason, how) in MALFORMED.items():
        story = f"The subject's SHA-256 is given {how}."
        yield _bad(f"digest-{name}", story, SET, reason, subject(**digests))
    yield from _names()
    yield KEY_GOOD.forged(
        "artifact-b-beside-bundle-of-a",
        "The bundle of one artifact was put beside another one.",
        ABOUT,
        OTHER_BYTES,
        {ARTIFACT: OTHER_MODEL},
    )
    yield KEY_GOOD.forged(
        "artifact-one-byte-more",
        "A byte was put behind the artifact's own.",
        ABOUT,
        OTHER_BYTES,
        {ARTIFACT: MODEL + b"\n"},
    )


def _names() -> Iterator[Case]:
    yield _bad(
        "name-right-digest-wrong",
        "The right name, said about other bytes.",
        ABOUT,
        OTHER_BYTES,
        subject(sha256=WRONG),
    )
    others = {
        "digest-right-name-wrong": ("acme/other:1.0", "another name that the signer may speak of"),
        "digest-right-version-wrong": ("acme/model:1.1", "another version"),
        "digest-right-name-longer": ("acme/model:1.0.1", "a version that begins like this one"),
        "digest-right-name-above": ("acme/model", "the name without a version"),
    }
    for name, (said, what) in others.items():
        story = f"The right bytes, under {what}."
        yield _bad(name, story, NAMED, f"said about {said}, not about", subject(said))
    yield _bad(
        "digest-right-name-missing",
        "The right bytes, without a name: it is no word about acme/model:1.0.",
        NAMED,
        "said about no name, not about",
        subject(None),
    )
    yield _bad(
        "name-and-digest-in-two-subjects",
        "One subject has the right name, another the right bytes; neither has both.",
        NAMED,
        "said about acme/other:1.0, not about",
        subject(sha256=WRONG),
        subject("acme/other:1.0"),
    )


def _about(*subjects: dict[str, Any]) -> bytes:
    return packed(signed(statement(subjects)))


def _bad(name: str, story: str, check: str, reason: str, *subjects: dict[str, Any]) -> Case:
    return bent_bundle(f"subject-{name}", story, check, reason, _about(*subjects))
