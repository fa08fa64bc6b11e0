"""What else only the store in a bucket promises, on a real server."""

from __future__ import annotations

import datetime
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.blobs.s3 import S3Store, split
from stemma_registry.blobs.s3_bucket import PART, Bucket
from stemma_registry.errors import (
    AlreadyThere,
    NotFound,
    StoreError,
    Temporary,
    Unanswered,
    Unavailable,
)
from stemma_registry.settings import S3Settings
from tests import seaweed
from tests.contracts.places import S3Place
from tests.contracts.watching import KEY, Watch, large, on_disk


@pytest.fixture
def place(tmp_path: Path) -> S3Place:
    return S3Place(tmp_path)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def store(place: S3Place, watch: Watch) -> S3Store:
    return S3Store(watch.client, place.name, place.prefix, S3Settings())


# Conditions and checksums.


def test_a_wrong_checksum_is_refused_by_the_server(place: S3Place, watch: Watch) -> None:
    """The server that the tests trust to check does check."""
    bucket = Bucket(watch.client, place.name, S3Settings())
    with pytest.raises(Temporary, match="BadDigest"):
        bucket.write(f"{place.prefix}/x", b"abc", True, {}, hashlib.sha256(b"abd").digest())
    assert place.keys() == []


def test_the_body_is_not_hashed_again_to_sign_it(
    store: S3Store, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    watch.client.meta.events.register(
        "before-send.s3", lambda request, **_: seen.append(request.headers["X-Amz-Content-SHA256"])
    )
    import botocore.auth

    def sha256(data: bytes = b"") -> Any:
        assert len(data) < 1000, "a body was hashed"
        return hashlib.sha256(data)

    monkeypatch.setattr(botocore.auth, "sha256", sha256)
    store.create(KEY, b"x" * 2000)
    text = hashlib.sha256(b"x" * 2000).hexdigest()
    assert seen in ([text], [text.encode()])


def test_small_blobs_take_one_request(store: S3Store, watch: Watch, tmp_path: Path) -> None:
    with on_disk(tmp_path, b"12345") as source:
        digest = store.receive(source, 5)
    assert watch.count == {"PutObject": 1}
    assert not store.put(io.BytesIO(b"12345"), digest, 5)
    assert watch.count == {"PutObject": 2, "HeadObject": 1}


def test_what_is_written_says_how(place: S3Place, watch: Watch) -> None:
    settings = S3Settings("aws:kms", "alias/weights", "STANDARD_IA", "GOVERNANCE", 30, None)
    store = S3Store(watch.client, place.name, place.prefix, settings)

    def stop(name: str, values: dict[str, Any]) -> None:
        watch.sent.append((name, values))
        raise KeyboardInterrupt

    watch.fail = stop
    before = datetime.datetime.now(datetime.UTC)
    for write in (
        lambda: store.create(KEY, b"{}"),
        lambda: put_bytes(store, b"small"),
        lambda: store.replace("status/a", b"{}"),
    ):
        with pytest.raises(KeyboardInterrupt):
            write()
    entry, blob, status = (values for _, values in watch.sent)
    for values in (entry, blob, status):
        assert values["ServerSideEncryption"] == "aws:kms"
        assert values["SSEKMSKeyId"] == "alias/weights"
    for values in (entry, blob):
        assert values["IfNoneMatch"] == "*"
        assert values["ObjectLockMode"] == "GOVERNANCE"
        until = values["ObjectLockRetainUntilDate"] - before
        assert datetime.timedelta(days=30) <= until < datetime.timedelta(days=30, minutes=5)
    assert blob["StorageClass"] == "STANDARD_IA"
    assert "StorageClass" not in entry
    assert not {"ObjectLockMode", "IfNoneMatch", "StorageClass"} & set(status)


# Care.


def test_half_uploads_are_swept(store: S3Store, place: S3Place, watch: Watch) -> None:
    data = large()

    def cut(name: str, values: dict[str, Any]) -> None:
        if name == "CompleteMultipartUpload":
            raise KeyboardInterrupt

    watch.fail = cut
    with pytest.raises(KeyboardInterrupt):
        put_bytes(store, data)
    kept = put_bytes(place.open(), large(1))
    assert [stray.unfinished for stray in store.strays()] == [True]
    assert store.sweep(3600) == 0
    assert store.sweep(-60) == 2, "the upload, and the record of what never came"
    assert place.leftovers() == []
    assert list(store.strays()) == []
    assert store.read_range(kept, PART, 4) == large(1)[PART : PART + 4]


def test_what_does_not_belong_there_is_a_stray(store: S3Store, place: S3Place) -> None:
    digest = put_bytes(store, b"12345")
    for name in ("blobs/sha256/ab/short", "other/thing", "ledger"):
        place.client.put_object(Bucket=place.name, Key=f"{place.prefix}/{name}", Body=b"123")
    place.client.put_object(Bucket=place.name, Key=f"{place.prefix}-beside/x", Body=b"123")
    assert list(store.blobs()) == [digest]
    assert list(store.keys("")) == []
    names = sorted((stray.name, stray.size) for stray in store.strays())
    assert names == [("blobs/sha256/ab/short", 3), ("ledger", 3), ("other/thing", 3)]


def test_a_deleted_blob_leaves_no_version_and_no_record(tmp_path: Path) -> None:
    name = seaweed.shared().bucket("versions")
    client = seaweed.shared_client()
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    store = S3Store(client, name, tmp_path.name, S3Settings())
    digest = put_bytes(store, b"12345")
    client.put_object(Bucket=name, Key=store._blob(digest), Body=b"123")
    store.delete(digest)
    assert store.size(digest) is None
    answer = client.list_object_versions(Bucket=name, Prefix=tmp_path.name)
    assert not answer.get("Versions")
    assert not answer.get("DeleteMarkers")


def test_what_is_locked_is_not_deleted_and_that_is_said(tmp_path: Path) -> None:
    name = seaweed.shared().bucket("locked", lock=True)
    settings = S3Settings(lock_mode="COMPLIANCE", lock_days=1)
    store = S3Store(seaweed.shared_client(), name, tmp_path.name, settings)
    digest = put_bytes(store, b"12345")
    with pytest.raises(Unavailable, match="lock"):
        store.delete(digest)
    assert get_bytes(store, digest, 5) == b"12345"


# Where it is, and who may.


def test_a_bucket_that_is_not_there_is_no_empty_store() -> None:
    store = S3Store(seaweed.shared().client(), "no-such-bucket", "", S3Settings())
    digest = Digest.of(b"12345")
    for act in (
        lambda: store.size(digest),
        lambda: store.read(KEY),
        lambda: store.settle(KEY),
        lambda: list(store.chunks(digest)),
        lambda: list(store.blobs()),
        lambda: list(store.keys("")),
        lambda: store.create(KEY, b"{}"),
        lambda: store.delete(digest),
    ):
        with pytest.raises(Unavailable, match="bucket"):
            act()


def test_wrong_credentials_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    server = seaweed.shared()
    for name, value in (server.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}).items():
        monkeypatch.setenv(name, value)
    store = S3Store.at(f"s3://{seaweed.shared_bucket()}/x")
    with pytest.raises(Unavailable, match="AWS_PROFILE") as caught:
        store.read(KEY)
    assert not isinstance(caught.value, Temporary)


