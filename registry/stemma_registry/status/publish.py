"""Publishing: target files, targets, snapshot, and then the timestamp, whose swap is the commit.

    status/feed/targets/HASH.head.json   immutable, as all but the timestamp
    status/feed/N.targets.json           names the target files
    status/feed/N.snapshot.json          names the targets
    status/feed/timestamp.json           names the snapshot; swapped for the one that was read

Whoever is killed on the way leaves files that nothing names. Of two publishers one
swaps; the other looks at the ledger again and takes a later version. Versions are
at least the time in seconds, so that a publisher who was shown an old timestamp
does not go on with numbers that readers have left behind.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from stemma_registry.blobs.contract import Store
from stemma_registry.config import LIMITS
from stemma_registry.errors import (
    AlreadyThere,
    Damaged,
    NotFound,
    Refused,
    StoreError,
    Temporary,
    Unanswered,
    Unavailable,
)
from stemma_registry.signing import KeyHolder
from stemma_registry.status import offline
from stemma_registry.status.documents import FOLDER, TARGETS
from stemma_registry.status.metadata import (
    Keys,
    Lifetimes,
    T,
    meta_file,
    new_timestamp,
    parse,
    read_as,
    sha256_hex,
    signed,
    signed_at,
    target_file,
    whole,
)

TIMESTAMP = f"{FOLDER}timestamp.json"
_VERSIONED = re.compile(r"([0-9]{1,15})\.(targets|snapshot)\.json\Z")
Contents = Callable[[datetime, Mapping[str, bytes]], Mapping[str, bytes]]


@dataclass(frozen=True)
class Feed:
    """What is in the store: as much of it as the newest root's keys have signed."""

    root: Metadata[Root]
    raw: bytes | None  # of the timestamp, whoever wrote it
    timestamp: Metadata[Timestamp] | None = None
    snapshot: Metadata[Snapshot] | None = None
    targets: Metadata[Targets] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """Versions of what stands now; `changed` is false where only the timestamp is new."""

    timestamp: int
    snapshot: int
    targets: int
    changed: bool
    expires: datetime


def load(store: Store) -> Feed:
    """The feed as it is. Raises NotFound where there is none, Damaged for its root only."""
    root, _ = offline.newest(store)
    raw = _read_timestamp(store)
    if raw is None:
        return Feed(root, None)
    feed = Feed(root, raw)
    # What nobody who may has written, or is damaged, ends it: that is published anew.
    with contextlib.suppress(NotFound, Damaged, KeyError):
        timestamp = _believed(root, raw, Timestamp)
        feed = Feed(root, raw, timestamp)
        meta = timestamp.signed.snapshot_meta
        snapshot = _believed(root, _read(store, "snapshot", meta.version, meta.hashes), Snapshot)
        feed = Feed(root, raw, timestamp, snapshot)
        meta = snapshot.signed.meta["targets.json"]
        targets = _believed(root, _read(store, "targets", meta.version, meta.hashes), Targets)
        feed = Feed(root, raw, timestamp, snapshot, targets)
        files = {
            name: store.read(_target_key(name, info.hashes["sha256"]))
            for name, info in targets.signed.targets.items()
        }
        feed = Feed(root, raw, timestamp, snapshot, targets, files)
    return feed


