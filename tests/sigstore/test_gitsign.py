"""Signatures of Git objects by certificates: gitsign's own, and what was bent since."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms as asn1_cms
from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_attestations import gitobject, gitsign, octets
from stemma_attestations.certified import Certified
from stemma_attestations.cms import CmsSignature
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed, SignatureRefused
from stemma_attestations.gitobject import Signed
from stemma_registry.trust import public_good
from tests.sigstore import gitsigning
from tests.sigstore.encoding import der, seconds_now, sha256
from tests.sigstore.forge import alice
from tests.sigstore.gitsigning import (
    CONTENT_TYPE,
    DATA,
    DIGEST,
    LOG_ENTRY,
    OCTETS,
    SEQUENCE,
    SET,
    SHA512,
    Work,
    armoured,
    assemble,
    attribute,
    oid,
)
from tests.sigstore.stack import LocalSigstore

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
PAYLOAD = b"object 1234\ntype commit\ntag m@v1\n\nsigned\n"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "gitsign"
THEIRS = {public_good.TRUSTED_ROOT: public_good.trusted_root()}


def roots(stack: LocalSigstore) -> dict[Digest, bytes]:
    root = stack.trusted_root()
    return {Digest.of(root): root}


def who(stack: LocalSigstore, signature: bytes, payload: bytes = PAYLOAD) -> Certified:
    known = roots(stack)
    return gitsign.who(Signed(payload, signature), known, known)[0]


def no(stack: LocalSigstore, signature: bytes, match: str, payload: bytes = PAYLOAD) -> None:
    with pytest.raises(SignatureRefused, match=match) as caught:
        who(stack, signature, payload)
    assert "\n" not in str(caught.value)


def _fixture(name: str) -> Signed:
    signed = gitobject.commit((FIXTURES / name).read_bytes()).signed
    assert signed is not None
    return signed


def test_a_commit_that_gitsign_signed() -> None:
    """Years after the certificate lapsed, without a network, under the public root."""
    signed = _fixture("offline.commit")
    certified, times = gitsign.who(signed, THEIRS, THEIRS)
    assert certified.identity.subject == "billy@chainguard.dev"
    assert certified.identity.issuer == "https://accounts.google.com"
    assert [one.time for one in times] == [datetime(2023, 6, 5, 16, 11, 20, tzinfo=UTC)]
    with pytest.raises(SignatureRefused, match="over something else"):
        gitsign.who(replace(signed, payload=signed.payload + b" "), THEIRS, THEIRS)
    with pytest.raises(SignatureRefused, match="not on this machine"):
        gitsign.who(signed, THEIRS, {})
    with pytest.raises(SignatureRefused, match="lists no identity"):
        gitsign.who(signed, (), THEIRS)


def test_one_that_is_only_in_the_log_is_not_believed() -> None:
    with pytest.raises(SignatureRefused, match="rekorMode"):
        gitsign.who(_fixture("online.commit"), THEIRS, THEIRS)


def test_ours_is_read_as_theirs(sigstore: LocalSigstore) -> None:
    good = gitsigning.signature(sigstore, PAYLOAD)
    known = roots(sigstore)
    certified, times = gitsign.who(Signed(PAYLOAD, good), known, known)
    assert certified.identity.subject == "alice@example.com"
    assert certified.roots == tuple(known)
    assert times[0].root == certified.root
    no(sigstore, good, "something else", PAYLOAD + b" ")
    with pytest.raises(SignatureRefused, match="another instance"):
        gitsign.who(Signed(PAYLOAD, good), THEIRS, THEIRS)
    both = {**THEIRS, **known}
    assert gitsign.who(Signed(PAYLOAD, good), both, both)[0] == certified


def test_a_certificate_that_had_lapsed_or_was_proven_by_nothing(sigstore: LocalSigstore) -> None:
    past = seconds_now() - timedelta(hours=6)
    old = alice(sigstore, start=past)
    now = gitsigning.signature(sigstore, PAYLOAD, leaf=old)
    no(sigstore, now, "not verified")
    then = int((past + timedelta(minutes=5)).timestamp())
    assert who(sigstore, gitsigning.signature(sigstore, PAYLOAD, leaf=old, log_time=then))
    no(sigstore, gitsigning.signature(sigstore, PAYLOAD, logged=False), "rekorMode")
    no(sigstore, gitsigning.signature(sigstore, PAYLOAD, promised=False), "rekorVersion")


def test_an_entry_of_another_signature(sigstore: LocalSigstore) -> None:
    work = Work(sigstore, PAYLOAD)
    _, entry = assemble(work)
    again = replace(work, entry=entry)  # the same key, payload and person: signed once more
    no(sigstore, armoured(assemble(again)[0]), "not verified")
    other = replace(Work(sigstore, PAYLOAD), entry=entry)
    no(sigstore, armoured(assemble(other)[0]), "not verified")


_ATTRIBUTES = (
    attribute(CONTENT_TYPE, oid(DATA)),
    attribute(DIGEST, der(OCTETS, sha256(PAYLOAD))),
)
BENT: dict[str, tuple[dict[str, Any], str]] = {
    "no signed attributes": ({"signed": ()}, "lack"),
    "no type": ({"signed": _ATTRIBUTES[1:]}, "lack"),
    "no digest": ({"signed": _ATTRIBUTES[:1]}, "lack"),
    "two digests": ({"signed": (*_ATTRIBUTES, _ATTRIBUTES[1])}, "twice"),
    "a digest of two values": (
        {
            "signed": (
                _ATTRIBUTES[0],
                attribute(DIGEST, der(OCTETS, sha256(b"x")), der(OCTETS, sha256(PAYLOAD))),
            )
        },
        "one value",
    ),
    "a digest with more behind it": (
        {"signed": (_ATTRIBUTES[0], attribute(DIGEST, der(0x0C, sha256(PAYLOAD))))},
        "instead of",
    ),
    "too many": ({"signed": _ATTRIBUTES * 20}, "twice"),
    "another content": ({"content_type": "2a864886f70d010702"}, "not data"),
    "content inside": ({"inside": der(0xA0, der(OCTETS, PAYLOAD))}, "after its end"),
    "another hash": ({"digest_algorithm": SHA512}, "SHA-256"),
    "two signers": ({"signers": 2}, "2 elements"),
    "no signer": ({"signers": 0}, "0 elements"),
    "two certificates": ({"certificates": 2}, "2 certificates"),
    "no certificate": ({"certificates": 0}, "0 certificates"),
    "another serial number": ({"serial": 7}, "not who"),
    "two entries": ({"beside": (attribute(LOG_ENTRY, der(OCTETS, b"")),)}, "twice"),
    "an unknown field": (
        {"logged": False, "beside": (attribute(LOG_ENTRY, der(OCTETS, b"\x3a\1x")),)},
        "not known",
    ),
    "an empty entry": (
        {"logged": False, "beside": (attribute(LOG_ENTRY, der(OCTETS, b"")),)},
        "kind",
    ),
    "endless numbers": (
        {"logged": False, "beside": (attribute(LOG_ENTRY, der(OCTETS, b"\x08" + b"\xff" * 9)),)},
        "too large",
    ),
}


@pytest.mark.parametrize("name", BENT)
def test_one_thing_bent(sigstore: LocalSigstore, name: str) -> None:
    bent, match = BENT[name]
    no(sigstore, gitsigning.signature(sigstore, PAYLOAD, **bent), match)


def test_what_nobody_signed_says_nothing(sigstore: LocalSigstore) -> None:
    """Unsigned attributes of others, such as timestamps, are passed over."""
    stamp = attribute("2a864886f70d010910020e", der(SEQUENCE, b"anything"), der(SEQUENCE, b""))
    assert who(sigstore, gitsigning.signature(sigstore, PAYLOAD, beside=(stamp,)))


def test_bytes_that_are_no_der(sigstore: LocalSigstore) -> None:
    good, _ = assemble(Work(sigstore, PAYLOAD))
    size = int.from_bytes(good[2:4])
    assert good[:2] == b"\x30\x82"
    wrong = {
        "after its end": good + b"\0",
        "too early": good[:-1],
        "indefinite": b"\x30\x80" + good[4:] + b"\0\0",
        "shortest": b"\x30\x83" + size.to_bytes(3) + good[4:],
        "several bytes": b"\x3f\x10" + good[2:],
        "instead of": b"\x31" + good[1:],
        "more than": good + b"\0" * 300_000,
    }
    for match, data in wrong.items():
        with pytest.raises(Malformed, match=match):
            CmsSignature.parse(data)
        no(sigstore, armoured(data), match)
    no(sigstore, armoured(good) + armoured(good), "not one")
    no(sigstore, armoured(good).replace(b"SIGNED MESSAGE", b"SSH SIGNATURE"), "not one")
    nested = b""
    for _ in range(5_000):
        nested = der(SET, nested)
    no(sigstore, armoured(nested), "instead of")


def _flips(stack: LocalSigstore, step: int, seed: int) -> None:
    chance = random.Random(seed)
    good, _ = assemble(Work(stack, PAYLOAD))
    known = roots(stack)
    truth = gitsign.who(Signed(PAYLOAD, armoured(good)), known, known)
    cms = CmsSignature.parse(good)
    passed = 0
    for at in range(seed % step, len(good), step):
        data = bytearray(good)
        data[at] ^= 1 << chance.randrange(8)
        try:
            found = gitsign.who(Signed(PAYLOAD, armoured(bytes(data))), known, known)
        except SignatureRefused:
            continue
        passed += 1
        assert found == truth
        # Only the name beside the checkpoint's signature is signed by nobody.
        assert cms.log_entry is not None
        start = good.index(cms.log_entry)
        assert start <= at < start + len(cms.log_entry), good[at - 20 : at + 20]
    assert passed < 40


def test_a_changed_byte(sigstore: LocalSigstore) -> None:
    _flips(sigstore, 7, seed=random.Random(6).randrange(7))


@pytest.mark.slow
def test_every_changed_byte(sigstore: LocalSigstore) -> None:
    for seed in range(3):
        _flips(sigstore, 1, seed)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_read_another_library_reads_alike(data: st.DataObject) -> None:
    """Bytes of a real signature, changed anywhere: refused, or nothing differs for asn1crypto."""
    der_bytes = bytearray(octets.armoured(_fixture("offline.commit").signature, gitsign.LABEL))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(der_bytes) - 1))
        match data.draw(st.sampled_from(("set", "cut", "put"))):
            case "set":
                der_bytes[at] = data.draw(st.integers(0, 255))
            case "cut":
                del der_bytes[at : at + data.draw(st.integers(1, 4))]
            case _:
                der_bytes[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    try:
        found = CmsSignature.parse(bytes(der_bytes))
    except Malformed:
        return
    theirs = asn1_cms.ContentInfo.load(bytes(der_bytes), strict=True)["content"]
    (info,) = theirs["signer_infos"]
    (certificate,) = theirs["certificates"]
    attributes = {one["type"].dotted: one["values"] for one in info["signed_attrs"]}
    beside = {one["type"].dotted: one["values"] for one in info["unsigned_attrs"]}
    assert found.signature == info["signature"].native
    assert found.attributes == info["signed_attrs"].untag().dump()
    assert found.certificate == certificate.dump()
    assert found.digest == attributes["1.2.840.113549.1.9.4"][0].native
    if found.log_entry is None:
        assert "1.3.6.1.4.1.57264.3.1" not in beside
    else:
        assert found.log_entry in beside["1.3.6.1.4.1.57264.3.1"][0].dump()
