"""Requests to one bucket: each tried once, each error translated, each answer checked."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from stemma_registry.blobs.s3_client import (
    code_of,
    is_conflict,
    is_foreign,
    is_missing,
    is_there_already,
    translated,
)
from stemma_registry.errors import AlreadyThere, NotFound, Temporary, Unavailable
from stemma_registry.settings import S3Settings

PART = 8 * 1024 * 1024  # the size of a chunk, of a part and of a ranged read
BUDGET = 64 * 1024 * 1024  # bytes of what is written that one store holds in memory
AHEAD = 32 * 1024 * 1024  # bytes that are read before they are asked for
THREADS = 8
TRIES = 5  # of one part or range inside a long transfer, and of a write that met another
PAUSE_SECONDS = 0.1  # before the second try, doubled for each further one, half of it at random
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """An object that is there; `checksum` is the base64 SHA-256, `-N` behind it for N parts."""

    size: int
    checksum: str | None
    versioned: bool


@dataclass(frozen=True)
class Piece:
    """Some bytes of an object of `total` bytes."""

    data: bytes
    total: int
    etag: str


@dataclass(frozen=True)
class Range:
    """Bytes of an object of `total` bytes that are still to come: `size` of them."""

    size: int
    total: int
    etag: str
    body: Any
    doing: str

    def pieces(self, length: int) -> Iterator[bytes]:
        """The bytes as they come, so many at a time. Raises Temporary where they are not all."""
        count = 0
        while count < self.size:
            with translated(self.doing):
                data = self.body.read(min(length, self.size - count))
            if not data:
                raise Temporary(f"{self.doing}: {count} bytes came, {self.size} were announced")
            count += len(data)
            yield data


class Room:
    """How many bytes may be in memory at once, counted for all threads of a store."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    def take(self, count: int) -> int:
        """Wait for room; what was taken. More than there ever is counts as all of it."""
        count = min(count, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        return count

    def try_take(self, count: int) -> bool:
        """Take room if there is some now."""
        with self._changed:
            if self._free < count:
                return False
            self._free -= count
            return True

    def give(self, count: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self._free += count
            self._changed.notify_all()


class Bucket:
    """A bucket and what its requests share. Used by many threads."""

    def __init__(self, client: Any, name: str, settings: S3Settings) -> None:
        self.client = client
        self.name = name
        self.settings = settings
        self.room = Room(BUDGET)
        self.ahead = Room(AHEAD)
        self._seen = False
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The threads that move parts."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="stemma-s3")
            return self._pool

    def call(self, operation: str, doing: str, creating: bool = False, **values: Any) -> Any:
        """One request. Raises NotFound, AlreadyThere, Unavailable and what is below it."""
        with translated(f"{doing} in bucket {self.name}", creating):
            try:
                answer = getattr(self.client, operation)(Bucket=self.name, **values)
            except Exception as error:
                if not is_foreign(error):
                    raise
                if is_missing(error):
                    self._must_exist(doing)
                    raise NotFound(f"{doing}: the store has no {values.get('Key')}") from error
                if is_there_already(error):
                    raise AlreadyThere(f"{values.get('Key')} is already there") from error
                raise
        self._seen = True
        return answer

    def head(self, key: str) -> Found | None:
        """What is there under a key, or None."""
        try:
            answer = self.call("head_object", f"cannot look for {key}", Key=key, **_CHECKED)
        except NotFound:
            return None
        return Found(
            int(answer["ContentLength"]),
            answer.get("ChecksumSHA256"),
            answer.get("VersionId", "null") != "null",
        )

    def read(self, key: str, limit: int) -> bytes:
        """A whole small object, checked by its checksum. Raises NotFound, Unavailable."""
        doing = f"cannot read {key}"
        answer = self.call("get_object", doing, Key=key, **_CHECKED)
        size = int(answer["ContentLength"])
        if size > limit:
            answer["Body"].close()
            raise Unavailable(f"{doing}: it has {size} bytes, at most {limit} are read")
        return self._body(answer, size, doing)

    def piece(self, key: str, start: int, length: int, etag: str | None = None) -> Piece:
        """At most `length` bytes from `start` on; with `etag`, of that very object.

        Raises as `range` does.
        """
        with self.range(key, start, length, etag) as found:
            data = b"".join(found.pieces(length))
            return Piece(data, found.total, found.etag)

    @contextlib.contextmanager
    def range(self, key: str, start: int, length: int, etag: str | None = None) -> Iterator[Range]:
        """The same while it is coming.

        Raises NotFound, Temporary where the answer is not what was asked for.
        """
        found = self._range(key, start, length, etag)
        try:
            yield found
        finally:
            found.body.close()

    def _range(self, key: str, start: int, length: int, etag: str | None) -> Range:
        doing = f"cannot read {key}"
        extra: dict[str, Any] = {} if etag is None else {"IfMatch": etag}
        try:
            answer = self.call(
                "get_object", doing, Key=key, Range=f"bytes={start}-{start + length - 1}", **extra
            )
        except AlreadyThere as error:  # the condition did not hold
            raise Temporary(f"{doing}: it was replaced while it was read") from error
        except Unavailable as error:
            if error.__cause__ is None or code_of(error.__cause__) not in ("InvalidRange", "416"):
                raise
            answer = self.call("get_object", doing, Key=key)  # S3 has no range in nothing
            if int(answer["ContentLength"]) > start:
                answer["Body"].close()
                raise Temporary(f"{doing}: the server refused a range that is there") from error
            return Range(0, int(answer["ContentLength"]), answer["ETag"], answer["Body"], doing)
        total = _range_total(answer.get("ContentRange"), start, int(answer["ContentLength"]))
        wanted = max(0, min(length, (total or 0) - start))
        if total is None or wanted != int(answer["ContentLength"]):
            answer["Body"].close()
            raise Temporary(f"{doing}: the server sent another range than it was asked for")
        return Range(wanted, total, answer["ETag"], answer["Body"], doing)

    def write(
        self,
        key: str,
        data: bytes,
        new: bool,
        extra: Mapping[str, Any],
        digest: bytes | None,
        etag: str | None = None,
    ) -> None:
        """Write a whole object; with `new`, only where none is, with `etag`, over that one.

        `digest` is its SHA-256, if known. A conflict with another writer is no answer, so it
        is tried again. Raises AlreadyThere, Unanswered; with `etag`, NotFound.
        """
        condition = {"IfNoneMatch": "*"} if new else {"IfMatch": etag} if etag else {}
        again(
            lambda: self.call(
                "put_object",
                f"cannot write {key}",
                creating=bool(condition),
                Key=key,
                Body=data,
                ChecksumSHA256=text_of(hashlib.sha256(data).digest() if digest is None else digest),
                **condition,
                **extra,
            ),
            only=lambda error: is_conflict(error.__cause__),
        )

    def listing(self, prefix: str, folders: bool = False) -> Iterator[dict[str, Any]]:
        """The objects whose keys begin so, in the server's order, a page at a time.

        With `folders`, one level of them; a folder has a `Key` with a slash at its end.
        """
        more: dict[str, Any] = {"Delimiter": "/"} if folders else {}
        self._must_exist(f"cannot list {prefix}")  # some servers list nothing, without an error
        while True:
            answer = self.call("list_objects_v2", f"cannot list {prefix}", Prefix=prefix, **more)
            yield from ({"Key": f["Prefix"]} for f in answer.get("CommonPrefixes", ()))
            yield from answer.get("Contents", ())
            if not answer.get("IsTruncated"):
                return
            token = answer.get("NextContinuationToken")
            if not token or token == more.get("ContinuationToken"):
                raise Temporary(f"cannot list {prefix}: the server's pages do not end")
            more["ContinuationToken"] = token

    def encryption(self) -> dict[str, str]:
        """Parameters of every write."""
        extra = {}
        if self.settings.server_side_encryption:
            extra["ServerSideEncryption"] = self.settings.server_side_encryption
        if self.settings.kms_key_id:
            extra["SSEKMSKeyId"] = self.settings.kms_key_id
        return extra

    def kept(self) -> dict[str, Any]:
        """Parameters of what is never written again: blobs and ledger entries."""
        extra: dict[str, Any] = self.encryption()
        if self.settings.lock_mode:
            extra["ObjectLockMode"] = self.settings.lock_mode
            extra["ObjectLockRetainUntilDate"] = datetime.datetime.now(
                datetime.UTC
            ) + datetime.timedelta(days=self.settings.lock_days)
        return extra

    def blob(self) -> dict[str, Any]:
        """Parameters of blobs."""
        extra = self.kept()
        if self.settings.storage_class:
            extra["StorageClass"] = self.settings.storage_class
        return extra

    def _body(self, answer: Any, size: int, doing: str) -> bytes:
        with translated(doing):
            try:
                data = bytes(answer["Body"].read())
            finally:
                answer["Body"].close()
        if len(data) != size:
            raise Temporary(f"{doing}: {len(data)} bytes came, {size} were announced")
        return data

    def _must_exist(self, doing: str) -> None:
        """Tell a missing object from a missing bucket, which HEAD does not."""
        if self._seen:
            return
        try:
            with translated(doing):
                self.client.head_bucket(Bucket=self.name)
        except Unavailable as error:
            cause = error.__cause__
            if cause is not None and code_of(cause) in ("404", "NoSuchBucket"):
                raise Unavailable(f"{doing}: there is no bucket {self.name}: make it") from cause
            if isinstance(error, Temporary):
                raise
        self._seen = True


_CHECKED: Mapping[str, Any] = {"ChecksumMode": "ENABLED"}


def again(job: Callable[[], T], only: Callable[[Temporary], bool] | None = None) -> T:
    """Do a job whose failure may pass a few times, with pauses: one part of something long."""
    for attempt in range(TRIES - 1):
        try:
            return job()
        except Temporary as error:
            if only is not None and not only(error):
                raise
            pause = PAUSE_SECONDS * 2**attempt
            time.sleep(pause / 2 + random.random() * pause / 2)  # noqa: S311 - only a pause
    return job()


def text_of(digest: bytes) -> str:
    """A digest as S3 writes it."""
    return base64.b64encode(digest).decode()


def composite(parts: Iterable[bytes]) -> str:
    """S3's checksum of an object made of parts with these SHA-256 digests."""
    digests = list(parts)
    return f"{text_of(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def _range_total(value: str | None, start: int, count: int) -> int | None:
    """The size in `bytes START-END/SIZE`, if those are the bytes asked for."""
    if value is None:  # the whole object instead of a range: right only if it is all there is
        return count if start == 0 else None
    head, _, total = value.partition("/")
    if head != f"bytes {start}-{start + count - 1}" or not total.isdecimal():
        return None
    return int(total)
