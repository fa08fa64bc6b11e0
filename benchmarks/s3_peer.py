"""Copies a directory to or from a bucket with boto3's transfer manager or awscrt.

Run with the Python of the peers' environment:
`s3_peer.py CLIENT put|get DIRECTORY BUCKET PREFIX THREADS PART_BYTES`.
Prints the seconds of the transfers alone. SHA-256 checksums both ways.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any


def files_below(directory: Path) -> list[tuple[Path, str]]:
    """Every file and its key's end."""
    found = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return [(path, str(path.relative_to(directory))) for path in found]


def wanted(client: Any, bucket: str, prefix: str, directory: Path) -> list[tuple[Path, str]]:
    """What is to be downloaded, with the folders made."""
    jobs = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            path = directory / each["Key"][len(prefix) :]
            path.parent.mkdir(parents=True, exist_ok=True)
            jobs.append((path, each["Key"]))
    return jobs


def with_boto3(put: bool, directory: Path, bucket: str, prefix: str, limits: list[int]) -> float:
    """One transfer manager for everything. The seconds from when it is ready."""
    import boto3
    from boto3.s3.transfer import TransferConfig, create_transfer_manager
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, max_pool_connections=limits[0] + 10)
    client = boto3.client("s3", config=config)
    settings = TransferConfig(
        max_concurrency=limits[0],
        multipart_chunksize=limits[1],
        multipart_threshold=limits[1],
        preferred_transfer_client="classic",
    )
    start = time.perf_counter()
    with create_transfer_manager(client, settings) as manager:
        _submit(manager, client, put, directory, bucket, prefix)
    return time.perf_counter() - start


def with_awscrt(put: bool, directory: Path, bucket: str, prefix: str, limits: list[int]) -> float:
    """The C runtime's own client, driven by s3transfer as boto3[crt] does. Seconds, as above."""
    import boto3
    from botocore.config import Config
    from botocore.session import Session
    from s3transfer.crt import (
        BotocoreCRTCredentialsWrapper,
        BotocoreCRTRequestSerializer,
        CRTTransferManager,
        create_s3_crt_client,
    )

    config = Config(s3={"addressing_style": "path"})
    session, endpoint = Session(), os.environ["AWS_ENDPOINT_URL_S3"]
    wrapper = BotocoreCRTCredentialsWrapper(session.get_credentials())
    runtime = create_s3_crt_client(
        region=os.environ["AWS_DEFAULT_REGION"],
        crt_credentials_provider=wrapper.to_crt_credentials_provider(),
        num_threads=limits[0],
        part_size=limits[1],
        target_throughput=10 * 1000**3 / 8,
        use_ssl=False,
    )
    made = {"endpoint_url": endpoint, "region_name": os.environ["AWS_DEFAULT_REGION"]}
    serializer = BotocoreCRTRequestSerializer(session, {**made, "config": config})
    client, start = boto3.client("s3", config=config), time.perf_counter()
    with CRTTransferManager(runtime, serializer) as manager:
        _submit(manager, client, put, directory, bucket, prefix)
    return time.perf_counter() - start


def _submit(
    manager: Any, client: Any, put: bool, directory: Path, bucket: str, prefix: str
) -> None:
    if put:
        extra = {"ChecksumAlgorithm": "SHA256"}
        futures = [
            manager.upload(str(path), bucket, prefix + key, extra_args=dict(extra))
            for path, key in files_below(directory)
        ]
    else:
        futures = [
            manager.download(bucket, key, str(path), extra_args={"ChecksumMode": "ENABLED"})
            for path, key in wanted(client, bucket, prefix, directory)
        ]
    for future in futures:
        future.result()


def main(argv: list[str]) -> None:
    """Copy, and say how long it took."""
    name, doing, directory, bucket, prefix, *limits = argv
    clients = {"boto3": with_boto3, "awscrt": with_awscrt}
    copy = clients[name]
    numbers = [int(each) for each in limits]
    print(copy(doing == "put", Path(directory), bucket, prefix, numbers))


if __name__ == "__main__":
    main(sys.argv[1:])
