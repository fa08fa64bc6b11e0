"""Logs, authorities and trusted roots that do not vouch for this bundle; and changed bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stemma_attestations import keyless
from stemma_attestations.errors import SignatureRefused, UnknownLog
from tests.sigstore.encoding import b64, rfc3339, sha256, spki, unb64
from tests.sigstore.forge import raw
from tests.sigstore.rekor import RekorV1
from tests.sigstore.scene import (
    STATEMENT,
    Document,
    bent,
    both,
    entry,
    flipped,
    good,
    material,
    proof,
    refused,
    statement,
)
from tests.sigstore.stack import LocalSigstore


@pytest.fixture(scope="module")
def stranger() -> Any:
    """Another instance, as real, whom nobody trusts."""
    stack = LocalSigstore()
    yield stack
    stack.close()


def packed(root: dict[str, Any]) -> bytes:
    return json.dumps(root).encode()


# --- the log entry --------------------------------------------------------------------------


@both
def test_the_log_entry_of_another_bundle(sigstore: LocalSigstore, rekor: int) -> None:
    mine, other = good(sigstore, rekor), good(sigstore, rekor, payload=statement(2).raw)
    material(mine)["tlogEntries"] = material(other)["tlogEntries"]
    refused(mine, sigstore.trusted_root())


@both
def test_the_log_entry_of_the_same_statement_signed_again(
    sigstore: LocalSigstore, rekor: int
) -> None:
    mine, other = good(sigstore, rekor), good(sigstore, rekor)
    material(mine)["tlogEntries"] = material(other)["tlogEntries"]
    refused(mine, sigstore.trusted_root())


@both
def test_no_log_entry_or_several(sigstore: LocalSigstore, rekor: int) -> None:
    root, document = sigstore.trusted_root(), good(sigstore, rekor)
    for entries in ([], [entry(document)] * 2, None, {}, [None], [[]]):
        refused(bent(document, lambda d, e=entries: material(d).update(tlogEntries=e)), root)
    refused(bent(document, lambda d: material(d).pop("tlogEntries")), root)


def test_an_entry_of_a_kind_that_says_less(sigstore: LocalSigstore) -> None:
    """Since Rekor v2 logs DSSE as hashedrekord, `dsse/0.0.2` is nothing that is written."""
    document = good(sigstore, 2)
    body = json.loads(unb64(entry(document)["canonicalizedBody"]))
    payload = {"algorithm": "SHA2_256", "digest": b64(sha256(STATEMENT.raw))}
    signatures = [body["spec"]["hashedRekordV002"]["signature"]]
    spec = {"dsseV002": {"payloadHash": payload, "signatures": signatures}}
    material(document)["tlogEntries"] = [sigstore.rekor2.entry(spec, "dsse")]
    refused(document, sigstore.trusted_root())


CHANGES: dict[str, Callable[[Document], object]] = {
    "root hash": lambda d: proof(d).update(rootHash=flipped(proof(d)["rootHash"])),
    "a hash of the path": lambda d: proof(d)["hashes"].__setitem__(
        0, flipped(proof(d)["hashes"][0])
    ),
    "a hash too few": lambda d: proof(d)["hashes"].pop(),
    "a hash too many": lambda d: proof(d)["hashes"].append(b64(b"x" * 32)),
    "a short hash": lambda d: proof(d)["hashes"].append(b64(b"x" * 31)),
    "no path": lambda d: proof(d).pop("hashes"),
    "another index": lambda d: proof(d).update(logIndex=str(int(proof(d)["logIndex"]) ^ 1)),
    "an index past the tree": lambda d: proof(d).update(logIndex=proof(d)["treeSize"]),
    "another size": lambda d: proof(d).update(treeSize=str(int(proof(d)["treeSize"]) + 1)),
    "no index": lambda d: proof(d).pop("logIndex"),
    "a number as index": lambda d: proof(d).update(logIndex=int(proof(d)["logIndex"])),
    "a minus": lambda d: proof(d).update(logIndex="-1"),
    "a leading zero": lambda d: proof(d).update(logIndex="0" + proof(d)["logIndex"]),
    "digits of another script": lambda d: proof(d).update(treeSize="\u0663"),
    "an underscore": lambda d: proof(d).update(treeSize="1_0"),
    "no proof": lambda d: entry(d).pop("inclusionProof"),
    "no checkpoint": lambda d: proof(d).pop("checkpoint"),
    "an empty checkpoint": lambda d: proof(d).update(checkpoint={"envelope": ""}),
    "another body": lambda d: entry(d).update(
        canonicalizedBody=flipped(entry(d)["canonicalizedBody"], 40)
    ),
    "no body": lambda d: entry(d).pop("canonicalizedBody"),
    "another kind": lambda d: entry(d)["kindVersion"].update(kind="intoto"),
    "another version": lambda d: entry(d)["kindVersion"].update(version="0.0.3"),
    "a field nobody knows": lambda d: entry(d).update(surprise=1),
}


@both
@pytest.mark.parametrize("what", CHANGES)
def test_a_log_entry_that_was_changed(sigstore: LocalSigstore, rekor: int, what: str) -> None:
    good(sigstore, rekor)  # so that the tree has more than one leaf
    document = good(sigstore, rekor)
    keyless.verify(raw(document), sigstore.trusted_root())
    refused(bent(document, CHANGES[what]), sigstore.trusted_root())


@both
def test_a_field_in_its_other_spelling(sigstore: LocalSigstore, rekor: int) -> None:
    """sigstore reads both names of a field; beside each other they would be two bundles."""
    root, document, other = sigstore.trusted_root(), good(sigstore, rekor), good(sigstore, rekor)
    for change in (
        lambda d: material(d).update(tlog_entries=material(other)["tlogEntries"]),
        lambda d: material(d).update(tlog_entries=material(d).pop("tlogEntries")),
        lambda d: proof(d).update(log_index="0"),
        lambda d: d.update(dsse_envelope=other["dsseEnvelope"]),
        lambda d: d["dsseEnvelope"].update(payload_type=d["dsseEnvelope"].pop("payloadType")),
    ):
        refused(bent(document, change), root)


PROMISES: dict[str, Callable[[Document], object]] = {
    "another time": lambda d: entry(d).update(integratedTime="1700000000"),
    "a later time": lambda d: entry(d).update(
        integratedTime=str(int(entry(d)["integratedTime"]) + 1)
    ),
    "no calendar's time": lambda d: entry(d).update(integratedTime="9" * 18),
    "another global index": lambda d: entry(d).update(logIndex="77"),
    "another promise": lambda d: entry(d)["inclusionPromise"].update(
        signedEntryTimestamp=flipped(entry(d)["inclusionPromise"]["signedEntryTimestamp"], 20)
    ),
    "an empty promise": lambda d: entry(d).update(inclusionPromise={}),
}


@pytest.mark.parametrize("what", PROMISES)
def test_a_promise_that_was_changed(sigstore: LocalSigstore, what: str) -> None:
    refused(bent(good(sigstore, 1), PROMISES[what]), sigstore.trusted_root())


# --- checkpoints ----------------------------------------------------------------------------


def noted(document: Document, change: Callable[[str], str]) -> Document:
    def apply(copy: Document) -> None:
        point = proof(copy)["checkpoint"]
        before = point["envelope"]
        point["envelope"] = change(before)
        assert point["envelope"] != before

    return bent(document, apply)


@both
def test_a_forged_checkpoint(sigstore: LocalSigstore, rekor: int, stranger: LocalSigstore) -> None:
    """Signed by another log; with the key id of ours; with a text or signature changed."""
    root, log, theirs = sigstore.trusted_root(), sigstore.log(rekor), stranger.log(rekor)
    good(sigstore, rekor)
    document = good(sigstore, rekor)
    size, top = int(proof(document)["treeSize"]), unb64(proof(document)["rootHash"])
    refused(noted(document, lambda _: theirs.note(size, top)), root)
    text = log.note(size, top).partition("\n\n")[0] + "\n"
    lent = b64(log.log_id[:4] + theirs.sign(text.encode()))
    refused(noted(document, lambda _: f"{text}\n\u2014 x {lent}\n"), root)
    refused(noted(document, lambda note: note.replace(f"\n{size}\n", f"\n{size + 1}\n", 1)), root)
    refused(noted(document, lambda note: "x" + note), root)
    refused(noted(document, lambda note: note[:-1]), root)
    refused(noted(document, lambda note: note.replace("\u2014", "-")), root)
    refused(noted(document, lambda note: note.partition("\n\n")[0] + "\n\n"), root)
    refused(noted(document, lambda note: note + note.rpartition("\n\n")[2]), root)


@both
def test_a_true_checkpoint_of_another_tree(sigstore: LocalSigstore, rekor: int) -> None:
    root, log = sigstore.trusted_root(), sigstore.log(rekor)
    good(sigstore, rekor)
    document = good(sigstore, rekor)
    size, top = int(proof(document)["treeSize"]), unb64(proof(document)["rootHash"])
    keyless.verify(raw(bent(document, lambda d: None)), root)
    refused(noted(document, lambda _: log.note(size + 1, top)), root, "another tree")
    refused(noted(document, lambda _: log.note(size, sha256(top))), root, "another tree")


def test_a_checkpoint_by_the_other_log_that_we_trust(sigstore: LocalSigstore) -> None:
    """sigstore tries every key it has; the entry's own log must have signed."""
    document = good(sigstore, 2)
    text = proof(document)["checkpoint"]["envelope"].partition("\n\n")[0] + "\n"
    signature = sigstore.rekor1.sign(text.encode())
    lent = b64(sigstore.rekor2.log_id[:4] + signature)
    refused(noted(document, lambda _: f"{text}\n\u2014 x {lent}\n"), sigstore.trusted_root())


