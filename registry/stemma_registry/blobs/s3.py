"""A store in a bucket of S3, or of a server that speaks its protocol.

    PREFIX/blobs/sha256/ab/cdef...       immutable, conditionally put
    PREFIX/chunks/sha256/ab/cdef...      the digests of the chunks of a large blob
    PREFIX/ledger/000/000/000123.json    immutable, conditionally put
    PREFIX/status/checkpoint.json        replaced

Durability is the server's: what it has acknowledged, it has. Every body is
sent with its SHA-256, which the server compares before it stores it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs import s3_care
from stemma_registry.blobs.contract import Store, Stray, check_removable, hashed
from stemma_registry.blobs.s3_bucket import Bucket, composite, text_of
from stemma_registry.blobs.s3_client import connect
from stemma_registry.blobs.s3_fetch import into_file
from stemma_registry.blobs.s3_read import Record, checked_range, record_at, stream
from stemma_registry.blobs.s3_source import exactly, lengths, read_up_to, reader, survey
from stemma_registry.blobs.s3_upload import Gone, Part, Upload, part_size
from stemma_registry.blobs.streams import Progress, Tap, write_chunks
from stemma_registry.config import LIMITS
from stemma_registry.errors import (
    AlreadyThere,
    BlobMissing,
    Damaged,
    NotFound,
    StoreError,
    Temporary,
    Unavailable,
)
from stemma_registry.settings import S3Settings

MULTIPART = 16 * 1024 * 1024  # a larger blob is uploaded in parts
RECORDS = 64  # records of chunks that are remembered
_AWS = re.compile(r"https://[a-z0-9.-]+\.amazonaws\.com(?:\.cn)?\Z")


class S3Store:
    """A store under `prefix` (which may be empty) in a bucket, which must exist.

    `client` is a boto3 client of S3 as `s3_client.connect` makes it.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, settings: S3Settings) -> None:
        self.bucket = Bucket(client, bucket, settings)
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._records: OrderedDict[Digest, Record | None] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def at(cls, location: str, settings: S3Settings | None = None) -> S3Store:
        """The store at `s3://BUCKET/PREFIX`. Raises NotFound, Unavailable."""
        bucket, prefix = split(location)
        settings = settings or S3Settings()
        return cls(connect(settings), bucket, prefix, settings)

    @property
    def location(self) -> str:
        # Buckets of one name on two servers are two stores.
        endpoint = str(self.bucket.client.meta.endpoint_url)
        where = f"s3://{self.bucket.name}/{self._prefix}".rstrip("/")
        return where if _AWS.match(endpoint) else f"{where} at {endpoint}"

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        key = self._blob(digest)
        if size <= MULTIPART:
            with self._room(size):
                data = read_up_to(source, size + 1)
                if len(data) != size or Digest.of(data) != digest:
                    raise Damaged(f"blob {digest}: the bytes are not those of its name")
                return self._put_small(key, data, digest)
        found = self.bucket.head(key)
        if found is not None:
            if found.size == size and source.seekable() and found.checksum is not None:
                start = source.tell()
                named, digests = survey(self.bucket, source, size)
                if named != digest:
                    raise Damaged(f"blob {digest}: the bytes are not those of its name")
                source.seek(start)
                return self._put_known(source, digest, size, digests)
            if self._is_right(digest, size):
                return False
        return self._put_unknown(source, digest, size, new=found is None)

    def receive(
        self, source: BinaryIO, size: int, progress: Progress | None = None, tap: Tap | None = None
    ) -> Digest:
        if size <= MULTIPART:
            with self._room(size):
                data = read_up_to(source, size + 1)
                if len(data) != size:
                    raise Damaged(f"a file of {size} bytes has another size now")
                digest = Digest.of(data)
                if tap is not None:
                    tap()(memoryview(data))
                self._put_small(self._blob(digest), data, digest)
            if progress is not None:
                progress(size)
            return digest
        start = source.tell()
        digest, digests = survey(self.bucket, source, size, progress, tap)
        source.seek(start)
        self._put_known(source, digest, size, digests, progress)
        return digest

    def keep(self, digest: Digest, size: int) -> bool:
        return self.size(digest) == size

    def batch(self) -> AbstractContextManager[Store]:
        return nullcontext(self)

    def size(self, digest: Digest) -> int | None:
        found = self.bucket.head(self._blob(digest))
        return None if found is None else found.size

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        try:
            yield from hashed(stream(self.bucket, self._blob(digest)), digest)
        except NotFound as error:
            raise BlobMissing(f"the store has no blob {digest}") from error

    def fetch(self, digest: Digest, out: BinaryIO, progress: Progress | None = None) -> None:
        try:
            found = into_file(self.bucket, self._blob(digest), out, progress)
        except NotFound as error:
            raise BlobMissing(f"the store has no blob {digest}") from error
        if found is None:
            write_chunks(self.chunks(digest), out, progress)
        elif found != digest.value:
            raise Damaged(f"blob {digest}: the bytes are not those of its name")

    def read_range(self, digest: Digest, start: int, length: int) -> bytes:
        record = self._record(digest)
        if record is not None:
            try:
                return checked_range(self.bucket, self._blob(digest), record, start, length)
            except NotFound as error:
                raise BlobMissing(f"the store has no blob {digest}") from error
        kept, position = bytearray(), 0
        for chunk in self.chunks(digest):
            low, high = start - position, start + length - position
            kept += chunk[max(0, low) : max(0, high)]
            position += len(chunk)
        return bytes(kept)

    def blobs(self) -> Iterator[Digest]:
        for digest, _ in s3_care.named(self.bucket, f"{self._prefix}blobs/sha256/"):
            yield digest

    def delete(self, digest: Digest) -> None:
        for key in (self._blob(digest), self._chunk_key(digest)):
            s3_care.delete(self.bucket, key)
        with self._lock:
            self._records.pop(digest, None)

    def create(self, key: str, data: bytes) -> None:
        try:
            # What is under status/ is removed again, so nothing locks it.
            ledger = key.startswith("ledger/")
            extra = self.bucket.kept() if ledger else self.bucket.encryption()
            self.bucket.write(self._object(key), data, True, extra, None)
        except AlreadyThere as error:
            raise AlreadyThere(f"{key} is already there") from error

    def read(self, key: str) -> bytes:
        try:
            return self.bucket.read(self._object(key), LIMITS.small_object_bytes)
        except NotFound as error:
            raise NotFound(f"the store has no {key}") from error

    def replace(self, key: str, data: bytes) -> None:
        self.bucket.write(self._object(key), data, False, self.bucket.encryption(), None)

    def swap(self, key: str, old: bytes | None, data: bytes) -> bool:
        return s3_care.swap(self.bucket, self._object(key), old, data)

    def remove(self, key: str) -> None:
        s3_care.delete(self.bucket, self._object(check_removable(key)))

    def settle(self, key: str) -> None:
        # What S3 shows, it has stored.
        if self.bucket.head(self._object(key)) is None:
            raise NotFound(f"the store has no {key}")

    def keys(self, prefix: str) -> Iterator[str]:
        # A level at a time, sorted here: not every server lists in the order of the text.
        stack = [top for top in ("status/", "ledger/") if prefix == "" or prefix.startswith(top)]
        if not stack:
            stack = [top for top in ("status/", "ledger/") if top.startswith(prefix)]
        elif prefix:
            stack = [prefix]
        while stack:
            path = stack.pop()
            if s3_care.KEY.match(path) and path != prefix:
                yield path
                continue
            found = {
                each["Key"][len(self._prefix) :]
                for each in self.bucket.listing(self._prefix + path, folders=True)
            }
            known = {each for each in found if s3_care.KEY.match(each.rstrip("/"))}
            if path in known:  # the prefix is a key itself; it was not looked at yet
                known.discard(path)
                yield path
            stack += sorted(known, reverse=True)

    def strays(self) -> Iterator[Stray]:
        yield from s3_care.strays(self.bucket, self._prefix)

    def sweep(self, older_than_seconds: float) -> int:
        return s3_care.sweep(self.bucket, self._prefix, older_than_seconds)

    # Uploading.

    def _put_small(self, key: str, data: bytes, digest: Digest) -> bool:
        raw = bytes.fromhex(digest.value)
        try:
            self.bucket.write(key, data, True, self.bucket.blob(), raw)
        except AlreadyThere:
            if self._agrees(key, len(data), text_of(raw)) or self._is_right(digest, len(data)):
                return False
            self.bucket.write(key, data, False, self.bucket.blob(), raw)
        return True

    def _put_known(
        self,
        source: BinaryIO,
        digest: Digest,
        size: int,
        digests: list[bytes],
        progress: Progress | None = None,
    ) -> bool:
        """Store a blob whose chunks were hashed, unless it is there. False if it was."""
        key, count = self._blob(digest), part_size(size)
        found = self.bucket.head(key)
        if found is not None:
            same = found.size == size and found.checksum == composite(digests)
            if same or self._is_right(digest, size):
                self._keep_record(digest, size, digests)
                return False
        if progress is not None:
            progress.expect(size)
        read = reader(source)
        parts = (
            Part(n + 1, length, lambda at=n * count, length=length: read(at, length), digests[n])  # type: ignore[misc]
            for n, length in enumerate(lengths(size, count))
        )
        upload = Upload(self.bucket, key, progress)
        return self._finish(upload, digest, size, found is None, lambda: upload.send(parts))

    def _put_unknown(self, source: BinaryIO, digest: Digest, size: int, new: bool) -> bool:
        """Store a blob whose chunks are hashed while they are sent."""
        state = hashlib.sha256()
        upload = Upload(self.bucket, self._blob(digest))

        def read(length: int) -> bytes:
            data = exactly(source, length)
            state.update(data)
            return data

        def send() -> None:
            upload.send(
                Part(n + 1, length, lambda length=length: read(length))  # type: ignore[misc]
                for n, length in enumerate(lengths(size, part_size(size)))
            )
            if state.hexdigest() != digest.value or source.read(1):
                raise Damaged(f"blob {digest}: the bytes are not those of its name")

        return self._finish(upload, digest, size, new, send)

    def _finish(
        self, upload: Upload, digest: Digest, size: int, new: bool, send: Callable[[], None]
    ) -> bool:
        """Send the parts, then the record, then make the blob visible. False if it was there."""
        try:
            upload.begin()
            send()
            self._keep_record(digest, size, [upload.digests[n] for n in sorted(upload.digests)])
            try:
                upload.finish(size, new)
                return True
            except AlreadyThere:
                if self._agrees(upload.key, size, upload.whole()) or self._is_right(digest, size):
                    upload.discard()
                    return False
                if not new:
                    raise Temporary(f"cannot store blob {digest.short}: writers meet") from None
                upload.finish(size, new=False)
                return True
        except AlreadyThere as error:
            raise Temporary(f"cannot store blob {digest.short}: writers meet") from error
        except Gone:
            if self._is_right(digest, size):  # it was the other writer's, who has finished
                return False
            raise
        except Unavailable:
            raise  # the parts stay for the next try, and for the sweep
        except Exception:
            upload.abort()
            raise

    @contextlib.contextmanager
    def _room(self, size: int) -> Iterator[None]:
        taken = self.bucket.room.take(size)
        try:
            yield
        finally:
            self.bucket.room.give(taken)

    # What is there.

    def _agrees(self, key: str, size: int, checksum: str) -> bool:
        found = self.bucket.head(key)
        return found is not None and (found.size, found.checksum) == (size, checksum)

    def _is_right(self, digest: Digest, size: int) -> bool:
        """Read a blob that is there, to see whether it is what its name says."""
        try:
            return sum(map(len, self.chunks(digest))) == size
        except (Damaged, BlobMissing):
            return False

    def _keep_record(self, digest: Digest, size: int, digests: list[bytes]) -> None:
        record = Record.of(size, part_size(size), digests)
        key = self._chunk_key(digest)
        if record_at(self.bucket, key) != record:
            self.bucket.write(key, record.encode(), False, self.bucket.encryption(), None)

    def _record(self, digest: Digest) -> Record | None:
        with self._lock:
            if digest in self._records:
                self._records.move_to_end(digest)
                return self._records[digest]
        found = self.bucket.head(self._blob(digest))
        record = record_at(self.bucket, self._chunk_key(digest))
        if record is not None and not record.is_of(found):
            record = None  # the whole blob is its own check
        with self._lock:
            self._records[digest] = record
            if len(self._records) > RECORDS:
                self._records.popitem(last=False)
        return record

    def _blob(self, digest: Digest) -> str:
        if digest.algorithm != "sha256":
            raise StoreError(f"blobs are named by SHA-256, not by {digest.algorithm}")
        return f"{self._prefix}blobs/sha256/{digest.value[:2]}/{digest.value[2:]}"

    def _chunk_key(self, digest: Digest) -> str:
        return f"{self._prefix}chunks/sha256/{digest.value[:2]}/{digest.value[2:]}"

    def _object(self, key: str) -> str:
        if not s3_care.KEY.match(key):
            raise StoreError(f"not a key of the store: {key!r:.80}")
        return self._prefix + key


def split(location: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://BUCKET/PREFIX`. Raises NotFound."""
    match = re.match(r"s3://([A-Za-z0-9][A-Za-z0-9._-]+)(?:/(.*))?\Z", location)
    prefix = (match[2] or "").strip("/") if match else ""
    if match is None or "//" in prefix or not all(0x20 < ord(c) < 0x7F for c in prefix):
        raise NotFound(f"{location!r:.200} is not the location of a store (s3://BUCKET/PREFIX)")
    return match[1], prefix
