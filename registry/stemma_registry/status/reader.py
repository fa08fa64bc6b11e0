"""The gate's side of the feed: python-tuf's own client, and what it cannot know.

The client refuses rollback, freeze, mix-and-match and endless data. On top of that:
how old the status is, whether the ledger that it names went back, and whether a
quarantine disappeared that nobody authorised has lifted. Whatever goes wrong is
Undecided or Unavailable (exit code 14), one line.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadError, DownloadHTTPError, ExpiredMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed, SignatureRefused, StemmaError, Undecided
from stemma_attestations.keys import PublicKey
from stemma_attestations.predicates import checkpoint
from stemma_attestations.request import StatusView
from stemma_attestations.times import format_duration, format_time
from stemma_attestations.trust import TrustRoot
from stemma_registry import files
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, NotFound, Stale
from stemma_registry.status import judging, metadata
from stemma_registry.status.documents import (
    CUSTODY,
    HEAD,
    POLICY,
    TARGETS,
    TRUST_ROOT,
    WAIVERS,
    WAIVERS_FORMAT,
    BadFeed,
    Custody,
    FeedHead,
)
from stemma_registry.status.judging import Judged, Reached
from stemma_registry.status.pinning import Pin, locked
from stemma_registry.status.source import BASE

_KINDS = (Root, Timestamp, Snapshot, Targets)
_KNOWN = (HEAD, CUSTODY, TRUST_ROOT, WAIVERS, POLICY)
_SEEN_HEAD, _SEEN_CUSTODY = "seen-head.json", "seen-custody.json"
_TRIES = 2
NONE = Custody()


@dataclass(frozen=True)
class Status:
    """What is known of a registry's status, proved by its feed.

    `time` is when the timestamp was signed: the status is at least that new.
    `trust_root` and `policy` are the bytes of those that the publisher has, if any. Nobody
    has to use them: what decides is the reader's own.
    """

    head: FeedHead
    time: datetime
    expires: datetime
    versions: Mapping[str, int]
    custody: Judged
    trust_root: bytes | None
    checkpoint_by: str | None
    statements: Custody  # those that `custody` is of, as they came
    waivers: Custody = NONE
    policy: bytes | None = None

    def age(self, now: datetime) -> timedelta:
        """How old it is."""
        return max(now - self.time, timedelta())

    def view(self, reached: Iterator[Reached] | tuple[Reached, ...]) -> StatusView:
        """Step 9 of the gate from the feed alone: what stops one of `reached`."""
        stops, suspects = judging.stops(self.custody, reached)
        return StatusView(
            entry=self.head.n,
            stops=tuple(stops),
            suspects=tuple(suspects[: LIMITS.paths]),
            undecided=self.custody.undecided or self.custody.unanswered,
        )


def fetch(
    pin: Pin,
    source: FetcherInterface,
    trust: TrustRoot,
    roots: Mapping[Digest, bytes],
    now: datetime,
    max_age: timedelta | None = None,
) -> Status:
    """Read the feed, prove it, and hold it against what this machine has seen of it.

    `roots` are the bytes of the Sigstore trusted roots that `trust` asks for. Raises
    Undecided, Unavailable.
    """
    with locked(pin), _decided(pin):
        return _status(pin, _updated(pin, source), trust, roots, now, max_age)


def recall(
    pin: Pin,
    trust: TrustRoot,
    roots: Mapping[Digest, bytes],
    now: datetime,
    max_age: timedelta | None = None,
) -> Status:
    """What `fetch` read last, as long as it counts: nobody is asked. Raises as `fetch` does."""
    with locked(pin), _decided(pin):
        if not (pin.folder / "metadata" / "targets.json").exists():
            raise Undecided(f"the status feed of {pin.location} was never read here")
        found = _stored(pin)
        targets = found[Targets.type].signed.targets
        raw = {name: _whole(pin.folder / "targets" / name, targets[name]) for name in targets}
        return _status(pin, (found, raw), trust, roots, now, max_age)


def remembered(pin: Pin) -> Custody:
    """The quarantines that stood when this machine last read the feed. Raises Undecided."""
    with locked(pin), _decided(pin):
        seen = _read(pin, _SEEN_CUSTODY)
        return Custody() if seen is None else Custody.parse(seen)


def _status(
    pin: Pin,
    read: tuple[dict[str, Metadata[Any]], dict[str, bytes]],
    trust: TrustRoot,
    roots: Mapping[Digest, bytes],
    now: datetime,
    max_age: timedelta | None,
) -> Status:
    found, raw = read
    timestamp = found[Timestamp.type].signed
    _check_times(found, now)
    signed = metadata.signed_at(timestamp)
    _check_age(signed, now, max_age)
    head, custody = FeedHead.parse(raw[HEAD]), Custody.parse(raw[CUSTODY])
    judged = judging.judge(custody, trust, roots, now)
    _check_seen(pin, head, judged, custody, roots, now)
    return Status(
        head,
        signed,
        timestamp.expires,
        {role: each.signed.version for role, each in found.items()},
        judged,
        raw.get(TRUST_ROOT),
        _checkpoint(head, trust),
        custody,
        Custody.parse(raw[WAIVERS], WAIVERS_FORMAT) if WAIVERS in raw else NONE,
        raw.get(POLICY),
    )


@contextlib.contextmanager
def _decided(pin: Pin) -> Iterator[None]:
    """Whatever the library, the network or the disk says is that nothing can be decided."""
    try:
        yield
    except (Malformed, NotFound, Damaged) as error:
        raise Undecided(f"the status feed of {pin.location}: {error}") from error
    except StemmaError:
        raise
    except ExpiredMetadataError as error:
        raise Stale(
            f"the status feed of {pin.location} has expired: {_reason(error)} (is its "
            "publisher alive, or is somebody holding it back?)"
        ) from error
    except DownloadError as error:
        raise Stale(f"the status feed of {pin.location}: {_reason(error)}") from error
    except Exception as error:  # the libraries' errors have no common root
        raise Undecided(f"the status feed of {pin.location}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    cause = error.__cause__
    return f"{said}: {_reason(cause)}" if cause is not None and str(cause) not in said else said


def _updated(
    pin: Pin, source: FetcherInterface
) -> tuple[dict[str, Metadata[Any]], dict[str, bytes]]:
    """All metadata, and the target files, by name. Raises what the library raises."""
    for name in ("metadata", "targets"):
        files.make_directory(pin.folder / name)
    for left in range(_TRIES - 1, -1, -1):
        try:
            return _once(pin, source)
        except DownloadHTTPError as error:
            # A publisher may have taken an old version away between two requests.
            if error.status_code != 404 or not left:
                raise
    raise NotFound("the feed cannot be read")


def _once(pin: Pin, source: FetcherInterface) -> tuple[dict[str, Metadata[Any]], dict[str, bytes]]:
    folder = pin.folder / "metadata"
    updater = Updater(
        str(folder),
        BASE,
        str(pin.folder / "targets"),
        BASE + TARGETS,
        source,
        UpdaterConfig(root_max_length=LIMITS.feed_root_bytes),
        bootstrap=pin.root,
    )
    updater.refresh()
    found = _stored(pin)
    targets: Targets = found[Targets.type].signed
    for name in (HEAD, CUSTODY):
        if name not in targets.targets:
            raise BadFeed(f"there is no {name} in it")
    raw = {}
    for name, info in targets.targets.items():
        if name in _KNOWN:
            raw[name] = _target(updater, name, info)
        elif info.unrecognized_fields.get("custom", {}).get("critical") is not False:
            raise Undecided(f"the feed has a {name:.60}, which only a newer stemma understands")
    _forget_others(pin, raw)
    return found, raw


def _target(updater: Updater, name: str, info: TargetFile) -> bytes:
    if info.length > LIMITS.feed_target_bytes:
        raise BadFeed(f"{name} has {info.length} bytes, which is more than is read")
    return _whole(Path(updater.find_cached_target(info) or updater.download_target(info)), info)


def _whole(path: Path, info: TargetFile) -> bytes:
    """A target file as it lies here, with the bytes that it is named by."""
    data = files.read(path, "target of the feed", info.length)
    if info.hashes.get("sha256") != metadata.sha256_hex(data):
        raise BadFeed(f"{path.name} has not the SHA-256 by which it is named")
    return data


def _stored(pin: Pin) -> dict[str, Metadata[Any]]:
    """What the client has accepted last."""
    folder = pin.folder / "metadata"
    return {kind.type: Metadata.from_file(str(folder / f"{kind.type}.json")) for kind in _KINDS}


def _forget_others(pin: Pin, raw: Mapping[str, bytes]) -> None:
    for name in set(os.listdir(pin.folder / "targets")) - set(raw):
        os.unlink(pin.folder / "targets" / name)


def _check_times(found: Mapping[str, Metadata[Any]], now: datetime) -> None:
    """The client has asked the machine's clock; this asks the time of the question."""
    for role, each in found.items():
        if each.signed.expires <= now:
            raise ExpiredMetadataError(f"its {role} ended at {format_time(each.signed.expires)}")


