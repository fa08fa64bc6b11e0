"""TUF metadata: building, signing and reading it, with python-tuf and our signers.

https://theupdateframework.github.io/specification/latest/
Whatever the library raises becomes one of our errors here.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from cryptography.hazmat.primitives import serialization
from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]
from tuf.api.metadata import (
    TOP_LEVEL_ROLE_NAMES,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from stemma_attestations.errors import BadKey, StemmaError
from stemma_attestations.keys import PublicKey
from stemma_attestations.times import format_time, parse_time
from stemma_registry.errors import Damaged, Refused
from stemma_registry.signing import KeyHolder

SCHEMES = ("ecdsa-sha2-nistp256", "ed25519")
SIGNED_AT = "stemma-signed-at"  # a field of ours in the signed part of a timestamp
T = TypeVar("T", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True)
class Keys:
    """Who signs online. `timestamp` may be a key of its own, which can do nothing else.

    Whoever has that one only can refresh a feed, as long as nothing changes.
    """

    online: KeyHolder | None
    timestamp: KeyHolder


@dataclass(frozen=True)
class Lifetimes:
    """How long each file counts from when it is signed."""

    timestamp: timedelta = timedelta(minutes=15)
    targets: timedelta = timedelta(days=30)  # and the snapshot
    root: timedelta = timedelta(days=365)


@contextlib.contextmanager
def read_as(what: str) -> Iterator[None]:
    """Whatever goes wrong in reading other people's metadata is Damaged."""
    try:
        yield
    except StemmaError:
        raise
    except Exception as error:  # the library's errors have no common root
        reason = " ".join(str(error).split())[:200]
        raise Damaged(f"{what} of the feed: {reason or type(error).__name__}") from error


def parse(raw: bytes, kind: type[T], what: str) -> Metadata[T]:
    """Metadata of a kind; its signatures are not checked. Raises Damaged."""
    with read_as(what):
        found: Metadata[Any] = Metadata.from_bytes(raw)
        if not isinstance(found.signed, kind):
            raise Damaged(f"{what} of the feed is a {found.signed.type}")
        return found


def tuf_key(public: PublicKey) -> SSlibKey:
    """A public key as TUF names it. Raises BadKey."""
    if public.scheme not in SCHEMES:
        raise BadKey(f"key {public.id[:12]}: a feed is signed with ECDSA P-256 or Ed25519")
    return SSlibKey.from_crypto(serialization.load_der_public_key(public.der))


def signed(metadata: Metadata[T], holders: Iterable[KeyHolder]) -> bytes:
    """The file, signed by all of them, each signature checked. Raises as signers do."""
    message = metadata.signed_bytes
    metadata.signatures.clear()
    for holder in holders:
        key = tuf_key(holder.public)
        signature = holder.sign_bytes(message)
        holder.public.verify(signature, message)  # none that is wrong leaves this machine
        metadata.signatures[key.keyid] = Signature(key.keyid, signature.hex())
    return bytes(metadata.to_bytes(JSONSerializer(compact=True)))


def new_root(
    roots: Sequence[PublicKey], threshold: int, online: Mapping[str, PublicKey], expires: datetime
) -> Root:
    """Version 1 of a root. Raises Refused, BadKey."""
    root = Root(version=1, expires=whole(expires), consistent_snapshot=True)
    for name in TOP_LEVEL_ROLE_NAMES:
        root.roles[name] = Role([], 1)
    for public in roots:
        root.add_key(tuf_key(public), Root.type)
    for role, public in online.items():
        root.add_key(tuf_key(public), role)
    set_threshold(root, threshold)
    return root


def set_threshold(root: Root, threshold: int) -> None:
    """How many root keys must sign. Raises Refused."""
    keys = set(root.roles[Root.type].keyids)
    if not 1 <= threshold <= len(keys):
        raise Refused(f"a threshold of {threshold} with {len(keys)} root keys is not possible")
    online = {i for name in ("targets", "snapshot", "timestamp") for i in root.roles[name].keyids}
    if keys & online:
        raise Refused("a root key must not be an online key as well: keep it offline")
    root.roles[Root.type].threshold = threshold


def check_next(before: Metadata[Root] | None, raw: bytes, what: str) -> Metadata[Root]:
    """A root that follows `before` (None: the first), signed as TUF asks. Raises Damaged."""
    after = parse(raw, Root, what)
    with read_as(what):
        trusted = before or after
        trusted.signed.verify_delegate(Root.type, after.signed_bytes, after.signatures)
        after.signed.verify_delegate(Root.type, after.signed_bytes, after.signatures)
        if before is not None and after.signed.version != before.signed.version + 1:
            raise Damaged(f"{what} of the feed has version {after.signed.version}")
    return after


def meta_file(version: int, raw: bytes) -> MetaFile:
    """How one file names another."""
    return MetaFile(version, len(raw), {"sha256": sha256_hex(raw)})


def target_file(name: str, raw: bytes) -> TargetFile:
    """How the targets name a file."""
    return TargetFile(len(raw), {"sha256": sha256_hex(raw)}, name)


def sha256_hex(raw: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(raw).hexdigest()


def signed_at(timestamp: Timestamp) -> datetime:
    """When a timestamp was signed, as it says itself. Raises Damaged."""
    with read_as("the timestamp"):
        return parse_time(timestamp.unrecognized_fields[SIGNED_AT])


def new_timestamp(
    version: int, snapshot: MetaFile, now: datetime, lifetime: timedelta
) -> Timestamp:
    """A timestamp that says when it was signed."""
    return Timestamp(
        version=version,
        expires=whole(now + lifetime),
        snapshot_meta=snapshot,
        unrecognized_fields={SIGNED_AT: format_time(now)},
    )


def whole(time: datetime) -> datetime:
    """TUF writes times to the second, in UTC."""
    return time.astimezone(UTC).replace(microsecond=0)
