"""Not going back: heads that were seen, and heads that were signed.

A reader keeps the highest head it has seen of each registry outside the
disposable catalogue. A writer leaves a signed checkpoint beside the ledger.
Either refuses a ledger that was shortened or replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from stemma_attestations import canonical, json_strict
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement, Malformed, SignatureRefused
from stemma_attestations.predicates import checkpoint
from stemma_attestations.predicates.checkpoint import Checkpoint
from stemma_attestations.times import format_time
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store
from stemma_registry.errors import LedgerBroken, NotFound, StoreError
from stemma_registry.ledger.log import Head, read_entry

if TYPE_CHECKING:
    from stemma_registry.signing import Signer

CHECKPOINT = "status/checkpoint.json"
SEEN_FORMAT = "urn:stemma:seen-head:v0.1"


@dataclass(frozen=True)
class Seen:
    """Entry `n` had digest `entry`; `path` is where that is written down.

    `first` is the digest of entry 0: copies of one ledger have it in common, wherever they lie.
    """

    n: int
    entry: Digest
    path: Path
    first: Digest | None = None


def _seen_path(heads: Path, store: Store) -> Path:
    return _path(heads, store.location)


def _path(heads: Path, location: str) -> Path:
    return heads / f"{hashlib.sha256(location.encode()).hexdigest()[:32]}.json"


def forget_seen(heads: Path, store: Store) -> None:
    """Start anew: somebody deliberately made a new registry at this place."""
    _seen_path(heads, store).unlink(missing_ok=True)


def read_seen(heads: Path, store: Store) -> Seen | None:
    """The highest head seen of the store's ledger. Raises LedgerBroken.

    To be read *before* the ledger: another process of this user may see, and
    write down, a later one at any time.
    """
    return _read(_seen_path(heads, store))


def _read(path: Path) -> Seen | None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerBroken(f"cannot read the head seen before ({path}): {error}") from error
    try:
        document = json_strict.load_object(raw)
        n, entry = document["n"], Digest.parse(document["entry"])
        if document["format"] != SEEN_FORMAT or type(n) is not int or n < 0:
            raise LedgerBroken(f"{path} is not a head of format {SEEN_FORMAT}")
        first = document.get("first")
        if first is None:
            return Seen(n, entry, path)
        if document["check"] != _check(document):
            raise LedgerBroken(
                f"{path} (the head seen before) is damaged: other bytes than written"
            )
        return Seen(n, entry, path, Digest.parse(first))
    except (Malformed, KeyError, TypeError, AttributeError) as error:
        raise LedgerBroken(f"{path} (the head seen before) is damaged: {error}") from error


def _check(document: dict[str, object]) -> str:
    """A digest of all but itself. `first` is held against nothing in the ledger as `n` is."""
    rest = {key: value for key, value in document.items() if key != "check"}
    return str(Digest.of(canonical.dumps(rest)))


def check_seen(store: Store, head: Head, seen: Seen | None) -> None:
    """Refuse a head behind, or beside, the one seen before. Raises LedgerBroken."""
    if seen is None:
        return
    if seen.n > head.n:
        raise LedgerBroken(
            f"the ledger at {store.location} ends at entry {head.n}, but entry {seen.n} was seen "
            f"before: it was rewound (if that was on purpose, delete {seen.path})"
        )
    _check_same(store, head, seen.n, seen.entry)


def remember(heads: Path, store: Store, head: Head, seen: Seen | None) -> None:
    """Write a higher head down. Of two processes that do, the higher one stays.

    A home that cannot be written is no error: what was seen is then not remembered.
    """
    if head.entry is None or (seen is not None and seen.n >= head.n):
        return
    first = seen.first if seen is not None else None
    if first is None:
        with contextlib.suppress(LedgerBroken, StoreError):
            zero = read_entry(store, 0)
            first = zero.digest if zero else None
    _write(_seen_path(heads, store), store.location, head.n, head.entry, first)


def copies_seen(heads: Path, first: Digest, location: str) -> list[Seen]:
    """The heads seen of a ledger: in the registry at `location`, and in copies. LedgerBroken.

    Of other registries that began with the same entry nothing is said: one may be a copy that
    somebody made to write into.
    """
    found = (_read(_path(heads, place)) for place in (location, f"ledger:{first}"))
    return [seen for seen in found if seen is not None and seen.first == first]


def remember_copy(heads: Path, first: Digest, n: int, entry: Digest) -> None:
    """Write down the head of a copy that has no location to be known by."""
    place = f"ledger:{first}"
    _write(_path(heads, place), place, n, entry, first)


def _write(path: Path, location: str, n: int, entry: Digest, first: Digest | None) -> None:
    document = {"format": SEEN_FORMAT, "location": location, "n": n, "entry": str(entry)}
    if first is not None:
        document["first"] = str(first)
        document["check"] = _check(document)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in path.parent.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)  # of one who was killed: we hold the lock
            newest = _read(path)
            if newest is None or newest.n < n:
                work = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
                try:
                    with work.open("xb") as out:
                        out.write(canonical.dumps(document))
                        out.flush()
                        os.fsync(out.fileno())
                    os.replace(work, path)
                finally:
                    work.unlink(missing_ok=True)
        finally:
            os.close(lock)


def read_checkpoint(store: Store, trust: TrustRoot) -> Checkpoint | None:
    """The signed head beside the ledger, if there is one and its signer is believed.

    Anybody who can write to the store can put a file there, so one that is not
    believed is passed over: it can neither stop a reader nor help one.
    """
    try:
        raw = store.read(CHECKPOINT)
    except NotFound:
        return None
    try:
        bundle = Bundle.parse(raw)
        key = trust.key(bundle.hint)
        if key is None or not trust.has_authorised(key.id, checkpoint.TYPE, checkpoint.SUBJECT):
            return None
        return checkpoint.parse(bundle.verify(key))
    except (BadBundle, BadStatement, SignatureRefused):
        return None


def check_checkpoint(store: Store, head: Head, signed: Checkpoint | None) -> None:
    """Refuse a head behind, or beside, the signed one (read *before* the head). LedgerBroken."""
    if signed is None:
        return
    if signed.n > head.n:
        raise LedgerBroken(
            f"the ledger at {store.location} ends at entry {head.n}, but a trusted signer saw "
            f"entry {signed.n}: it was rewound"
        )
    _check_same(store, head, signed.n, signed.entry)


def write_checkpoint(
    store: Store, head: Head, signer: Signer, trust: TrustRoot, now: datetime
) -> None:
    """Sign the head and leave it beside the ledger, unless a later one is there.

    Only a signer that may say so: his checkpoint would take the place of one
    that is believed.
    """
    # Readers verify it before anything else, with a key of theirs alone.
    if head.entry is None or signer.certified is not None:
        return
    if not trust.lets(signer, checkpoint.TYPE, checkpoint.SUBJECT, now):
        return
    present = read_checkpoint(store, trust)
    if present is not None and present.n >= head.n:
        return
    entry = read_entry(store, head.n)
    if entry is None:
        return
    signed = Checkpoint(head.n, head.entry, entry.tree_root, format_time(now))
    store.replace(CHECKPOINT, signer.undated.sign(checkpoint.build(signed)).raw)


def _check_same(store: Store, head: Head, n: int, digest: Digest) -> None:
    found = head.entry
    if n != head.n:
        entry = read_entry(store, n)
        found = entry.digest if entry else None
    if found != digest:
        raise LedgerBroken(
            f"the ledger at {store.location} holds another entry {n} than was seen before: "
            "it was rewritten or replaced"
        )
