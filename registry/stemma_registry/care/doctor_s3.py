"""The checks of a bucket: harmless calls, each undone, that show what Stemma relies on.

What a server does not implement, or the credentials may not ask, is `unknown`
where nothing depends on it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from stemma_attestations.errors import StemmaError
from stemma_registry import settings
from stemma_registry.blobs.s3 import S3Store, split
from stemma_registry.blobs.s3_bucket import Bucket
from stemma_registry.blobs.s3_client import code_of, status_of
from stemma_registry.care.doctor import Check, Outcome, failed, ok, warning
from stemma_registry.config import Home
from stemma_registry.errors import AlreadyThere, StoreError

SKEW = timedelta(minutes=5)  # S3 refuses a request that is 15 minutes off
_DOCS = "see docs/store.md for the policy"
_SETUP = "see docs/store.md for the bucket's set-up"


def examine_bucket(location: str, home: Home, now: datetime) -> Iterator[Check]:
    """Every check of the bucket at `s3://BUCKET/PREFIX`; the later ones only if it answers."""
    try:
        _, prefix = split(location)
        wanted = settings.load(home).s3(location)
        bucket = S3Store.at(location, wanted).bucket
    except StemmaError as error:
        yield failed("bucket", str(error), "see the message")
        return
    credentials = _credentials(bucket)
    yield credentials
    if credentials.outcome is Outcome.FAILED:
        return
    reached = _reachable(bucket, now)
    yield from reached
    if any(check.outcome is Outcome.FAILED for check in reached):
        return
    folder = f"{prefix}/status" if prefix else "status"
    probe = _Probe(bucket, f"{folder}/doctor-{secrets.token_hex(8)}")
    try:
        yield from probe.checks()
    finally:
        probe.clean()
    yield from _setup(bucket)


def _credentials(bucket: Bucket) -> Check:
    name = "credentials"
    found = bucket.client._request_signer._credentials
    if found is None:
        return failed(name, "none", "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and the secret")
    return ok(name, f"by {found.method}")


def _reachable(bucket: Bucket, now: datetime) -> list[Check]:
    try:
        answer = bucket.call("head_bucket", f"cannot reach bucket {bucket.name}")
    except StemmaError as error:
        return [failed("bucket", str(error), "check its name, the endpoint and the policy")]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    client = bucket.client.meta
    checks = [ok("bucket", f"{bucket.name} at {client.endpoint_url}")]
    region = headers.get("x-amz-bucket-region")
    if region and region != client.region_name:
        mend = f"set AWS_REGION={region}"
        checks.append(
            failed("region", f"the bucket is in {region}, not {client.region_name}", mend)
        )
    else:
        checks.append(ok("region", str(client.region_name)))
    return [*checks, _skew(headers.get("date"), now)]


def _skew(date: str | None, now: datetime) -> Check:
    name = "clock of the server"
    try:
        server = parsedate_to_datetime(date or "").astimezone(UTC)
    except (TypeError, ValueError):
        return Check(name, Outcome.UNKNOWN, "the server does not say what time it is")
    apart = abs(server - now)
    if apart > SKEW:
        return failed(name, f"{apart.total_seconds():.0f} s apart from ours", "set the clock (NTP)")
    return ok(name, f"{apart.total_seconds():.0f} s apart from ours")


class _Probe:
    """What Stemma does with objects, done with one that nobody needs."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self.bucket, self.key = bucket, key
        self._versions: set[str | None] = set()

    def checks(self) -> Iterator[Check]:
        """The calls, in the order in which they need each other."""
        yield self._try("list", self._list)
        written = self._try("write", self._write)
        yield written
        if written.outcome is Outcome.OK:
            yield self._try("read", self._read)
            yield self._try("conditional write (If-None-Match)", self._conditional)
        yield self._try("checksums", self._checksum)
        yield self._try("uploads in parts", self._parts)
        yield self._try("delete", self._delete)

    def clean(self) -> None:
        """Leave nothing behind, whatever went wrong."""
        for version in self._versions or {None}:
            extra: dict[str, Any] = {"VersionId": version} if version else {}
            with contextlib.suppress(StemmaError):
                self.bucket.call("delete_object", "cannot delete a probe", Key=self.key, **extra)

    def _try(self, name: str, job: Callable[[], Check]) -> Check:
        try:
            return job()
        except AlreadyThere as error:
            return failed(name, str(error), "somebody else uses the same key: try again")
        except (StoreError, StemmaError) as error:
            return failed(name, str(error), _DOCS)

    def _call(self, operation: str, **values: Any) -> Any:
        answer = self.bucket.call(operation, f"cannot {operation}", Key=self.key, **values)
        if operation == "put_object":
            self._versions.add(answer.get("VersionId"))
        return answer

    def _list(self) -> Check:
        folder = self.key.rpartition("/")[0] + "/"
        next(iter(self.bucket.listing(folder)), None)
        return ok("list", "s3:ListBucket")

    def _write(self) -> Check:
        self._call("put_object", Body=b"probe", IfNoneMatch="*", **self.bucket.encryption())
        return ok("write", "s3:PutObject")

    def _read(self) -> Check:
        if self._call("get_object")["Body"].read() != b"probe":
            return failed("read", "other bytes came back", "use another server")
        self._call("head_object")
        return ok("read", "s3:GetObject")

    def _conditional(self) -> Check:
        name = "conditional write (If-None-Match)"
        try:
            self._call("put_object", Body=b"probe 2", IfNoneMatch="*", **self.bucket.encryption())
        except AlreadyThere:
            return ok(name, "the second of two was refused")
        mend = "use a server that knows conditional writes: without, two pushes lose one"
        return failed(name, "the second of two was accepted", mend)

    def _checksum(self) -> Check:
        name = "checksums"
        wrong = base64.b64encode(hashlib.sha256(b"other bytes").digest()).decode()
        try:
            # Straight to the client's own signer: our own would sign the wrong digest, too.
            self._call("put_object", Body=b"probe", ChecksumSHA256=wrong)
        except StoreError as error:
            cause = error.__cause__
            if cause is not None and status_of(cause) in (400, 403, 422):
                return ok(name, f"wrong bytes were refused ({code_of(cause)})")
            raise
        mend = "Stemma reads and hashes everything anyway; do not rely on this server alone"
        return warning(name, "bytes with a wrong SHA-256 were accepted", mend)

    def _parts(self) -> Check:
        answer = self._call("create_multipart_upload", ChecksumAlgorithm="SHA256")
        upload = {"UploadId": answer["UploadId"]}
        try:
            self._call("upload_part", PartNumber=1, Body=b"part", **upload)
            self._call("list_parts", **upload)
        finally:
            self._call("abort_multipart_upload", **upload)
        folder = self.key.rpartition("/")[0] + "/"
        doing = "cannot list unfinished uploads"
        self.bucket.call("list_multipart_uploads", doing, Prefix=folder)
        return ok("uploads in parts", "s3:AbortMultipartUpload, s3:ListMultipartUploadParts")

    def _delete(self) -> Check:
        for version in self._versions - {None}:
            self._call("delete_object", VersionId=version)
        self._call("delete_object")
        self._versions.clear()
        return ok("delete", "s3:DeleteObject")


