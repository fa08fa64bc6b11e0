"""When a key signed: good evidence, and every way to be bad that some log or authority signed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused, UnknownLog
from stemma_attestations.times import Dated
from tests.sigstore.dated import Signed, T, certificate_pem
from tests.sigstore.encoding import b64, rfc3339, sha256
from tests.sigstore.forge import raw
from tests.sigstore.scene import entry, flipped, good, material, proof, statement
from tests.sigstore.stack import LocalSigstore

SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def stack(sigstore: LocalSigstore) -> Any:
    """The instance, with more than one leaf in its logs."""
    good(sigstore, 1)
    good(sigstore, 2)
    return sigstore


@pytest.fixture(scope="module")
def stranger() -> Any:
    other = LocalSigstore()
    yield other
    other.close()


@pytest.fixture
def signed(stack: LocalSigstore) -> Signed:
    return Signed(stack)


# --- good -----------------------------------------------------------------------------------


def test_a_timestamp_a_promise_or_both(signed: Signed) -> None:
    assert signed.times(signed.document()) == []
    assert signed.times(signed.document([signed.stamp()])) == [T]
    assert signed.times(signed.document([], [signed.v1(T)])) == [T]
    assert signed.times(signed.document([signed.stamp(T)], [signed.v2()])) == [T]
    both = signed.document([signed.stamp(T + SECOND)], [signed.v1(T)])
    assert signed.times(both) == [T, T + SECOND]


def test_who_says_so(signed: Signed) -> None:
    document = signed.document([signed.stamp()], [signed.v1(T - SECOND)])
    bundle = Bundle.parse(raw(document))
    log, authority = dating.witnesses(bundle, signed.public.id, signed.stack.trusted_root())
    assert log.by == f"log {signed.stack.url}"
    assert authority.by.startswith("timestamp authority ")
    assert "CN=tsa" in authority.by


def test_rekor_v2_alone_gives_no_time(signed: Signed) -> None:
    assert signed.times(signed.document([], [signed.v2()])) == []
    promised = signed.v2()
    promised["integratedTime"] = str(int(T.timestamp()))
    promised["inclusionPromise"] = {"signedEntryTimestamp": b64(b"whatever")}
    assert signed.times(signed.document([], [promised])) == []


def test_a_log_that_the_root_does_not_know_disturbs_nobody(
    signed: Signed, stranger: LocalSigstore
) -> None:
    there = Signed(stranger, signed.payload, signed.key)
    there.signature = signed.signature
    document = signed.document([signed.stamp()], [there.v1(T - SECOND)])
    assert signed.times(document) == [T]
    assert signed.times(document, stranger.trusted_root()) == [T - SECOND]
    with pytest.raises(UnknownLog):
        signed.times(signed.document([], [there.v1()]))


def test_each_root_speaks_for_itself(signed: Signed, stranger: LocalSigstore) -> None:
    bundle = Bundle.parse(raw(signed.document([signed.stamp()])))
    ours, theirs = signed.stack.trusted_root(), stranger.trusted_root()
    roots = {Digest.of(ours): ours, Digest.of(theirs): theirs}

    def under(*wanted: bytes) -> tuple[Dated, ...]:
        return dating.under_roots(bundle, signed.public.id, map(Digest.of, wanted), roots)

    assert under(ours, theirs, b"not here") == (Dated(T, Digest.of(ours)),)
    assert under(theirs) == ()
    assert dating.under_roots(bundle, signed.public.id, [Digest.of(ours)], {}) == ()
    mistaken = {Digest.of(ours): ours + b" "}
    assert dating.under_roots(bundle, signed.public.id, mistaken, mistaken) == ()


# --- timestamps -----------------------------------------------------------------------------


def test_a_swapped_timestamp_proves_nothing(signed: Signed) -> None:
    other = Signed(signed.stack, statement(2).raw, signed.key)
    assert signed.times(signed.document([other.stamp()])) == []
    again = Signed(signed.stack, signed.payload, signed.key)  # another signature, the same words
    assert signed.times(signed.document([again.stamp()])) == []
    assert signed.times(signed.document([other.stamp(), signed.stamp()])) == [T]


def test_an_authority_that_is_not_in_the_root(signed: Signed, stranger: LocalSigstore) -> None:
    document = signed.document([stranger.tsa.stamp(signed.signature, T)])
    assert signed.times(document) == []
    assert signed.times(document, stranger.trusted_root()) == [T]
    bare = json.dumps(signed.stack.trusted_root_json(tsa=False)).encode()
    assert signed.times(signed.document([signed.stamp()]), bare) == []


@pytest.mark.parametrize(("off", "counts"), [(-SECOND, False), (0 * SECOND, True), (SECOND, False)])
def test_the_authoritys_window(signed: Signed, off: timedelta, counts: bool) -> None:
    root = signed.stack.trusted_root_json()
    window = {"start": rfc3339(T), "end": rfc3339(T)}
    root["timestampAuthorities"][0]["validFor"] = window
    times = signed.times(signed.document([signed.stamp(T + off)]), json.dumps(root).encode())
    assert times == ([T + off] if counts else [])


def test_timestamps_that_are_none(signed: Signed) -> None:
    for stamps in ([b"\0"], [b"0" * 64], [signed.stamp()] * 33):
        with pytest.raises(SignatureRefused):
            signed.times(signed.document(stamps))
    for odd in ({}, [], "x", {"rfc3161Timestamps": {}}, {"rfc3161Timestamps": [{}]}):
        document = signed.document([signed.stamp()])
        material(document)["timestampVerificationData"] = odd
        try:
            assert signed.times(document) == []
        except SignatureRefused:
            pass


# --- log entries ----------------------------------------------------------------------------


def refused(signed: Signed, document: dict[str, Any], match: str | None = None) -> None:
    """No time at all, though a good timestamp is there; the signature itself stays good."""
    with pytest.raises(SignatureRefused, match=match) as caught:
        signed.times(document)
    assert type(caught.value) is SignatureRefused
    root = signed.stack.trusted_root()
    bundle = Bundle.parse(raw(document))
    wanted = {Digest.of(root): root}
    assert dating.under_roots(bundle, signed.public.id, wanted, wanted) == ()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_log_entry_of_another_bundle(signed: Signed, version: str) -> None:
    others = [
        Signed(signed.stack, statement(2).raw, signed.key),  # another statement
        Signed(signed.stack, signed.payload, signed.key),  # signed again
        Signed(signed.stack, signed.payload),  # by another key
    ]
    for other in others:
        document = signed.document([signed.stamp()], [getattr(other, version)()])
        refused(signed, document, "of another signature")


def test_an_entry_that_names_another_key(signed: Signed) -> None:
    """The log's checks are the log's: what it let through is read here as it stands."""
    other = Signed(signed.stack)
    signatures = [
        {"signature": b64(signed.signature), "verifier": b64(other.public.pem.encode())},
        {"signature": b64(other.signature), "verifier": b64(signed.public.pem.encode())},
        {
            "signature": b64(signed.signature),
            "verifier": certificate_pem(signed.stack, signed.key),
        },
    ]
    for one in signatures:
        refused(signed, signed.document([signed.stamp()], [signed.v1(signatures=[one])]))
    good_one = {"signature": b64(signed.signature), "verifier": b64(signed.public.pem.encode())}
    for wrong in ([], [good_one] * 2, {}, None, [[]]):
        refused(signed, signed.document([signed.stamp()], [signed.v1(signatures=wrong)]))
    for value in (sha256(b"other").hex(), sha256(signed.payload).hex().upper(), ""):
        bent = {"algorithm": "sha256", "value": value}
        refused(signed, signed.document([signed.stamp()], [signed.v1(payloadHash=bent)]))
    for data in ({"algorithm": "SHA2_384", "digest": b64(sha256(signed.message))}, {}, None):
        refused(signed, signed.document([signed.stamp()], [signed.v2(data=data)]))
    raw_payload = {"algorithm": "SHA2_256", "digest": b64(sha256(signed.payload))}
    refused(signed, signed.document([signed.stamp()], [signed.v2(data=raw_payload)]))


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "root hash": lambda d: proof(d).update(rootHash=flipped(proof(d)["rootHash"])),
    "a hash of the path": lambda d: proof(d)["hashes"].__setitem__(
        0, flipped(proof(d)["hashes"][0])
    ),
    "a hash too few": lambda d: proof(d)["hashes"].pop(),
    "a hash too many": lambda d: proof(d)["hashes"].append(b64(b"x" * 32)),
    "no path": lambda d: proof(d).pop("hashes"),
    "another index": lambda d: proof(d).update(logIndex=str(int(proof(d)["logIndex"]) ^ 1)),
    "another size": lambda d: proof(d).update(treeSize=str(int(proof(d)["treeSize"]) + 1)),
    "no proof": lambda d: entry(d).pop("inclusionProof"),
    "no checkpoint": lambda d: proof(d).pop("checkpoint"),
    "another body": lambda d: entry(d).update(
        canonicalizedBody=flipped(entry(d)["canonicalizedBody"], 40)
    ),
    "another kind": lambda d: entry(d)["kindVersion"].update(kind="intoto"),
    "another version": lambda d: entry(d)["kindVersion"].update(version="0.0.3"),
    "two entries": lambda d: material(d).update(tlogEntries=[entry(d)] * 2),
    "no list": lambda d: material(d).update(tlogEntries={"0": entry(d)}),
}


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_log_entry_that_was_changed(signed: Signed, version: str, what: str) -> None:
    document = signed.document([signed.stamp()], [getattr(signed, version)()])
    assert signed.times(document)
    bent = copy.deepcopy(document)
    CHANGES[what](bent)
    refused(signed, bent)


def test_the_promise_is_of_this_time(signed: Signed) -> None:
    document = signed.document([signed.stamp()], [signed.v1()])
    later = str(int((T - SECOND).timestamp()))
    bends: list[Change] = [
        lambda d: entry(d).update(integratedTime=later),
        lambda d: entry(d).update(logIndex=str(int(entry(d)["logIndex"]) + 1)),
        lambda d: entry(d).pop("integratedTime"),
        lambda d: entry(d)["inclusionPromise"].update(
            signedEntryTimestamp=flipped(entry(d)["inclusionPromise"]["signedEntryTimestamp"], 9)
        ),
    ]
    for bend in bends:
        bent = copy.deepcopy(document)
        bend(bent)
        refused(signed, bent)
    unpromised = copy.deepcopy(document)
    del entry(unpromised)["inclusionPromise"]
    assert signed.times(unpromised) == [T]  # the timestamp's
    material(unpromised).pop("timestampVerificationData")
    assert signed.times(unpromised) == []


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_forged_checkpoint(signed: Signed, stranger: LocalSigstore, version: str) -> None:
    document = signed.document([signed.stamp()], [getattr(signed, version)()])
    log = signed.stack.rekor1 if version == "v1" else signed.stack.rekor2
    other = stranger.rekor1 if version == "v1" else stranger.rekor2
    size, root = int(proof(document)["treeSize"]), log.tree.root()
    forged = [
        log.note(size + 1, root),  # by the log itself, of another tree
        log.note(size, sha256(b"another")),
        other.note(size, root),  # of the right tree, by another log
        log.note(size, root).replace(b64(log.log_id[:4])[:5], b64(other.log_id[:4])[:5]),
        log.note(size, root).partition("\n\n")[0] + "\n\n",
        "",
    ]
    for note in forged:
        bent = copy.deepcopy(document)
        proof(bent)["checkpoint"] = {"envelope": note}
        refused(signed, bent)


@pytest.mark.parametrize("off", [-SECOND, 0 * SECOND, SECOND])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_log_key_out_of_its_window(signed: Signed, version: str, off: timedelta) -> None:
    root = signed.stack.trusted_root_json()
    for log in root["tlogs"]:
        log["publicKey"]["validFor"] = {"start": rfc3339(T), "end": rfc3339(T)}
    data, time = json.dumps(root).encode(), T + off
    entries = [signed.v1(time) if version == "v1" else signed.v2()]
    document = signed.document([signed.stamp(time)], entries)
    if off:
        with pytest.raises(SignatureRefused, match="not in use"):
            signed.times(document, data)
    else:
        assert set(signed.times(document, data)) == {time}


def test_a_root_that_is_none(signed: Signed) -> None:
    document = signed.document([signed.stamp()])
    for odd in (b"", b"{}", b"null", b"\xff"):
        with pytest.raises(SignatureRefused, match="not verified"):
            signed.times(document, odd)


def test_a_crash_inside_a_library_is_no_time(
    signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rfc3161_client

    panic = type("PanicException", (BaseException,), {})
    document = signed.document([signed.stamp()])
    for error in (ValueError("a\nb"), RecursionError(), panic()):

        def crash(*_: object, error: BaseException = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(rfc3161_client, "decode_timestamp_response", crash)
            refused(signed, document, "not verified")


def test_keyless_bundles_are_not_dated_here(stack: LocalSigstore) -> None:
    bundle = Bundle.parse(raw(good(stack, 2)))
    assert not dating.has_evidence(bundle)
    with pytest.raises(SignatureRefused, match="certificate"):
        dating.witnesses(bundle, "0" * 64, stack.trusted_root())
