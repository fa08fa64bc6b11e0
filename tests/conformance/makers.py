"""Bundles that are too large to keep, made when they are asked for.

Each maker gets a copy of its case's folder, whose trust root lists the key that signs.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from stemma_attestations.statement import PAYLOAD_TYPE
from tests.building import dsse_pae
from tests.conformance.making.case import BUNDLE
from tests.conformance.making.scene import GOOD, PREDICATE, STATEMENT, packed, signed, subject

MIB = 1024 * 1024
SCORE = b'{"score":1}'


def _write(folder: Path, data: bytes) -> None:
    (folder / BUNDLE).write_bytes(data)


def _scored(value: bytes) -> bytes:
    return GOOD.replace(SCORE, b'{"score":' + value + b"}")


def _signed(payload: bytes) -> bytes:
    """A bundle of a large payload, without a JSON writer that copies it five times."""
    document = signed(signed=dsse_pae(PAYLOAD_TYPE, payload))
    document["dsseEnvelope"]["payload"] = "@"
    before, after = packed(document).split(b"@")
    return b"".join((before, base64.b64encode(payload), after))


def signatures_10000(folder: Path) -> None:
    """The good signature, ten thousand times."""
    document = signed()
    document["dsseEnvelope"]["signatures"] *= 10_000
    _write(folder, packed(document))


def payload_100_mb(folder: Path) -> None:
    """A statement of 100 MB, well signed: one long text in it."""
    _write(folder, _signed(_scored(b'"' + b"x" * 100_000_000 + b'"')))


def payload_66_mib(folder: Path) -> None:
    """A statement just longer than is read, in a bundle that is."""
    _write(folder, _signed(_scored(b'"' + b"x" * 66 * MIB + b'"')))


def payload_20_mib(folder: Path) -> None:
    """A large statement that is read: a text of 20 MiB."""
    _write(folder, _signed(_scored(b'"' + b"x" * 20 * MIB + b'"')))


def subjects_50000(folder: Path) -> None:
    """As many subjects as a large artifact has files; the last one is meant."""
    _write(folder, packed(signed(_with_subjects(50_000))))


def subjects_100001(folder: Path) -> None:
    """One subject more than is read."""
    _write(folder, packed(signed(_with_subjects(100_001))))


def _with_subjects(count: int) -> bytes:
    other = json.dumps(subject("acme/other:1.0"))
    items = f"{other}," * (count - 1) + json.dumps(subject())
    head = f'{{"_type":"{STATEMENT}","predicateType":"{PREDICATE}","predicate":{{}},"subject":['
    return f"{head}{items}]}}".encode()


def deep_payload(folder: Path) -> None:
    """A million lists in one another, well signed."""
    _write(folder, packed(signed(_scored(b"[" * 1_000_000 + b"]" * 1_000_000))))


def deep_objects(folder: Path) -> None:
    """Three hundred thousand objects in one another, well signed."""
    value = b'{"a":' * 300_000 + b"1" + b"}" * 300_000
    _write(folder, packed(signed(_scored(value))))


def deep_bundle(folder: Path) -> None:
    """A million lists in one another, beside the envelope."""
    data = packed(signed()).rstrip()
    _write(folder, data[:-1] + b',"x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}")


def brackets_open(folder: Path) -> None:
    """Ten million brackets that nobody closes."""
    _write(folder, b"[" * 10_000_000)


def quotes_open(folder: Path) -> None:
    """Four million escaped quotes in a text without an end: quadratic for a careless regex."""
    _write(folder, b'{"x":"' + b'\\"' * 4_000_000)


def integer_of_10_mb(folder: Path) -> None:
    """An integer of ten million digits, well signed: quadratic where it is converted."""
    _write(folder, packed(signed(_scored(b"9" * 10_000_000))))


def keys_100000_twice(folder: Path) -> None:
    """An object of a hundred thousand fields, the last of them twice, well signed."""
    fields = ",".join(f'"k{n}":{n}' for n in [*range(100_000), 99_999])
    _write(folder, packed(signed(_scored(f"{{{fields}}}".encode()))))


def hashes_200000(folder: Path) -> None:
    """The keyless bundle of the twin, with an inclusion proof of 200,000 hashes."""
    document = json.loads((folder / BUNDLE).read_bytes())
    proof = document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["hashes"] = ["A" * 43 + "="] * 200_000
    _write(folder, packed(document))


def timestamps_10000(folder: Path) -> None:
    """The keyless bundle of the twin, with its timestamp ten thousand times."""
    document = json.loads((folder / BUNDLE).read_bytes())
    document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 10_000
    _write(folder, packed(document))


def witnesses_200000(folder: Path) -> None:
    """The keyless bundle of the twin, its checkpoint signed by 200,000 strangers too."""
    document = json.loads((folder / BUNDLE).read_bytes())
    proof = document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["checkpoint"]["envelope"] += "\u2014 witness AAAAAAAA\n" * 200_000
    _write(folder, packed(document))
