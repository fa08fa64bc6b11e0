"""When a key's signature existed: what logs and timestamp authorities say of a key bundle.

A key bundle is good without any of this; only its time is asked here, of one Sigstore
trusted root at a time. What that root does not know (another instance's log or
authority) counts nothing and disturbs nobody: a bundle may hold evidence of two
instances, and each root speaks for its own. What the root's log *is said* to have seen
must be right in every detail. An entry of another signature, a proof or a checkpoint
that does not hold, a promise that does not verify, or a log whose key was not in use
then takes away every time under that root, the timestamps too: somebody put the
bundle together who is not to be believed about it. The signature itself stays what it
is. To refuse the bundle would let evidence that can only add a time take away a
quarantine.

A Rekor v2 entry gives no time: nobody has signed one. It needs a timestamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from stemma_attestations import log_record
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import Envelope
from stemma_attestations.errors import SignatureRefused, UnknownLog
from stemma_attestations.guarding import guarded
from stemma_attestations.log_entry import LogEntry, timestamps
from stemma_attestations.times import Dated
from stemma_attestations.trusted_root import Log, TrustedRoot

_ROOTS = 32  # kept per process


@dataclass(frozen=True)
class Witness:
    """Who says that the signature existed, and at what time."""

    time: datetime
    by: str


def has_evidence(bundle: Bundle) -> bool:
    """Whether a key bundle says anything about its time."""
    stamps: Any = bundle.material.get("timestampVerificationData")
    return bundle.certificate is None and bool(stamps or bundle.material.get("tlogEntries"))


def witnesses(bundle: Bundle, key_id: str, trusted_root: bytes) -> tuple[Witness, ...]:
    """Who vouches for the time of a key bundle under a trusted root; earliest first.

    The caller has verified the bundle with the key of that id. Empty where the root
    proves no time. Raises UnknownLog where the only evidence is of a log that the root
    does not know, SignatureRefused for evidence that is wrong.
    """
    return guarded(lambda: _witnesses(bundle, key_id, _load(trusted_root)))


def under_roots(
    bundle: Bundle, key_id: str, wanted: Iterable[Digest], roots: Mapping[Digest, bytes]
) -> tuple[Dated, ...]:
    """The earliest time that each of the `wanted` roots proves; wrong evidence proves none.

    `roots` are the bytes of those at hand; bytes that are not a digest's prove nothing.
    """
    if not has_evidence(bundle):
        return ()
    found = []
    for digest in wanted:
        root = roots.get(digest)
        if root is None or Digest.of(root) != digest:
            continue
        try:
            who = witnesses(bundle, key_id, root)
        except SignatureRefused:
            continue
        found += [Dated(witness.time, digest) for witness in who[:1]]
    return tuple(found)


@lru_cache(maxsize=_ROOTS)
def _load(trusted_root: bytes) -> TrustedRoot:
    return TrustedRoot.parse(trusted_root)


def _witnesses(bundle: Bundle, key_id: str, root: TrustedRoot) -> tuple[Witness, ...]:
    if bundle.certificate is not None:
        raise SignatureRefused("the bundle has a certificate: no key verifies it")
    signature = bundle.envelope.signatures[0].sig
    found = [
        Witness(time, f"timestamp authority {authority.subject}")
        for time, authority in root.stamps(timestamps(bundle.material), signature)
    ]
    if bundle.material.get("tlogEntries"):
        entry = LogEntry.parse(bundle.material)
        try:
            log = root.log(entry.log_id)
        except UnknownLog:
            if not found:
                raise
        else:
            promised = _promised(entry, bundle.envelope, key_id, log)
            found += [Witness(promised, f"log {log.url}")] if promised else []
            for witness in found:
                log.check_open(witness.time)
    return tuple(sorted(found, key=lambda witness: (witness.time, witness.by)))


def check_entry(bundle: Bundle, key_id: str) -> None:
    """Hold a bundle's log entry against the bundle, as far as no key of a log is needed.

    For whoever just got it from a log. Raises SignatureRefused.
    """
    guarded(lambda: _gives_time(LogEntry.parse(bundle.material), bundle.envelope, key_id))


def _promised(entry: LogEntry, envelope: Envelope, key_id: str, log: Log) -> datetime | None:
    """Check an entry whole; the time that the log has signed, where it has."""
    gives_time = _gives_time(entry, envelope, key_id)
    entry.check_checkpoint(log.key)
    return entry.check_promise(log.key) if gives_time else None


def _gives_time(entry: LogEntry, envelope: Envelope, key_id: str) -> bool:
    """Check the body and its inclusion; whether such an entry comes with a promised time."""
    wanted, signature = log_record.of_envelope(envelope), envelope.signatures[0].sig
    record = log_record.read(entry)
    entry.check_inclusion()
    record.check(wanted, signature, key_id)
    return record.kind == log_record.DSSE
