"""What a bundle says about its place in a transparency log, read strictly.

https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_rekor.proto
Checkpoints are https://c2sp.org/tlog-checkpoint in the notes of https://c2sp.org/signed-note.

sigstore's reader drops characters that are not base64, takes digits of every script
and does not compare the checkpoint's size with the proof's. This one does not.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stemma_attestations import canonical
from stemma_attestations.envelope import unbase64
from stemma_attestations.errors import BadBundle, BadEnvelope, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.merkle import leaf_hash, root_of_path

MAX_TIMESTAMPS = 32
MAX_CHECKPOINT = 64 * 1024  # characters: the log's signature and those of witnesses
MAX_HASHES = 64  # levels of a tree of 2**63 entries, and one to spare
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")
_HASH_BYTES = 32
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_MARK = "\u2014 "  # begins a signature line of a note


@dataclass(frozen=True)
class LogEntry:
    """One log entry with its inclusion proof, and the timestamps beside it.

    Nothing in it is verified. `index`, `tree_size`, `root_hash` and `path` are the
    inclusion proof's; `number` is the index outside it. `integrated` is signed by the
    log only where there is a `promise` (SET).
    """

    log_id: bytes
    kind: str
    index: int
    tree_size: int
    root_hash: bytes
    path: tuple[bytes, ...]
    checkpoint: str
    body: bytes
    number: int
    integrated: datetime | None
    promise: bytes | None
    timestamps: tuple[bytes, ...]  # RFC 3161 responses

    @classmethod
    def parse(cls, material: Mapping[str, Any]) -> LogEntry:
        """Read the verification material of a bundle. Raises BadBundle."""
        entries = material.get("tlogEntries")
        if not isinstance(entries, list) or len(entries) != 1:
            raise BadBundle("a keyless bundle has exactly one log entry")
        entry = _object(entries[0], "log entry")
        proof = _object(entry.get("inclusionProof"), "inclusion proof")
        kind = _object(entry.get("kindVersion"), "log entry's kind")
        promise = entry.get("inclusionPromise")
        if promise is not None:
            promised = _object(promise, "inclusion promise").get("signedEntryTimestamp")
            promise = _bytes(promised, "inclusion promise")
        hashes = proof.get("hashes", [])
        if not isinstance(hashes, list) or len(hashes) > MAX_HASHES:
            raise BadBundle(f"an inclusion proof's hashes are a list of at most {MAX_HASHES}")
        checkpoint = _text(_object(proof.get("checkpoint"), "checkpoint"), "envelope")
        if len(checkpoint) > MAX_CHECKPOINT:
            raise BadBundle(f"a checkpoint of more than {MAX_CHECKPOINT} characters")
        index = _number(proof.get("logIndex"), "log index")
        size = _number(proof.get("treeSize"), "tree size")
        if index >= size:
            raise BadBundle(f"log index {index} is not in a tree of {size}")
        return cls(
            log_id=_bytes(_object(entry.get("logId"), "log id").get("keyId"), "log id"),
            kind=f"{_text(kind, 'kind')}/{_text(kind, 'version')}",
            index=index,
            tree_size=size,
            root_hash=_hash(proof.get("rootHash")),
            path=tuple(_hash(node) for node in hashes),
            checkpoint=checkpoint,
            integrated=_integrated(entry.get("integratedTime")),
            body=_bytes(entry.get("canonicalizedBody"), "log entry's body"),
            number=_number(entry.get("logIndex"), "log index"),
            promise=promise,
            timestamps=timestamps(material),
        )

    @property
    def promised(self) -> bool:
        """Whether the log has signed the integrated time."""
        return self.promise is not None

    def check_inclusion(self) -> None:
        """Check that the body is in the tree of the inclusion proof. Raises SignatureRefused."""
        leads_to = root_of_path(self.index, self.tree_size, leaf_hash(self.body), self.path)
        if leads_to != self.root_hash:
            raise SignatureRefused("the inclusion proof does not lead to its root hash")

    def check_promise(self, key: PublicKey) -> datetime | None:
        """The time that the log promised (in a SET), None without a promise.

        https://github.com/sigstore/rekor/blob/main/openapi.yaml: over canonical JSON.
        Raises SignatureRefused.
        """
        if self.promise is None:
            return None
        if self.integrated is None:
            raise SignatureRefused("the log's promise has no time")
        promised = {
            "body": base64.b64encode(self.body).decode("ascii"),
            "integratedTime": int(self.integrated.timestamp()),
            "logID": self.log_id.hex(),
            "logIndex": self.number,
        }
        key.verify(self.promise, canonical.dumps(promised))
        return self.integrated

    def check_checkpoint(self, key: PublicKey) -> None:
        """Check that the log signed this very tree: its size and its root hash.

        Raises SignatureRefused.
        """
        text, blank, signatures = self.checkpoint.partition("\n\n")
        lines = text.split("\n")
        if not blank or len(lines) < 3 or not signatures.endswith("\n"):
            raise SignatureRefused("the checkpoint is not a signed note")
        if lines[1] != str(self.tree_size) or _decoded(lines[2]) != self.root_hash:
            raise SignatureRefused("the checkpoint is of another tree than the inclusion proof")
        found = [_decoded(line.rpartition(" ")[2]) for line in signatures[:-1].split("\n")]
        marked = all(line.startswith(_MARK) for line in signatures[:-1].split("\n"))
        ours = [data[4:] for data in found if data[:4] == self.log_id[:4]]
        if not marked or len(ours) != 1:
            raise SignatureRefused("the checkpoint is not signed once by the log")
        key.verify(ours[0], f"{text}\n".encode())


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadBundle(f"a bundle's {what} is an object")
    return value


def _text(obj: Mapping[str, Any], field: str) -> str:
    value = obj.get(field)
    if not isinstance(value, str) or not value:
        raise BadBundle(f"a log entry's {field} is text")
    return value


def _number(value: Any, what: str) -> int:
    """A uint64 as protobuf's JSON writes it: decimal text."""
    if not isinstance(value, str) or not _NUMBER.match(value):
        raise BadBundle(f"a {what} is a decimal number in text")
    return int(value)


def _bytes(value: Any, what: str) -> bytes:
    try:
        return unbase64(value, what)
    except BadEnvelope as error:
        raise BadBundle(f"a bundle's {what} is not canonical base64") from error


def _hash(value: Any) -> bytes:
    data = _bytes(value, "hash")
    if len(data) != _HASH_BYTES:
        raise BadBundle("a hash of an inclusion proof has 32 bytes")
    return data


def _decoded(text: str) -> bytes:
    try:
        return unbase64(text, "checkpoint")
    except BadEnvelope as error:
        raise SignatureRefused("the checkpoint is not canonical base64") from error


def _integrated(value: Any) -> datetime | None:
    if value is None:
        return None
    seconds = _number(value, "integrated time")
    if seconds > _LAST_SECOND:
        raise BadBundle("an integrated time that no calendar has")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def timestamps(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The RFC 3161 responses in a bundle's verification material. Raises BadBundle."""
    value = material.get("timestampVerificationData")
    if value is None:
        return ()
    stamps = _object(value, "timestamps").get("rfc3161Timestamps", [])
    if not isinstance(stamps, list) or len(stamps) > MAX_TIMESTAMPS:
        raise BadBundle(f"a bundle's timestamps are a list of at most {MAX_TIMESTAMPS}")
    return tuple(
        _bytes(_object(stamp, "timestamp").get("signedTimestamp"), "timestamp") for stamp in stamps
    )