def test_a_witness_may_sign_beside_the_log(sigstore: LocalSigstore) -> None:
    document = good(sigstore, 2)
    witness = f"\u2014 witness {b64(b'abcd' + b'x' * 72)}\n"
    keyless.verify(raw(noted(document, lambda note: note + witness)), sigstore.trusted_root())


# --- roots ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("tlogs", UnknownLog),
        ("ctlogs", UnknownLog),
        ("certificateAuthorities", SignatureRefused),
        ("timestampAuthorities", SignatureRefused),
    ],
)
def test_a_root_with_one_part_of_a_stranger(
    sigstore: LocalSigstore,
    stranger: LocalSigstore,
    rekor: int,
    part: str,
    kind: type[SignatureRefused],
) -> None:
    """Each part is needed: a stranger's CA, log, CT log or TSA vouches for nothing."""
    document = good(sigstore, rekor, promised=part != "timestampAuthorities")
    root = sigstore.trusted_root_json()
    keyless.verify(raw(document), packed(root))
    refused(document, packed({**root, part: stranger.trusted_root_json()[part]}), kind=kind)
    with pytest.raises(SignatureRefused):
        keyless.verify(raw(document), packed({**root, part: []}))


@both
def test_a_root_that_is_too_old_says_so(sigstore: LocalSigstore, rekor: int) -> None:
    root = sigstore.trusted_root_json()
    root["tlogs"] = [root["tlogs"][2 - rekor]]  # knows the other log only
    refused(good(sigstore, rekor), packed(root), "too old for this log", UnknownLog)


