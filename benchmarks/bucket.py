"""What is measured against an S3 server on the loopback: push and pull.

Every run has a bucket of its own, which is deleted afterwards: that gives the
server's disk space back. The server's CPU seconds are counted, because it
shares the cores with whoever talks to it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import floors
from benchmarks.datasets import MEGABYTE, DataSet
from benchmarks.local import Plan
from benchmarks.measuring import Contestant, Line, Sample, group_cpu, process, settle
from benchmarks.peers import Peers
from benchmarks.seat import Seat, Start
from tests import seaweed

PEER = Path(__file__).with_name("s3_peer.py")
SAMPLE = 512 * MEGABYTE  # what settings are tried on, where the data set is larger
_numbers = itertools.count()


@dataclass(frozen=True)
class Client:
    """A program that copies directories to and from a bucket, with its settings."""

    name: str
    threads: int
    part: int

    @property
    def label(self) -> str:
        """Name and settings."""
        return f"{self.name}, {self.threads} threads, parts of {self.part // 2**20} MiB"


# What is tried: the defaults, and what two cores may like better.
CLIENTS = (
    Client("aws s3 cp", 10, 8 * 2**20),
    Client("aws s3 cp", 4, 32 * 2**20),
    Client("boto3", 10, 8 * 2**20),
    Client("boto3", 4, 16 * 2**20),
    Client("boto3", 4, 64 * 2**20),
    Client("awscrt", 2, 8 * 2**20),
    Client("awscrt", 2, 32 * 2**20),
)


@dataclass(frozen=True)
class Arena:
    """The server, and the environment of the peers."""

    server: seaweed.Server
    peers: Peers
    work: Path

    @contextlib.contextmanager
    def bucket(self) -> Iterator[str]:
        """A bucket that has its volumes already, for as long as it is needed."""
        name, client = f"run-{next(_numbers)}", self.server.client()
        self.server.bucket(name)
        for number in range(16):
            client.put_object(Bucket=name, Key=f"warm/{number}", Body=b"warm")
        try:
            yield name
        finally:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                keys = [{"Key": each["Key"]} for each in page.get("Contents", ())]
                if keys:
                    client.delete_objects(Bucket=name, Delete={"Objects": keys})
            client.delete_bucket(Bucket=name)

    def timed(self, run: Callable[[], Sample]) -> Sample:
        """A run, with the CPU seconds that the server spent meanwhile."""
        settle()
        before = group_cpu(self.server.pid)
        sample = run()
        return replace(sample, server=group_cpu(self.server.pid) - before)

    def copy(self, client: Client, put: bool, directory: Path, bucket: str) -> Sample:
        """One copy by a peer, both its whole process and (`inner`) the transfers alone."""
        environment = {**self.peers.environment, **self.server.environment()}
        if client.name == "aws s3 cp":
            environment["AWS_CONFIG_FILE"] = str(self._config(client))
            ends = [str(directory), f"s3://{bucket}/data/"]
            how = ["--checksum-algorithm", "SHA256"] if put else ["--checksum-mode", "ENABLED"]
            aws = [str(self.peers.bin / "aws"), "s3", "cp", "--recursive", "--only-show-errors"]
            argv = [*aws, *how, *(ends if put else ends[::-1])]
            return self.timed(lambda: process(argv, environment))
        doing, said = "put" if put else "get", self.work / "said"
        argv = [str(self.peers.bin / "python"), str(PEER), client.name, doing, str(directory)]
        argv += [bucket, "data/", str(client.threads), str(client.part)]
        sample = self.timed(lambda: process(argv, environment, output=said))
        return replace(sample, inner=float(said.read_text()))

    def _config(self, client: Client) -> Path:
        path = self.work / "aws-config"
        path.write_text(
            "[default]\ns3 =\n  addressing_style = path\n  preferred_transfer_client = classic\n"
            f"  max_concurrent_requests = {client.threads}\n"
            f"  multipart_chunksize = {client.part}\n  multipart_threshold = {client.part}\n"
        )
        return path

    def upload(self, client: Client, data: DataSet) -> Sample:
        """Upload to a fresh bucket."""
        with self.bucket() as bucket:
            sample = self.copy(client, True, data.root, bucket)
            self.check(bucket, data)
            return sample

    def check(self, bucket: str, data: DataSet) -> None:
        """Raise RuntimeError unless everything is in the bucket."""
        pages = self.server.client().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=bucket, Prefix="data/")
        size = sum(each["Size"] for page in found for each in page.get("Contents", ()))
        if size != data.size:
            raise RuntimeError(f"{size} of {data.size} bytes were uploaded")

    def download(self, client: Client, bucket: str, data: DataSet) -> Sample:
        """Download to a new directory; `extra` is the time to make that durable."""
        target = self.work / "downloaded"
        target.mkdir()
        try:
            sample = self.copy(client, False, target, bucket)
            start = time.perf_counter()
            floors.sync_tree(target)
            extra = time.perf_counter() - start
            size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
            if size != data.size:
                raise RuntimeError(f"{client.name}: {size} of {data.size} bytes came")
        finally:
            shutil.rmtree(target)
        return replace(sample, extra=extra)

    def best(self, data: DataSet) -> list[Client]:
        """Of each program the settings that uploaded the data (or a sample of it) fastest."""
        trial, made = data, None
        if data.size > SAMPLE and len(data.paths) < 1000:
            made = self.work / "sample"
            made.mkdir()
            with (made / "sample.bin").open("wb") as out:
                for _ in range(SAMPLE // (8 * MEGABYTE)):
                    out.write(os.urandom(8 * MEGABYTE))
            trial = DataSet("sample", "sample", made)
        times = {client: self.upload(client, trial).wall for client in CLIENTS}
        if made is not None:
            shutil.rmtree(made)
        names = dict.fromkeys(client.name for client in CLIENTS)
        return [min((c for c in CLIENTS if c.name == n), key=times.__getitem__) for n in names]


def lines(plan: Plan, data: DataSet) -> Iterator[Line]:
    """Push to an empty registry in a bucket, and pull from it with an empty cache."""
    if plan.peers is None:
        raise RuntimeError("S3 is measured against peers: leave --no-peers out")
    with seaweed.server(plan.work / "s3", volume_mb=1024) as server:
        arena = Arena(server, plan.peers, plan.work)
        best = arena.best(data)
        yield push(plan, arena, data, best)
        yield pull(plan, arena, data, best)
    shutil.rmtree(plan.work / "s3")


def push(plan: Plan, arena: Arena, data: DataSet, best: list[Client]) -> Line:
    """Every peer is a floor here: the fastest of them counts."""

    def ours() -> Sample:
        with arena.bucket() as bucket:
            seat = seat_at(plan, arena, bucket)
            try:
                return arena.timed(lambda: seat.push(data.root))
            finally:
                seat.end()

    with arena.bucket() as tiny_bucket:
        other = seat_at(plan, arena, tiny_bucket)
        contestants = [
            Contestant("stemma push", "ours", ours),
            Start("push", other, plan.work).contestant(),
            *(_uploader(arena, client, data) for client in best),
        ]
        line = plan.measure(data.label, "push to S3", contestants)
        other.end()
    line.goal = 1.15
    line.notes.append("SHA-256 checksums at all; the fastest settings of those that were tried")
    return line


def pull(plan: Plan, arena: Arena, data: DataSet, best: list[Client]) -> Line:
    """Ours is fsynced and fills the read cache; the peers' time to fsync is added beside."""
    target = plan.work / "pulled"
    with arena.bucket() as ours_bucket, arena.bucket() as bucket:
        seat = seat_at(plan, arena, ours_bucket)
        seat.push(data.root)
        arena.copy(best[1], True, data.root, bucket)

        def ours() -> Sample:
            seat.forget()
            try:
                return arena.timed(lambda: seat.pull(target))
            finally:
                shutil.rmtree(target)

        def without_cache() -> Sample:
            (seat.folder / "home/config.yaml").write_text("cache_size: 0 B\n")
            try:
                return ours()
            finally:
                (seat.folder / "home/config.yaml").unlink()

        line = plan.measure(
            data.label,
            "pull from S3",
            [
                Contestant("stemma pull", "ours", ours),
                Start("pull", seat, plan.work).contestant(),
                Contestant("stemma pull without a read cache", "other", without_cache),
                *(_downloader(arena, client, bucket, data) for client in best),
            ],
        )
        line.goal = 1.15
        seat.end()
    line.notes.append("ours is fsynced and checked whole; the peers are not fsynced")
    return line


def seat_at(plan: Plan, arena: Arena, bucket: str) -> Seat:
    """A user of a new registry in a bucket."""
    return Seat.made(plan.work, f"s3://{bucket}/registry", arena.server.environment())


def _uploader(arena: Arena, client: Client, data: DataSet) -> Contestant:
    return Contestant(client.label, "floor", lambda: arena.upload(client, data))


def _downloader(arena: Arena, client: Client, bucket: str, data: DataSet) -> Contestant:
    return Contestant(client.label, "floor", lambda: arena.download(client, bucket, data))
