"""Verify a bundle about one file with a key that the caller has, instead of a certificate.

A key's signature is good without a log. But what a bundle says of a log has to be true
in every detail where a trusted root is there to judge it: nobody asked for an entry of
another signature, or for a proof that does not hold.
"""

from __future__ import annotations

from stemma_attestations import log_record
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, SignatureRefused
from stemma_attestations.guarding import guarded
from stemma_attestations.keys import PublicKey
from stemma_attestations.log_entry import LogEntry
from stemma_attestations.message import MessageBundle, is_message
from stemma_attestations.statement import Statement
from stemma_attestations.trusted_root import TrustedRoot


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
        signature, logged = (
            bundle.envelope.signatures[0].sig,
            log_record.of_envelope(bundle.envelope),
        )
    else:
        _verify_message(bundle, artifact, digest, key)
        signature, logged = bundle.signature, log_record.of_message(digest)
    if trusted_root is not None and bundle.material.get("tlogEntries"):
        entry, root = LogEntry.parse(bundle.material), TrustedRoot.parse(trusted_root)
        _check_log(entry, signature, root)
        log_record.read(entry).check(logged, signature, key.id)
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


def _check_log(entry: LogEntry, signature: bytes, root: TrustedRoot) -> None:
    log = root.log(entry.log_id)
    entry.check_inclusion()
    entry.check_checkpoint(log.key)
    promised = entry.check_promise(log.key)
    for time in (*root.timestamps(entry.timestamps, signature), *([promised] if promised else [])):
        log.check_open(time)