def _setup(bucket: Bucket) -> Iterator[Check]:
    """What the bucket's owner has set; not everybody may ask."""
    yield _ask(bucket, "versioning", "get_bucket_versioning", _versioning)
    yield _ask(bucket, "rule for unfinished uploads", "get_bucket_lifecycle_configuration", _rules)
    yield _ask(bucket, "public access", "get_public_access_block", _public)
    yield _ask(bucket, "encryption", "get_bucket_encryption", _encryption)
    lock = bucket.settings.lock_mode
    if lock is not None:
        check = _ask(bucket, "object lock", "get_object_lock_configuration", _lock)
        yield check


_ABSENT = (
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
    "ObjectLockConfigurationNotFoundError",
)


def _ask(
    bucket: Bucket, name: str, operation: str, judge: Callable[[str, dict[str, Any]], Check]
) -> Check:
    try:
        return judge(name, bucket.call(operation, f"cannot ask for {name}"))
    except StemmaError as error:
        cause = error.__cause__
        if cause is not None and code_of(cause) in _ABSENT:
            return judge(name, {})
        said = code_of(cause) if cause is not None else str(error)
        return Check(name, Outcome.UNKNOWN, f"cannot tell ({said})")


def _versioning(name: str, answer: dict[str, Any]) -> Check:
    state = answer.get("Status")
    if state == "Enabled":
        return ok(name, "on: what is deleted or replaced can be had again until its version goes")
    return warning(name, "off: a deletion by mistake is final", f"switch it on; {_SETUP}")


def _rules(name: str, answer: dict[str, Any]) -> Check:
    rules = [rule for rule in answer.get("Rules", ()) if rule.get("Status") == "Enabled"]
    days = [
        rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation")
        for rule in rules
        if "AbortIncompleteMultipartUpload" in rule
    ]
    if not days:
        return warning(name, "none: half uploads stay until `stemma gc`", _SETUP)
    if any("Expiration" in rule for rule in rules):
        return warning(name, "a rule lets objects expire", "look whether it is about this prefix")
    return ok(name, f"removed after {min(days)} days")


def _public(name: str, answer: dict[str, Any]) -> Check:
    block = answer.get("PublicAccessBlockConfiguration", {})
    wanted = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    lacking = [item for item in wanted if not block.get(item)]
    if lacking:
        return warning(name, f"not blocked: {', '.join(lacking)}", f"block it; {_SETUP}")
    return ok(name, "blocked")


def _encryption(name: str, answer: dict[str, Any]) -> Check:
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
    kinds = [
        rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules
    ]
    if not any(kinds):
        return warning(name, "the bucket has no default", f"set one; {_SETUP}")
    return ok(name, f"by default {kinds[0]}")


def _lock(name: str, answer: dict[str, Any]) -> Check:
    if answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled":
        return ok(name, "on, as configured")
    mend = "make a bucket with object lock, or take `object_lock` out of the configuration"
    return failed(name, "configured here, and off in the bucket", mend)
