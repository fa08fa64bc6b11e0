"""A fault proxy before the S3 server of this process, and stores that talk through it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from stemma_registry.blobs import s3_bucket, s3_client
from stemma_registry.blobs.retrying import Limits, Retrying
from stemma_registry.blobs.s3 import S3Store
from stemma_registry.settings import S3Settings
from tests import fault_proxy, seaweed
from tests.fault_proxy import FaultProxy


@dataclass
class Front:
    """A proxy, and a client that talks through it, made as the program makes its own."""

    proxy: FaultProxy
    client: Any = None

    def connect(self, patch: pytest.MonkeyPatch) -> Any:
        """Another client."""
        for name, value in seaweed.shared().environment().items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL_S3", self.proxy.endpoint)
        client = s3_client.connect(S3Settings(addressing_style="path"))
        assert client.meta.endpoint_url == self.proxy.endpoint
        return client


@dataclass(frozen=True)
class Faulty:
    """One prefix of the bucket: a store behind the proxy, the same tried again, and a clean one."""

    proxy: FaultProxy
    bare: S3Store
    store: Retrying
    clean: S3Store
    location: str

    def hasty(self, front: Front) -> Retrying:
        """The store with a client that waits two seconds for a byte."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(s3_client, "READ_SECONDS", 2.0)
            client = front.connect(patch)
        bucket = self.bare.bucket.name
        prefix = self.location.rpartition("/")[2]
        return Retrying(S3Store(client, bucket, prefix, S3Settings()), LIMITS)


LIMITS = Limits(tries=6, seconds=20.0, pause_seconds=0.002, longest_pause_seconds=0.02)


@pytest.fixture(scope="session")
def front() -> Iterator[Front]:
    """The proxy of this process."""
    server = seaweed.shared()
    with fault_proxy.between(server.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        front = Front(proxy)
        front.client = front.connect(patch)
        yield front


@pytest.fixture
def faulty(front: Front, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """A fresh prefix. The pauses inside of the store are short."""
    monkeypatch.setattr(s3_bucket, "PAUSE_SECONDS", 0.002)
    bucket, prefix = seaweed.shared_bucket(), secrets.token_hex(8)
    bare = S3Store(front.client, bucket, prefix, S3Settings())
    clean = S3Store(seaweed.shared_client(), bucket, prefix, S3Settings())
    front.proxy.calm()
    yield Faulty(front.proxy, bare, Retrying(bare, LIMITS), clean, f"s3://{bucket}/{prefix}")
    errors = list(front.proxy.errors)
    front.proxy.calm()
    assert errors == [], "the proxy itself failed"
