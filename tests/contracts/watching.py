"""Large blobs, and a client that counts its requests, for the tests of the store in a bucket."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stemma_registry.blobs import s3_client
from stemma_registry.blobs.s3 import MULTIPART
from stemma_registry.blobs.s3_bucket import PART
from tests import seaweed

LARGE = MULTIPART + PART + 12_345  # four parts, the last one short
KEY = "ledger/000/000/000000.json"


def large(seed: int = 0) -> bytes:
    """Large bytes, each part of them another."""
    one = hashlib.shake_256(bytes([seed])).digest(1 << 20)
    parts = (bytes([n]) + one[1:] for n in range(LARGE // len(one) + 1))
    return b"".join(parts)[:LARGE]


def sha256s(data: bytes) -> list[bytes]:
    return [hashlib.sha256(data[i : i + PART]).digest() for i in range(0, len(data), PART)]


class Watch:
    """Counts the requests of a client of its own, by operation; `fail` may raise in one."""

    def __init__(self) -> None:
        self.client = seaweed.shared().client(
            max_pool_connections=32,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        s3_client.tame(self.client)
        self.count: Counter[str] = Counter()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.fail: Callable[[str, dict[str, Any]], None] = lambda name, values: None
        self.client.meta.events.register("provide-client-params.s3", self._params)

    def _params(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.fail(model.name, params)
        self.count[model.name] += 1
        self.sent.append((model.name, {k: v for k, v in params.items() if k != "Body"}))


def on_disk(folder: Path, data: bytes) -> io.FileIO:
    (folder / "blob").write_bytes(data)
    return (folder / "blob").open("rb", buffering=0)
