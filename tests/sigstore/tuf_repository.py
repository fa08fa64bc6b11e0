"""A TUF repository for tests: made with python-tuf, served on a loopback port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

ROLES = ("root", "timestamp", "snapshot", "targets")
TARGET = "trusted_root.json"


class TufRepository:
    """One target, and keys of this process's own. What is published lies in `files`."""

    def __init__(self, target: bytes | None) -> None:
        self.keys = {role: CryptoSigner.generate_ecdsa() for role in ROLES}
        self.files: dict[str, bytes] = {}
        self.slow: set[str] = set()  # sent one byte at a time
        self.requests: list[str] = []
        self.lifetime = timedelta(days=1)
        self.root = Root(consistent_snapshot=True, expires=self._end())
        for role in ROLES:
            self.root.add_key(self.keys[role].public_key, role)
        self.anchor = self.publish_root()
        self.version = 0
        if target is not None:
            self.publish(target)

    def _end(self) -> datetime:
        return (datetime.now(UTC) + self.lifetime).replace(microsecond=0)

    def _signed(self, role: str, signed: Signed) -> bytes:
        metadata = Metadata(signed)
        metadata.sign(self.keys[role])
        return metadata.to_bytes()

    def publish_root(self, before: CryptoSigner | None = None) -> bytes:
        """The root as it is, under its number; a new root key is vouched for by the one before."""
        metadata = Metadata(self.root)
        for key in (self.keys["root"], before):
            if key is not None:
                metadata.sign(key, append=True)
        raw = metadata.to_bytes()
        self.files[f"{self.root.version}.root.json"] = raw
        return raw

    def rotate(self, role: str) -> None:
        """Another key for a role, said by a new root."""
        old = self.keys[role]
        self.root.revoke_key(old.public_key.keyid, role)
        self.keys[role] = CryptoSigner.generate_ecdsa()
        self.root.add_key(self.keys[role].public_key, role)
        self.root.version += 1
        self.root.expires = self._end()
        self.publish_root(old if role == "root" else None)

    def publish(self, target: bytes, name: str = TARGET) -> None:
        """A new version of everything but the root."""
        self.version += 1
        n, end = self.version, self._end()
        info = TargetFile.from_data(name, target, ["sha256"])
        targets = Targets(version=n, expires=end, targets={name: info})
        snapshot = Snapshot(version=n, expires=end, meta={"targets.json": MetaFile(n)})
        timestamp = Timestamp(version=n, expires=end, snapshot_meta=MetaFile(n))
        self.files[f"targets/{info.hashes['sha256']}.{name}"] = target
        self.files[f"{n}.targets.json"] = self._signed("targets", targets)
        self.files[f"{n}.snapshot.json"] = self._signed("snapshot", snapshot)
        self.files["timestamp.json"] = self._signed("timestamp", timestamp)

    def place_of(self, target: bytes) -> str:
        """Where a target lies."""
        return next(name for name, data in self.files.items() if data == target)

    @contextmanager
    def served(self) -> Iterator[str]:
        """On a free loopback port; its URL."""
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                repository.requests.append(name)
                data = repository.files.get(name)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                try:
                    if name in repository.slow:
                        for byte in data or b"":
                            self.wfile.write(bytes([byte]))
                            self.wfile.flush()
                            time.sleep(0.1)
                    else:
                        self.wfile.write(data or b"")
                except OSError:
                    pass  # the client has gone

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
