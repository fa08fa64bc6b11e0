"""Looking after a bucket: what lies in it, what was left in it, and taking things away."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterator
from typing import Any

from stemma_attestations.digest import Digest
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Stray
from stemma_registry.blobs.s3_bucket import THREADS, Bucket
from stemma_registry.blobs.s3_read import record_at
from stemma_registry.blobs.s3_upload import remove, uploads
from stemma_registry.errors import AlreadyThere, NotFound, Temporary

KEY = re.compile(r"(?:ledger|status)(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+\Z")
_BLOB = re.compile(r"([0-9a-f]{2})/([0-9a-f]{62})\Z")
_OURS = re.compile(r"(?:blobs|chunks)/sha256/[0-9a-f]{2}/[0-9a-f]{62}\Z")


def named(bucket: Bucket, folder: str) -> Iterator[tuple[Digest, datetime.datetime]]:
    """The digests that objects below a folder are named by, in order, and their times."""
    last = ""
    for each in bucket.listing(folder):
        match = _BLOB.match(each["Key"][len(folder) :])
        if not match:
            continue
        if each["Key"] <= last:
            raise Temporary(f"cannot list {folder}: the server does not list in order")
        last = each["Key"]
        yield Digest("sha256", match[1] + match[2]), each["LastModified"]


def strays(bucket: Bucket, prefix: str) -> Iterator[Stray]:
    """What the layout has no place for, and unfinished uploads (whose size is not known: 0)."""
    for each in bucket.listing(prefix):
        name = each["Key"][len(prefix) :]
        if not KEY.match(name) and not _OURS.match(name):
            yield Stray(name, int(each["Size"]), unfinished=False)
    yield from _wrong_records(bucket, prefix)
    for each in uploads(bucket, prefix):
        yield Stray(f"{each['Key'][len(prefix) :]} (upload {each['UploadId']})", 0, unfinished=True)


def _wrong_records(bucket: Bucket, prefix: str) -> Iterator[Stray]:
    """Records of chunks that do not fit their blobs: no part of those is read by them."""

    def look(digest: Digest) -> bool:
        name = f"sha256/{digest.value[:2]}/{digest.value[2:]}"
        found = bucket.head(f"{prefix}blobs/{name}")
        record = record_at(bucket, f"{prefix}chunks/{name}")
        # One whose blob is not there yet may be of an upload that is at it.
        return found is None or (record is not None and record.is_of(found))

    digests = (digest for digest, _ in named(bucket, f"{prefix}chunks/sha256/"))
    for digest, fits in ahead(look, digests, THREADS):
        if not fits:
            name = f"chunks/sha256/{digest.value[:2]}/{digest.value[2:]}"
            yield Stray(f"{name} (does not fit its blob)", 0, unfinished=False)


def sweep(bucket: Bucket, prefix: str, older_than_seconds: float) -> int:
    """Remove unfinished uploads, and records of chunks of blobs that never came."""
    now = datetime.datetime.now(datetime.UTC)
    limit = now - datetime.timedelta(seconds=older_than_seconds)
    swept = 0
    for each in list(uploads(bucket, f"{prefix}blobs/")):
        if each["Initiated"] <= limit:
            swept += remove(bucket, each["Key"], each["UploadId"])
    blobs = (digest for digest, _ in named(bucket, f"{prefix}blobs/sha256/"))
    there: Digest | None = None
    for number, (digest, made) in enumerate(list(named(bucket, f"{prefix}chunks/sha256/"))):
        if number == 0:
            there = next(blobs, None)
        while there is not None and there < digest:
            there = next(blobs, None)
        if there != digest and made <= limit:
            delete(bucket, f"{prefix}chunks/sha256/{digest.value[:2]}/{digest.value[2:]}")
            swept += 1
    return swept


def delete(bucket: Bucket, key: str) -> None:
    """Delete an object; in a bucket with versions, every version of it."""
    found = bucket.head(key)
    if found is None:
        return
    if found.versioned:
        _delete_versions(bucket, key)
    else:
        with contextlib.suppress(NotFound):
            bucket.call("delete_object", f"cannot delete {key}", Key=key)


def swap(bucket: Bucket, key: str, old: bytes | None, data: bytes) -> bool:
    """Write a small object where it holds `old` (None: where none is); whether that was so.

    Raises Unanswered.
    """
    etag = None
    if old is not None:
        try:
            found = bucket.piece(key, 0, len(old) + 1)
        except NotFound:
            return False
        if found.data != old:
            return False
        etag = found.etag
    try:
        bucket.write(key, data, old is None, bucket.encryption(), None, etag)
    except (AlreadyThere, NotFound):  # it was written, or taken away, meanwhile
        return False
    return True


def _delete_versions(bucket: Bucket, key: str) -> None:
    """Delete all versions of an object: a mark above them would only hide the bytes."""
    doing, more = f"cannot delete {key}", dict[str, Any]()
    while True:
        answer = bucket.call("list_object_versions", doing, Prefix=key, **more)
        for each in [*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())]:
            if each["Key"] == key:
                with contextlib.suppress(NotFound):
                    bucket.call("delete_object", doing, Key=key, VersionId=each["VersionId"])
        if not answer.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": answer["NextKeyMarker"],
            "VersionIdMarker": answer["NextVersionIdMarker"],
        }
        if marker == more:
            raise Temporary(f"{doing}: the server's pages do not end")
        more = marker
