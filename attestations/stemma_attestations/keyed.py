"""Verify a bundle about one file with a key that the caller has, instead of a certificate.

A key's signature is good without a log. But what a bundle says of a log has to be true
in every detail where a trusted root is there to judge it: nobody asked for an entry of
another signature, or for a proof that does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import unbase64
from stemma_attestations.errors import BadBundle, SignatureRefused
from stemma_attestations.guarding import guarded
from stemma_attestations.keys import PublicKey
from stemma_attestations.log_entry import LogEntry
from stemma_attestations.message import MessageBundle, is_message
from stemma_attestations.statement import Statement
from stemma_attestations.trusted_root import TrustedRoot

_BODY_BYTES = 1024 * 1024


def verify_artifact(
    raw: bytes, artifact: bytes | Digest, key: PublicKey, trusted_root: bytes | None = None
) -> Statement | None:
    """Verify a bundle that is to be about these bytes, or the bytes with this SHA-256.

    They are the message that was signed (None is returned), or a subject of the statement.
    A log entry must hold under the trusted root, if one is given. Raises UnknownLog,
    SignatureRefused.
    """
    return guarded(lambda: _verify(raw, artifact, key, trusted_root))


def _verify(
    raw: bytes, artifact: bytes | Digest, key: PublicKey, trusted_root: bytes | None
) -> Statement | None:
    digest = artifact if isinstance(artifact, Digest) else Digest.of(artifact)
    statement: Statement | None = None
    bundle: Bundle | MessageBundle
    try:
        bundle = MessageBundle.parse(raw) if is_message(raw) else Bundle.parse(raw)
    except BadBundle as error:
        raise SignatureRefused(str(error)) from error
    if isinstance(bundle, Bundle):
        statement = bundle.verify(key)
        if not statement.subjects_about(digest):
            raise SignatureRefused("its statement is about other bytes")
        signature, logged = bundle.envelope.signatures[0].sig, _statement_records(bundle)
    else:
        _verify_message(bundle, artifact, digest, key)
        signature, logged = bundle.signature, _message_records(digest)
    if trusted_root is not None and bundle.material.get("tlogEntries"):
        entry, root = LogEntry.parse(bundle.material), TrustedRoot.parse(trusted_root)
        _check_log(entry, signature, root)
        if _record(entry, logged) != (signature, key):
            raise SignatureRefused("the log entry is of another signature")
    return statement


def _verify_message(
    bundle: MessageBundle, artifact: bytes | Digest, digest: Digest, key: PublicKey
) -> None:
    if bundle.certificate is not None:
        raise SignatureRefused("the bundle has a certificate: no key verifies it")
    if bundle.hint not in key.hints:
        raise SignatureRefused(f"the bundle names key {bundle.hint:.12}, not {key.id[:12]}")
    bundle.check_digest(digest)
    key.verify_blob(bundle.signature, artifact)


def _message_records(digest: Digest) -> dict[str, str]:
    """Kind of a log entry -> the digest (hex) that it must record."""
    return {"hashedrekord/0.0.1": digest.value, "hashedrekord/0.0.2": digest.value}


def _statement_records(bundle: Bundle) -> dict[str, str]:
    """The same of an envelope: of the payload, or of what is signed."""
    return {
        "dsse/0.0.1": Digest.of(bundle.envelope.payload).value,
        "hashedrekord/0.0.2": Digest.of(bundle.envelope.signed_bytes).value,
    }


def _record(entry: LogEntry, logged: Mapping[str, str]) -> tuple[bytes, PublicKey] | None:
    """The signature and the key that an entry records, None where it is of another digest."""
    if entry.kind not in logged:
        raise SignatureRefused(f"log entries of kind {entry.kind} are not read")
    body = json_strict.load_object(entry.body, max_bytes=_BODY_BYTES)
    if f"{body.get('kind')}/{body.get('apiVersion')}" != entry.kind:
        raise SignatureRefused("the log entry's body is of another kind")
    digest, signature, verifier = _RECORDS[entry.kind](_at(body, "spec"))
    return (signature, PublicKey.parse(verifier)) if digest == logged[entry.kind] else None


def _check_log(entry: LogEntry, signature: bytes, root: TrustedRoot) -> None:
    log = root.log(entry.log_id)
    entry.check_inclusion()
    entry.check_checkpoint(log.key)
    promised = entry.check_promise(log.key)
    for time in (*root.timestamps(entry.timestamps, signature), *([promised] if promised else [])):
        log.check_open(time)


def _record_v1(spec: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    """https://github.com/sigstore/rekor/tree/main/pkg/types/hashedrekord/v0.0.1."""
    said, signature = _at(_at(spec, "data"), "hash"), _at(spec, "signature")
    public = unbase64(_at(signature, "publicKey").get("content"), "public key")
    digest = str(said.get("value")) if said.get("algorithm") == "sha256" else ""
    return digest, unbase64(signature.get("content"), "signature"), public


def _record_v2(spec: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    """https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md."""
    record = _at(spec, "hashedRekordV002")
    said, signature = _at(record, "data"), _at(record, "signature")
    public = _at(_at(signature, "verifier"), "publicKey")
    digest = ""
    if said.get("algorithm") == "SHA2_256":
        digest = unbase64(said.get("digest"), "digest").hex()
    der = unbase64(public.get("rawBytes"), "public key")
    return digest, unbase64(signature.get("content"), "signature"), der


def _record_dsse(spec: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    """https://github.com/sigstore/rekor/tree/main/pkg/types/dsse/v0.0.1."""
    said, signatures = _at(spec, "payloadHash"), spec.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise SignatureRefused("the log entry is not of one signature")
    found = _at({"signature": signatures[0]}, "signature")
    digest = str(said.get("value")) if said.get("algorithm") == "sha256" else ""
    public = unbase64(found.get("verifier"), "public key")
    return digest, unbase64(found.get("signature"), "signature"), public


def _at(obj: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = obj.get(field)
    if not isinstance(value, dict):
        raise SignatureRefused(f"a log entry's {field} is an object")
    return value


# Kind -> the digest (hex), the signature and the key that such an entry records.
_RECORDS = {
    "dsse/0.0.1": _record_dsse,
    "hashedrekord/0.0.1": _record_v1,
    "hashedrekord/0.0.2": _record_v2,
}
