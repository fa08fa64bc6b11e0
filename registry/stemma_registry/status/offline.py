"""Root keys: making a feed, and changing who may sign it. For people, with offline keys.

    status/feed/N.root.json   signed as the one before asks, and as it asks itself

A new version is put only where none is, so that two people who change the root at
once do not both believe that they did.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import Metadata, Root

from stemma_attestations.errors import Malformed
from stemma_attestations.keys import PublicKey
from stemma_registry.blobs.contract import Store
from stemma_registry.config import LIMITS
from stemma_registry.errors import AlreadyThere, Damaged, NotFound, Refused
from stemma_registry.signing import KeyHolder
from stemma_registry.status.documents import FOLDER
from stemma_registry.status.metadata import (
    Keys,
    Lifetimes,
    check_next,
    new_root,
    set_threshold,
    signed,
    tuf_key,
    whole,
)

ONLINE = ("targets", "snapshot", "timestamp")
_THERE = "there is a status feed in this registry already"
MOST_ROOTS = 256  # as many as the TUF client follows


@dataclass(frozen=True)
class Change:
    """What a new root has that the old one had not. None, or nothing: it stays."""

    add: Sequence[PublicKey] = ()
    remove: Sequence[str] = ()  # ids, or at least eight digits of one
    threshold: int | None = None
    online: PublicKey | None = None
    timestamp: PublicKey | None = None


def root_key(version: int) -> str:
    """Where a root lies."""
    return f"{FOLDER}{version}.root.json"


def refuse_another(store: Store) -> None:
    """Make sure that there is no feed beside this ledger yet. Raises AlreadyThere."""
    try:
        store.read(root_key(1))
    except NotFound:
        return
    raise AlreadyThere(_THERE)


def newest(store: Store) -> tuple[Metadata[Root], bytes]:
    """The last root, held against all before it; its bytes too. Raises NotFound, Damaged."""
    found: tuple[Metadata[Root], bytes] | None = None
    for version in range(1, MOST_ROOTS + 2):
        try:
            raw = store.read(root_key(version))
        except NotFound:
            break
        if len(raw) > LIMITS.feed_root_bytes:
            raise Damaged(f"root {version} of the feed has {len(raw)} bytes")
        found = check_next(found[0] if found else None, raw, f"root {version}"), raw
    if found is None:
        raise NotFound("there is no status feed in this registry (`stemma feed init`)")
    return found


def initialise(
    store: Store,
    roots: Sequence[KeyHolder],
    threshold: int,
    keys: tuple[PublicKey, PublicKey],
    now: datetime,
    lifetimes: Lifetimes,
) -> bytes:
    """Make the first root, and put it; its bytes, which every gate pins.

    `keys` are those of targets and snapshot, and of the timestamp. Raises
    AlreadyThere, Refused, BadKey and as signers do.
    """
    online = dict(zip(ONLINE, (keys[0], keys[0], keys[1]), strict=True))
    publics = [holder.public for holder in roots]
    root = new_root(publics, threshold, online, now + lifetimes.root)
    raw = signed(Metadata(root), roots)
    check_next(None, raw, "the root")
    try:
        store.create(root_key(1), raw)
    except AlreadyThere as error:
        raise AlreadyThere(_THERE) from error
    return raw


def rotate(
    store: Store,
    signers: Sequence[KeyHolder],
    change: Change,
    now: datetime,
    lifetimes: Lifetimes,
) -> bytes:
    """Put the next root, signed by enough keys of the old one and of the new one; its bytes.

    Raises Refused where they are not enough, NotFound, Damaged and as signers do.
    """
    before, _ = newest(store)
    root = copy.deepcopy(before.signed)
    root.version += 1
    if root.version > MOST_ROOTS:
        raise Refused(f"after {MOST_ROOTS} roots a feed is made anew")
    root.expires = whole(now + lifetimes.root)
    for public in change.add:
        root.add_key(tuf_key(public), Root.type)
    for text in change.remove:
        root.revoke_key(_root_key_of(before.signed, text), Root.type)
    if change.online is not None:
        _replace(root, ("targets", "snapshot"), change.online)
    # A feed whose online key signs everything goes on so.
    roles = before.signed.roles
    same = roles["timestamp"].keyids == roles["targets"].keyids
    timestamp = change.timestamp or (change.online if same else None)
    if timestamp is not None:
        _replace(root, ("timestamp",), timestamp)
    set_threshold(root, change.threshold or before.signed.roles[Root.type].threshold)
    known = {*before.signed.roles[Root.type].keyids, *root.roles[Root.type].keyids}
    for holder in signers:
        if tuf_key(holder.public).keyid not in known:
            raise Refused(f"key {holder.public.id[:12]} is no root key of the feed")
    after = Metadata(root)
    raw = signed(after, signers)
    for which, judge in (("old", before.signed), ("new", root)):
        found = judge.get_verification_result(Root.type, after.signed_bytes, after.signatures)
        if not found.verified:
            raise Refused(
                f"the {which} root asks for {found.threshold} signatures of its keys, and "
                f"{len(found.signed)} are here"
            )
    try:
        store.create(root_key(root.version), raw)
    except AlreadyThere as error:
        raise Refused(
            "somebody else has changed the root meanwhile; look, and try again"
        ) from error
    return raw


def _replace(root: Root, roles: Sequence[str], public: PublicKey) -> None:
    for role in roles:
        for keyid in list(root.roles[role].keyids):
            root.revoke_key(keyid, role)
        root.add_key(tuf_key(public), role)


def _root_key_of(root: Root, text: str) -> str:
    found = [keyid for keyid in root.roles[Root.type].keyids if keyid.startswith(text)]
    if len(text) < 8 or len(found) != 1:
        raise Malformed(f"{text!r:.80} names no root key of the feed (see `stemma feed show`)")
    return found[0]


def may_sign(root: Root, keys: Keys) -> None:
    """Make sure that these are the feed's online keys. Raises Refused."""
    wanted = [("timestamp", keys.timestamp)]
    if keys.online is not None:
        wanted += [("targets", keys.online), ("snapshot", keys.online)]
    for role, holder in wanted:
        if tuf_key(holder.public).keyid not in root.roles[role].keyids:
            raise Refused(f"key {holder.public.id[:12]} is not the feed's key for its {role}")
