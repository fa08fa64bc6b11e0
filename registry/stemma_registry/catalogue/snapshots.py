"""Signed copies of the catalogue: a fresh machine takes one instead of reading all history.

See docs/formats/snapshot.md and docs/decisions/0014-signed-snapshots.md. To take
one is to believe its signer about everything the catalogue says, for as long as
the catalogue is kept. So it is asked of the trust root in the home alone, and
only where there is no catalogue yet.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement, SignatureRefused
from stemma_attestations.merkle import Frontier
from stemma_attestations.predicates import snapshot as predicate
from stemma_attestations.predicates.snapshot import CatalogueSnapshot, Chunk
from stemma_attestations.times import format_time
from stemma_attestations.trust import TrustRoot
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store, put_bytes
from stemma_registry.catalogue.catalogue import Catalogue, making
from stemma_registry.catalogue.database import Database
from stemma_registry.catalogue.tables import REVISION
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, NotFound, Refused, Unavailable
from stemma_registry.ledger.log import read_entry
from stemma_registry.signing import Signer

KEY = "status/snapshot.json"
LEVEL = 1  # of zstd: what there is to gain is gained there, most of the bytes are digests
THREADS = 4


def read(store: Store, trust: TrustRoot) -> CatalogueSnapshot | None:
    """The newest snapshot in the store, if there is one and its signer is believed.

    Like a checkpoint, one that is not believed neither helps nor stops anybody.
    """
    try:
        bundle = Bundle.parse(store.read(KEY))
        key = trust.key(bundle.hint)
        if key is None:
            return None
        said = predicate.parse(bundle.verify(key))
    except (NotFound, BadBundle, BadStatement, SignatureRefused):
        return None
    may = trust.has_authorised(key.id, predicate.TYPE, predicate.SUBJECT)
    return said if may else None


def snapshot_blobs(store: Store, trust: TrustRoot) -> set[Digest]:
    """The blobs that the newest believed snapshot needs; those of older ones are surplus.

    Nothing in the ledger refers to them. Who loses one loses only time.
    """
    said = read(store, trust)
    return {chunk.blob for chunk in said.chunks} if said else set()


def write(catalogue: Catalogue, trust: TrustRoot, signer: Signer, now: datetime) -> bool:
    """Store the catalogue as it is, and say so under the signer's name.

    False where a believed snapshot of this state, or a later one, is there.
    Raises Refused for a signer that may not say so, Unavailable.
    """
    if signer.certified is not None:
        raise Refused("a snapshot is signed with a key: --sign key:FILE")
    if not trust.lets(signer, predicate.TYPE, predicate.SUBJECT, now):
        raise Refused(
            f"the trust root does not let this signer say {predicate.TYPE} about "
            f"`{predicate.SUBJECT}`: nobody would believe the snapshot"
        )
    present = read(catalogue.store, trust)
    with catalogue.reading() as connection:
        n = catalogue.projected(connection).n
    if n < 0 or (present and present.revision == REVISION and present.n >= n):
        return False
    beside = catalogue.path.parent if Database(catalogue.path).writable else None
    with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=beside) as folder:
        copy = Path(folder) / "copy"
        _copy(catalogue, copy)
        n, entry, before = _state(copy)
        held = read_entry(catalogue.store, n)
        if held is None or held.digest != entry:
            raise Unavailable(f"the catalogue and the ledger differ at entry {n}: try again")
        peaks = tuple(before[i : i + 32].hex() for i in range(0, len(before), 32))
        chunks = tuple(_put(catalogue.store, copy))
    said = CatalogueSnapshot(n, entry, held.tree_root, peaks, REVISION, chunks, format_time(now))
    catalogue.store.replace(KEY, signer.undated.sign(predicate.build(said)).raw)
    return True


def adopt(store: Store, path: Path, trust: Callable[[], TrustRoot]) -> bool:
    """Make the catalogue at `path` from a believed snapshot, if it is not there yet.

    Whether it was done; nothing is changed otherwise. Raises Unavailable where
    the store cannot be read, or the disk written.
    """
    if path.exists() or not Database(path).writable:
        return False
    with making(path) as absent:
        said = read(store, trust()) if absent else None
        if said is None or said.n < LIMITS.snapshot_entries or said.revision != REVISION:
            return False
        tree = _tree(store, said)
        return tree is not None and _load(_uncached(store), path, said, tree)


def _tree(store: Store, said: CatalogueSnapshot) -> Frontier | None:
    """The Merkle tree with entry n, if the ledger holds the entry that the snapshot is of."""
    entry = read_entry(store, said.n)
    before = Frontier(said.n, [bytes.fromhex(peak) for peak in said.peaks])
    if entry is None or entry.digest != said.entry:
        return None
    if not entry.tree_root == said.tree_root == before.root:
        return None
    before.append(entry.raw)
    return before


def _load(store: Store, path: Path, said: CatalogueSnapshot, tree: Frontier) -> bool:
    """Fetch, check, and put in place: until the last step nobody sees any of it."""
    work = path.with_name(f"{path.name}.loading")
    try:
        _fetch(store, work, said)
        if not _is_of(work, said, tree):
            return False
        os.replace(work, path)
    except (BlobMissing, Damaged):
        return False
    except OSError as error:
        raise Unavailable(f"cannot write the catalogue {path}: {error.strerror}") from error
    finally:
        work.unlink(missing_ok=True)
    return True


def _fetch(store: Store, work: Path, said: CatalogueSnapshot) -> None:
    """The file of a snapshot, durably. Raises BlobMissing, Damaged, OSError."""
    starts, at = [], 0
    for chunk in said.chunks:
        starts.append(at)
        at += chunk.size
    # Never followed, never somebody else's: it is made anew.
    work.unlink(missing_ok=True)
    fd = os.open(work, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            done = pool.map(lambda c, start: _piece(store, fd, c, start), said.chunks, starts)
            for _ in done:
                pass
        os.fsync(fd)  # a file half of which a power cut took would give wrong answers
    finally:
        os.close(fd)


def _piece(store: Store, fd: int, chunk: Chunk, start: int) -> None:
    import zstandard

    # The store checks the bytes against the digest, and that is signed.
    packed = b"".join(store.chunks(chunk.blob))
    try:
        data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=chunk.size)
    except zstandard.ZstdError as error:
        raise Damaged(f"chunk {chunk.blob.short} of a snapshot: {error}") from error
    if len(data) != chunk.size:
        raise Damaged(f"chunk {chunk.blob.short} of a snapshot has {len(data)} bytes")
    view, offset = memoryview(data), start
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _is_of(work: Path, said: CatalogueSnapshot, tree: Frontier) -> bool:
    """Whether the file says itself what the statement says about it."""
    try:
        with contextlib.closing(sqlite3.connect(f"{work.as_uri()}?mode=ro", uri=True)) as opened:
            (revision,) = opened.execute("SELECT version_num FROM alembic_version").fetchone()
            row = opened.execute("SELECT n, entry, peaks FROM state").fetchone()
    except (sqlite3.Error, TypeError):
        return False
    expected = (said.n, str(said.entry), b"".join(tree.peaks))
    return bool(revision == REVISION and row == expected)


def _copy(catalogue: Catalogue, target: Path) -> None:
    """One state of the catalogue as a compact file of its own.

    One that a server keeps is projected anew: row ids apart, it is the same.
    """
    if not catalogue.database.embedded:
        fresh = Catalogue.open(target.with_name("fresh"), catalogue.store, catalogue.roots)
        with contextlib.closing(fresh):
            fresh.hurry()
            fresh.catch_up()
            _copy(fresh, target)
        return
    try:
        with contextlib.closing(catalogue.engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise Unavailable(f"the catalogue {catalogue.path} cannot be copied: {error}") from error


def _state(copy: Path) -> tuple[int, Digest, bytes]:
    with contextlib.closing(sqlite3.connect(copy)) as opened:
        n, entry, before = opened.execute("SELECT n, entry, before FROM state").fetchone()
    return n, Digest.parse(entry), before


def _put(store: Store, copy: Path) -> Iterator[Chunk]:
    import zstandard

    def put(data: bytes) -> Chunk:
        packed = zstandard.ZstdCompressor(level=LEVEL).compress(data)
        return Chunk(put_bytes(store, packed), len(data))

    with copy.open("rb") as source:
        pieces = iter(lambda: source.read(LIMITS.snapshot_chunk_bytes), b"")
        for _, chunk in ahead(put, pieces, THREADS):
            yield chunk


def _uncached(store: Store) -> Store:
    """The store without its cache: what is read once, to be kept elsewhere, need not be there."""
    from stemma_registry.blobs.cached import Cached

    return store.below if isinstance(store, Cached) else store