def publish(
    store: Store,
    keys: Keys,
    contents: Contents,
    lifetimes: Lifetimes | None = None,
    always: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Published:
    """Bring the feed up to date; where nothing changed (and not `always`), its timestamp only.

    `contents` is asked again whenever another publisher came first. Raises what it
    raises, NotFound, Refused, Unavailable and as signers do.
    """
    failed = 0
    for attempt in range(LIMITS.feed_tries):
        try:
            done = _publish(store, keys, contents, lifetimes, always, clock)
        except Temporary:
            failed += 1
            if failed == LIMITS.feed_failures:
                raise
            done = None
        if done is not None:
            return done
        time.sleep(random.uniform(0, min(1.0, 0.02 * 2 ** min(attempt, 6))))  # noqa: S311
    raise Unavailable("other publishers of the feed kept winning; try again")


def _publish(
    store: Store,
    keys: Keys,
    contents: Contents,
    lifetimes: Lifetimes | None,
    always: bool,
    clock: Callable[[], datetime],
) -> Published | None:
    """Once; None where another publisher came first."""
    feed, now = load(store), clock()  # the time before the ledger is read
    offline.may_sign(feed.root.signed, keys)
    terms = lifetimes or _as_before(feed)
    wanted = contents(now, feed.files)
    changed = always or not _stands(feed, wanted, now, terms)
    snapshot, targets = _write(store, feed, keys, wanted, now, terms) if changed else _kept(feed)
    last = feed.timestamp.signed.version if feed.timestamp else 0
    following = new_timestamp(_version(last, now), snapshot, now, terms.timestamp)
    raw = signed(Metadata(following), [keys.timestamp])
    if not _swap(store, feed.raw, raw):
        return None
    if changed:
        with contextlib.suppress(StoreError, NotFound):
            _prune(store)
    return Published(following.version, snapshot.version, targets, changed, following.expires)


def _read_timestamp(store: Store) -> bytes | None:
    try:
        return store.read(TIMESTAMP)
    except NotFound:
        return None


def _swap(store: Store, old: bytes | None, raw: bytes) -> bool:
    try:
        return store.swap(TIMESTAMP, old, raw)
    except Unanswered:
        # If it arrives after this, it arrives only where nobody has written since.
        if _read_timestamp(store) == raw:
            return True
        raise


def _believed(root: Metadata[Root], raw: bytes, kind: type[T]) -> Metadata[T]:
    found = parse(raw, kind, f"the {kind.type}")
    with read_as(f"the {kind.type}"):
        root.signed.verify_delegate(kind.type, found.signed_bytes, found.signatures)
    return found


def _read(store: Store, role: str, version: int, hashes: Mapping[str, str] | None) -> bytes:
    raw = store.read(f"{FOLDER}{version}.{role}.json")
    if not hashes or hashes.get("sha256") != sha256_hex(raw):
        raise Damaged(f"the {role} of the feed is not the one that is named")
    return raw


def _as_before(feed: Feed) -> Lifetimes:
    """The lifetime that the feed's timestamps had so far: cron and people need not repeat it."""
    if feed.timestamp is None:
        return Lifetimes()
    length = feed.timestamp.signed.expires - signed_at(feed.timestamp.signed)
    return Lifetimes(timestamp=max(length, timedelta(seconds=1)))


def _stands(feed: Feed, wanted: Mapping[str, bytes], now: datetime, terms: Lifetimes) -> bool:
    """Whether the feed says all this already, and will for a while."""
    if feed.snapshot is None or feed.targets is None:
        return False
    ends = min(feed.snapshot.signed.expires, feed.targets.signed.expires)
    return dict(feed.files) == dict(wanted) and ends - now > terms.targets / 2


def _kept(feed: Feed) -> tuple[MetaFile, int]:
    """What the timestamp named and names again, of a feed that stands."""
    if feed.timestamp is None or feed.targets is None:
        raise NotFound("there is nothing in the feed yet")
    return feed.timestamp.signed.snapshot_meta, feed.targets.signed.version


def _write(
    store: Store,
    feed: Feed,
    keys: Keys,
    wanted: Mapping[str, bytes],
    now: datetime,
    terms: Lifetimes,
) -> tuple[MetaFile, int]:
    """Put everything below the timestamp; how that names the snapshot, and the targets' version."""
    if keys.online is None:
        raise Refused("the status has changed, and the key that signs it is not at hand")
    expires = whole(now + terms.targets)
    for name, data in wanted.items():
        _put_target(store, _target_key(name, sha256_hex(data)), data)
    named = {name: target_file(name, data) for name, data in wanted.items()}
    targets = Metadata(Targets(expires=expires, targets=named))
    last = feed.targets.signed.version if feed.targets else 0
    meta = _put(store, "targets", targets, keys.online, _version(last, now))
    snapshot = Metadata(Snapshot(expires=expires, meta={"targets.json": meta}))
    last = feed.snapshot.signed.version if feed.snapshot else 0
    above = _put(store, "snapshot", snapshot, keys.online, _version(last, now))
    return above, meta.version


def _put_target(store: Store, key: str, data: bytes) -> None:
    try:
        store.create(key, data)
    except AlreadyThere:
        if store.read(key) != data:  # it is not what it is named after
            store.replace(key, data)


def _put(
    store: Store, role: str, metadata: Metadata[T], signer: KeyHolder, version: int
) -> MetaFile:
    """Put a file under the first version from `version` on that nobody has taken."""
    for number in range(version, version + LIMITS.feed_tries):
        metadata.signed.version = number
        raw = signed(metadata, [signer])
        try:
            store.create(f"{FOLDER}{number}.{role}.json", raw)
        except AlreadyThere:
            continue  # another publisher's, or of one who was killed
        return meta_file(number, raw)
    raise Unavailable("other publishers of the feed kept winning; try again")


def _version(last: int, now: datetime) -> int:
    return max(last + 1, int(now.timestamp()))


def _target_key(name: str, digest: str) -> str:
    return f"{FOLDER}{TARGETS}{digest}.{name}"


def _prune(store: Store) -> None:
    """Take away versions that nobody is still reading, many at a time."""
    kept = LIMITS.feed_kept
    found: dict[str, list[int]] = {"targets": [], "snapshot": []}
    for key in store.keys(FOLDER):
        match = _VERSIONED.match(key[len(FOLDER) :])
        if match:
            found[match[2]].append(int(match[1]))
    if len(found["targets"]) <= 2 * kept:
        return
    old, new = (sorted(found["targets"])[part] for part in (slice(-kept), slice(-kept, None)))
    # Only what an old version named: what nobody has named yet belongs to a publisher at work.
    unused = _named(store, old) - _named(store, new)
    keys = [f"{FOLDER}{n}.snapshot.json" for n in sorted(found["snapshot"])[:-kept]]
    keys += [f"{FOLDER}{n}.targets.json" for n in old]
    for key in [*sorted(unused), *keys]:
        store.remove(key)


def _named(store: Store, versions: Sequence[int]) -> set[str]:
    """The target files that these versions name."""
    keys = set()
    for version in versions:
        raw = store.read(f"{FOLDER}{version}.targets.json")
        for name, info in parse(raw, Targets, "the targets").signed.targets.items():
            keys.add(_target_key(name, info.hashes["sha256"]))
    return keys