@both
@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_what_was_not_in_use_at_the_time(sigstore: LocalSigstore, rekor: int, part: str) -> None:
    """At the boundary seconds; sigstore itself compares these windows with now, not then."""
    now = datetime.now(UTC).replace(microsecond=0)
    document = good(sigstore, rekor, stamp_time=now, log_time=int(now.timestamp()))
    second, hour = timedelta(seconds=1), timedelta(hours=1)
    slack = timedelta(seconds=5) if part == "ctlogs" else timedelta(0)  # the SCT's own clock
    for start, end, in_use in [
        (now - hour, now + slack, True),
        (now - hour, now - second - slack, False),
        (now - slack, now + hour, True),
        (now + second + slack, now + hour, False),
    ]:
        root = sigstore.trusted_root_json()
        for item in root[part]:
            owner = item if part == "certificateAuthorities" else item["publicKey"]
            owner["validFor"] = {"start": rfc3339(start), "end": rfc3339(end)}
        if in_use:
            keyless.verify(raw(document), packed(root))
        else:
            refused(document, packed(root), "in use" if start <= now else None)


def test_a_timestamp_authority_that_was_not_in_use(sigstore: LocalSigstore) -> None:
    root = sigstore.trusted_root_json()
    past = rfc3339(datetime.now(UTC) - timedelta(hours=1))
    root["timestampAuthorities"][0]["validFor"]["end"] = past
    refused(good(sigstore, 2), packed(root), "verified time")
    assert keyless.verify(raw(good(sigstore, 1)), packed(root)).timestamps == ()


ROOTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another type": lambda r: r.update(mediaType="application/json"),
    "no logs": lambda r: r.pop("tlogs"),
    "no authorities": lambda r: r.pop("certificateAuthorities"),
    "a log twice": lambda r: r["tlogs"].append(r["tlogs"][0]),
    "a log without a window": lambda r: r["tlogs"][0]["publicKey"].pop("validFor"),
    "a window without a start": lambda r: r["tlogs"][0]["publicKey"].update(validFor={}),
    "a window that is no time": lambda r: r["tlogs"][0]["publicKey"].update(
        validFor={"start": "yesterday"}
    ),
    "an authority without certificates": lambda r: r["certificateAuthorities"][0].update(
        certChain={"certificates": []}
    ),
    "a certificate that is none": lambda r: r["certificateAuthorities"][0].update(
        certChain={"certificates": [{"rawBytes": "AAAA"}]}
    ),
    "logs that are no list": lambda r: r.update(tlogs={}),
}


@pytest.mark.parametrize("what", ROOTS)
def test_a_root_that_is_none(sigstore: LocalSigstore, what: str) -> None:
    root = sigstore.trusted_root_json()
    ROOTS[what](root)
    with pytest.raises(SignatureRefused):
        keyless.verify(raw(good(sigstore, 1)), packed(root))


@pytest.mark.parametrize("root", [b"", b"{", b"{}", b"[]", b"null", b"\xff"])
def test_bytes_that_are_no_root(sigstore: LocalSigstore, root: bytes) -> None:
    refused(good(sigstore, 2), root)


def test_a_log_with_a_key_of_another_type(sigstore: LocalSigstore) -> None:
    root = sigstore.trusted_root_json()
    root["tlogs"][1]["publicKey"]["rawBytes"] = b64(spki(sigstore.fulcio.root.key))
    refused(good(sigstore, 2), packed(root), "only ECDSA P-256")


def test_a_shard_that_nobody_trusts(sigstore: LocalSigstore) -> None:
    """Everything right, but the log is somebody's own."""
    own = RekorV1("127.0.0.1:1")
    document = good(sigstore, 1)
    body = unb64(entry(document)["canonicalizedBody"])
    material(document)["tlogEntries"] = [own.entry(body, "dsse")]
    refused(document, sigstore.trusted_root(), "too old", UnknownLog)


# --- every byte -----------------------------------------------------------------------------


def changed(data: bytes, step: int) -> list[tuple[int, bytes]]:
    """One byte changed, in one place out of `step`; every place in turn has another value."""
    return [
        (at, data[:at] + bytes([data[at] ^ (1 << (at // step % 7))]) + data[at + 1 :])
        for at in range(0, len(data), step)
    ]


def survivors(data: bytes, root: bytes, step: int) -> list[int]:
    """Places where a changed byte verified, and proved anything that was not proved before.

    A timestamp that no longer verifies is one that could have been left out: it proves less.
    """
    before = keyless.verify(data, root)
    found = []
    for at, other in changed(data, step):
        try:
            after = keyless.verify(other, root)
        except SignatureRefused:
            continue
        less = replace(before, timestamps=after.timestamps)
        if after != less or not set(after.times) <= set(before.times):
            found.append(at)
    return found


@both
def test_a_changed_byte_is_refused_or_changes_nothing(sigstore: LocalSigstore, rekor: int) -> None:
    """What may change without notice proves nothing: names in notes, an outer index of v2."""
    data = raw(good(sigstore, rekor))
    assert survivors(data, sigstore.trusted_root(), 11) == []


@pytest.mark.slow
@both
def test_every_changed_byte_is_refused_or_changes_nothing(
    sigstore: LocalSigstore, rekor: int
) -> None:
    data = raw(good(sigstore, rekor))
    assert survivors(data, sigstore.trusted_root(), 1) == []
