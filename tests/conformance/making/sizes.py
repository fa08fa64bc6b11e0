"""Much of one thing: refused in bounded time and memory. `makers` makes the bundles."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.making.case import Case
from tests.conformance.making.instance import Instance
from tests.conformance.making.payloads import ENVELOPE, JSON, VIEW
from tests.conformance.making.scene import KEY_GOOD

LOG = "attestations/stemma_attestations/log_entry.py::"
SECONDS, MIB = 2.0, 64.0

# name -> maker, check, reason, story, seconds, MiB
KEYED = {
    "10000-signatures": (
        "signatures_10000",
        f"{ENVELOPE}Envelope.parse",
        "more than 64 signatures",
        "The good signature stands in the envelope 10,000 times.",
        SECONDS,
        MIB,
    ),
    "payload-of-100-mb": (
        "payload_100_mb",
        f"{JSON}loads",
        "bytes, at most 100663296 are read",
        "A well signed payload of 100 MB. The bundle is refused for its size, before it is parsed.",
        SECONDS,
        MIB,
    ),
    "payload-of-66-mib": (
        "payload_66_mib",
        f"{JSON}loads",
        "bytes, at most 67108864 are read",
        "A well signed payload that is longer than a statement may be, in a bundle that is not.",
        5.0,
        640.0,
    ),
    "100001-subjects": (
        "subjects_100001",
        f"{VIEW}_parse_subjects",
        "100001 subjects, at most 100000 are read",
        "A well signed statement about 100,001 things.",
        6.0,
        400.0,
    ),
    "deep-payload": (
        "deep_payload",
        f"{JSON}_check_depth",
        "nested deeper than 64",
        "A million lists in one another inside a well signed payload.",
        SECONDS,
        MIB,
    ),
    "deep-objects": (
        "deep_objects",
        f"{JSON}_check_depth",
        "nested deeper than 64",
        "300,000 objects in one another inside a well signed payload.",
        SECONDS,
        MIB,
    ),
    "deep-bundle": (
        "deep_bundle",
        f"{JSON}_check_depth",
        "nested deeper than 64",
        "A million lists in one another beside the envelope.",
        SECONDS,
        MIB,
    ),
    "open-brackets": (
        "brackets_open",
        f"{JSON}_check_depth",
        "nested deeper than 64",
        "Instead of a bundle, ten million brackets that nobody closes.",
        SECONDS,
        MIB,
    ),
    "open-quotes": (
        "quotes_open",
        f"{JSON}loads",
        "not JSON: ",
        "Instead of a bundle, four million escaped quotes in a text without an end.",
        SECONDS,
        MIB,
    ),
    "integer-of-10-mb": (
        "integer_of_10_mb",
        f"{JSON}_integer",
        "integer 99999999999999999999 is beyond 2**53 - 1",
        "An integer of ten million digits inside a well signed payload.",
        SECONDS,
        128.0,
    ),
    "100000-keys": (
        "keys_100000_twice",
        f"{JSON}_object",
        "duplicate key 'k99999'",
        "A field is said twice, among a hundred thousand, inside a well signed payload.",
        SECONDS,
        MIB,
    ),
}
LOGGED = {
    "200000-hashes": (
        "hashes_200000",
        "an inclusion proof's hashes are a list of at most 64",
        "The inclusion proof has 200,000 hashes.",
    ),
    "10000-timestamps": (
        "timestamps_10000",
        "a bundle's timestamps are a list of at most 32",
        "The timestamp stands in the bundle 10,000 times.",
    ),
    "200000-witnesses": (
        "witnesses_200000",
        "a checkpoint of more than 65536 characters",
        "200,000 strangers signed the checkpoint beside the log.",
    ),
}


def cases(at: Instance) -> Iterator[Case]:
    """All of them; those that are large and good come first."""
    for name, make, seconds, mib, story in (
        ("large-payload", "payload_20_mib", 5.0, 320.0, "A statement of 20 MiB, which is read."),
        ("50000-subjects", "subjects_50000", 8.0, 400.0, "A statement about 50,000 things."),
    ):
        yield KEY_GOOD.also_good(
            f"size-{name}", story, {}, make=make, max_seconds=seconds, max_mib=mib
        )
    for name, (make, check, reason, story, seconds, mib) in KEYED.items():
        limits = {"max_seconds": seconds, "max_mib": mib}
        yield KEY_GOOD.forged(f"size-{name}", story, check, reason, make=make, **limits)
    twin = at.good("size-keyless", "A keyless bundle as any other.", at.trust(), at.document())
    yield twin
    for name, (make, reason, story) in LOGGED.items():
        check = f"{LOG}{'timestamps' if 'timestamps' in name else 'LogEntry.parse'}"
        limits = {"max_seconds": SECONDS, "max_mib": MIB}
        yield twin.forged(f"size-{name}", story, check, reason, make=make, **limits)