def test_the_environment_says_where_and_who(monkeypatch: pytest.MonkeyPatch) -> None:
    server = seaweed.shared()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    location = f"s3://{seaweed.shared_bucket()}/environment"
    store = S3Store.at(location + "/", S3Settings(addressing_style="path"))
    assert store.location == f"{location} at {server.endpoint}"
    digest = put_bytes(store, b"12345")
    assert get_bytes(S3Store.at(location), digest, 5) == b"12345"


def test_nobody_there_is_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweed.shared().environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(Temporary, match="reached") as caught:
        S3Store.at("s3://bucket").create(KEY, b"{}")
    assert not isinstance(caught.value, Unanswered), "nothing was sent"


@pytest.mark.parametrize("location", ["s3://", "s3://a//b", "s3://bucket/a b", "s3:/bucket", "x"])
def test_what_is_no_location(location: str) -> None:
    with pytest.raises(NotFound):
        split(location)


def test_a_location_is_bucket_and_prefix() -> None:
    assert split("s3://bucket") == split("s3://bucket/") == ("bucket", "")
    assert split("s3://bucket/a/b/") == ("bucket", "a/b")


def test_a_store_may_fill_a_whole_bucket() -> None:
    name = seaweed.shared().bucket("whole")
    store = S3Store(seaweed.shared_client(), name, "", S3Settings())
    digest = put_bytes(store, b"12345")
    store.replace("status/a", b"{}")
    assert list(store.blobs()) == [digest]
    assert list(store.keys("")) == ["status/a"]


@pytest.mark.parametrize("key", ["blobs/x", "ledger/../x", "ledger/", "/ledger/x", "ledger/a b"])
def test_no_other_keys_are_written(store: S3Store, watch: Watch, key: str) -> None:
    for act in (lambda: store.create(key, b""), lambda: store.replace(key, b"")):
        with pytest.raises(StoreError):
            act()
    assert not watch.count


def test_a_conflict_is_tried_again(store: S3Store, watch: Watch) -> None:
    left = [2]

    def fail(name: str, values: dict[str, Any]) -> None:
        if name == "PutObject" and left[0]:
            left[0] -= 1
            answer = {"Error": {"Code": "ConditionalRequestConflict"}}
            raise watch.client.exceptions.ClientError(answer, name)

    watch.fail = fail
    store.create(KEY, b"{}")
    assert left == [0]
    assert store.read(KEY) == b"{}"
    with pytest.raises(AlreadyThere):
        store.create(KEY, b"{}")