def _check_age(signed: datetime, now: datetime, max_age: timedelta | None) -> None:
    age = now - signed
    if age.total_seconds() < -LIMITS.feed_skew_seconds:
        raise Undecided(
            f"the status was signed at {format_time(signed)}, which is still to come: "
            "a clock is wrong"
        )
    if max_age is not None and age > max_age:
        raise Stale(
            f"the status is {format_duration(age)} old, and at most {format_duration(max_age)} "
            "is asked for"
        )


def _check_seen(
    pin: Pin,
    head: FeedHead,
    judged: Judged,
    custody: Custody,
    roots: Mapping[Digest, bytes],
    now: datetime,
) -> None:
    """Refuse a ledger that went back and a quarantine that vanished; remember what stands."""
    seen = _read(pin, _SEEN_HEAD)
    if seen is not None:
        before = FeedHead.parse(seen)
        same = before.n != head.n or before.entry == head.entry
        if before.n > head.n or not same:
            raise Undecided(
                f"the status feed names ledger entry {head.n}, and this machine has seen "
                f"another, or a later one ({before.n}): it was rewound or replaced"
            )
    remembered = _read(pin, _SEEN_CUSTODY)
    old = Custody.parse(remembered) if remembered is not None else Custody()
    there = {said.bundle.raw for said in judged.said}
    missing = [raw for raw in old.bundles if raw not in there]
    whole = judged
    if missing:
        # Under today's trust root, and with the releases that the feed has today.
        together = Custody.of((*missing, *custody.bundles), (*old.keys, *custody.keys))
        whole = judging.judge(together, judged.trust, roots, now)
    # The same statement signed by a stranger, or without what dates it, is not the same word.
    if (lost := judged.lost(whole)) is not None:
        said, target = lost
        raise Undecided(
            f"the quarantine {said.statement.short} of {target.label} has "
            "disappeared from the status feed, and nobody who may has released it: "
            "an online key cannot erase a quarantine"
        )
    # What stood once is kept until it is released, also where it is not believed today.
    lifted = {said.bundle.raw for said in whole.lifted}
    kept = [raw for raw in old.bundles if raw not in lifted]
    kept += [said.bundle.raw for said in judged.believed]
    keys = (*old.keys, *custody.keys)
    _keep(pin, _SEEN_CUSTODY, Custody.of(dict.fromkeys(kept), keys).encode(), remembered)
    _keep(pin, _SEEN_HEAD, head.encode(), seen)


def _read(pin: Pin, name: str) -> bytes | None:
    try:
        return files.read(pin.folder / name, "memory of the feed", 2 * LIMITS.feed_target_bytes)
    except NotFound:
        return None


def _keep(pin: Pin, name: str, data: bytes, before: bytes | None) -> None:
    if data != before:
        files.replace(pin.folder / name, "memory of the feed", data)


def _checkpoint(head: FeedHead, trust: TrustRoot) -> str | None:
    """Who signed the ledger's head, if somebody who is believed did and it agrees."""
    if head.checkpoint is None:
        return None
    try:
        bundle = Bundle.parse(head.checkpoint)
        key = trust.key(bundle.hint) or (PublicKey.parse(head.key) if head.key else None)
        if key is None or not trust.has_authorised(key.id, checkpoint.TYPE, checkpoint.SUBJECT):
            return None
        said = checkpoint.parse(bundle.verify(key))
    except (Malformed, SignatureRefused):
        return None
    if said.n > head.n or (said.n == head.n and said.entry != head.entry):
        raise Undecided(
            f"the status feed names ledger entry {head.n}, and a believed checkpoint in it "
            f"another ({said.n})"
        )
    return trust.label(key.id)
