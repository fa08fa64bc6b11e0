"""Uploading a large blob in parts: in parallel, resumed where it was broken off, checked.

Every part carries its SHA-256, which the server compares, and the whole is
checked by the SHA-256 of those. An unfinished upload of the same blob is found
again, and the parts in it that are ours are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from stemma_registry.blobs.s3_bucket import PART, Bucket, again, composite, text_of
from stemma_registry.blobs.s3_client import code_of
from stemma_registry.blobs.streams import Progress
from stemma_registry.errors import AlreadyThere, Damaged, NotFound, Temporary, Unavailable

MAX_PARTS = 10_000  # of S3


def part_size(size: int) -> int:
    """The size of the parts of a blob: larger only where there would be too many."""
    count = PART
    while count * MAX_PARTS < size:
        count *= 2
    return count


class Gone(Temporary):
    """The unfinished upload is no more: another writer finished it, or it was swept."""


@dataclass(frozen=True)
class Part:
    """One part, numbered from 1. `read` gives its bytes, `digest` their SHA-256 if known."""

    number: int
    size: int
    read: Callable[[], bytes]
    digest: bytes | None = None


@dataclass
class _Kept:
    """A part that an unfinished upload holds already."""

    size: int
    etag: str
    checksum: str | None

    def is_ours(self, data: bytes, digest: bytes) -> bool:
        """Whether it has these bytes; a server that lists no SHA-256 has the MD5 as its tag."""
        if self.size != len(data):
            return False
        if self.checksum is not None:
            return self.checksum == text_of(digest)
        # Not for trust: the checksum of the whole is compared at the end.
        return self.etag.strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class Upload:
    """One upload of the blob at `key`. `digests` and `tags` fill up, by number."""

    bucket: Bucket
    key: str
    progress: Progress | None = None
    identity: str = ""
    adopted: bool = False  # begun by somebody else, who may still be at it
    digests: dict[int, bytes] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    kept: dict[int, _Kept] = field(default_factory=dict)

    def begin(self) -> None:
        """Find an unfinished upload of the key, or begin one."""
        found = sorted(
            (each["Initiated"], each["UploadId"])
            for each in uploads(self.bucket, self.key)
            if each["Key"] == self.key and each.get("ChecksumAlgorithm", "SHA256") == "SHA256"
        )
        for _, identity in found:
            self.identity = identity
            with contextlib.suppress(NotFound, Temporary):
                self.kept = dict(self._parts())
                self.adopted = True
                return
        answer = self.bucket.call(
            "create_multipart_upload",
            self._doing(),
            Key=self.key,
            ChecksumAlgorithm="SHA256",
            **self.bucket.blob(),
        )
        self.identity = answer["UploadId"]

    def send(self, parts: Iterable[Part]) -> None:
        """Send the parts, several at once. Raises Damaged where one changed since it was hashed."""
        room, waiting = self.bucket.room, list[Future[None]]()
        failed: list[BaseException] = []

        def job(part: Part, data: bytes | None, taken: int) -> None:
            try:
                if not failed:
                    self._send(part, part.read() if data is None else data)
            except BaseException as error:
                failed.append(error)
                raise
            finally:
                room.give(taken)

        try:
            for part in parts:
                if failed:
                    break
                taken = room.take(part.size)
                try:
                    # A part that is hashed on the way is read here, in order; others anywhere.
                    data = part.read() if part.digest is None else None
                    waiting.append(self.bucket.pool.submit(job, part, data, taken))
                except BaseException:
                    room.give(taken)
                    raise
        except BaseException as error:
            failed.append(error)  # what is waiting is not begun
            raise
        finally:
            errors = [future.exception() for future in waiting]
        for raised in errors:
            if raised is not None:
                raise raised

    def _send(self, part: Part, data: bytes) -> None:
        digest = hashlib.sha256(data).digest() if part.digest is None else part.digest
        kept = self.kept.get(part.number)
        if kept is not None and kept.is_ours(data, digest):
            tag = kept.etag
        else:
            # Another try finds no upload that is gone.
            tag = again(lambda: self._upload(part, data, digest), lambda e: not isinstance(e, Gone))
        self.digests[part.number], self.tags[part.number] = digest, tag
        if self.progress is not None:
            self.progress(len(data))

    def _upload(self, part: Part, data: bytes, digest: bytes) -> str:
        try:
            answer = self.bucket.call(
                "upload_part",
                self._doing(),
                Key=self.key,
                UploadId=self.identity,
                PartNumber=part.number,
                Body=data,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=text_of(digest),
            )
        except NotFound as error:
            raise Gone(f"{self._doing()}: the unfinished upload is gone") from error
        except Temporary:
            # The server may have said that the bytes are wrong: then it is they, or the way.
            if hashlib.sha256(data).digest() != digest:
                raise Damaged(f"{self.key}: the file changed while it was stored") from None
            raise
        return str(answer["ETag"])

    def whole(self) -> str:
        """The checksum that the finished object must have."""
        return composite(self.digests[number] for number in sorted(self.digests))

    def finish(self, size: int, new: bool) -> None:
        """Make the blob visible, and look that it is what was sent.

        Raises AlreadyThere where one is there (and `new`), Temporary.
        """
        listed = [
            {
                "PartNumber": number,
                "ETag": self.tags[number],
                "ChecksumSHA256": text_of(self.digests[number]),
            }
            for number in sorted(self.tags)
        ]
        try:
            self._complete(listed, new)
        except NotFound as error:
            # Somebody else finished or removed it: what is there says which.
            raise AlreadyThere(f"{self.key}: its upload was finished by another writer") from error
        found = again(lambda: self.bucket.head(self.key))
        if found is None or found.size != size or found.checksum not in (None, self.whole()):
            raise Temporary(f"{self._doing()}: what is there is not what was sent")

    def _complete(self, listed: list[dict[str, Any]], new: bool) -> None:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if new else {}

        def complete() -> None:
            try:
                self.bucket.call(
                    "complete_multipart_upload",
                    self._doing(),
                    Key=self.key,
                    UploadId=self.identity,
                    MultipartUpload={"Parts": listed},
                    ChecksumSHA256=self.whole(),
                    **condition,
                )
            except Temporary as error:
                if code_of(error.__cause__ or error) in ("InvalidPart", "InvalidPartOrder"):
                    self.discard()  # nobody can finish it
                    raise
                if new and self.bucket.head(self.key) is not None:
                    raise AlreadyThere(f"{self.key} is there now") from error
                raise

        again(complete)

    def abort(self) -> None:
        """Remove what was sent. An adopted upload stays: its owner may be at it."""
        if self.identity and not self.adopted:
            remove(self.bucket, self.key, self.identity)

    def discard(self) -> None:
        """Remove the upload whoever began it: the blob is there."""
        if self.identity:
            remove(self.bucket, self.key, self.identity)

    def _parts(self) -> Iterator[tuple[int, _Kept]]:
        more: dict[str, Any] = {}
        while True:
            answer = self.bucket.call(
                "list_parts", self._doing(), Key=self.key, UploadId=self.identity, **more
            )
            for each in answer.get("Parts", ()):
                part = _Kept(int(each["Size"]), each["ETag"], each.get("ChecksumSHA256"))
                yield int(each["PartNumber"]), part
            if not answer.get("IsTruncated"):
                return
            if answer["NextPartNumberMarker"] == more.get("PartNumberMarker"):
                raise Temporary(f"{self._doing()}: the server's pages do not end")
            more["PartNumberMarker"] = answer["NextPartNumberMarker"]

    def _doing(self) -> str:
        return f"cannot store {self.key}"


def uploads(bucket: Bucket, prefix: str) -> Iterator[dict[str, Any]]:
    """The unfinished uploads of keys that begin so."""
    more: dict[str, Any] = {}
    while True:
        answer = bucket.call(
            "list_multipart_uploads", "cannot list unfinished uploads", Prefix=prefix, **more
        )
        yield from answer.get("Uploads", ())
        if not answer.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": answer.get("NextKeyMarker"),
            "UploadIdMarker": answer.get("NextUploadIdMarker"),
        }
        if marker == more or not marker["KeyMarker"]:
            raise Temporary("cannot list unfinished uploads: the server's pages do not end")
        more = marker


def remove(bucket: Bucket, key: str, identity: str) -> bool:
    """Remove an unfinished upload; False if it was gone. Failing is left to the sweep."""
    try:
        bucket.call(
            "abort_multipart_upload",
            "cannot remove an unfinished upload",
            Key=key,
            UploadId=identity,
        )
    except (NotFound, Unavailable):
        return False
    return True
