"""Replication to, from and between buckets, audit of one, and repair in both directions."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.opening import store_at
from stemma_registry.care.audit import Report, audit
from stemma_registry.care.repair import RegistrySource, repair_all
from stemma_registry.care.replicate import replicate
from tests import seaweed
from tests.registry.stores import MODEL, Disk, contents, overwrite

LARGE = 17 * 1024 * 1024  # in parts


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    disk = Disk(tmp_path / "disk")
    disk.push("data/large:1", {"large.bin": secrets.token_bytes(1024) * (LARGE // 1024)})
    disk.fill()
    return disk


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in seaweed.shared().environment().items():
        monkeypatch.setenv(name, value)
    return f"care-{secrets.token_hex(4)}"


def opened(disk: Disk, prefix: str) -> Store:
    return store_at(f"s3://{seaweed.shared_bucket()}/{prefix}", disk.home, cached=False)


def looked(disk: Disk, store: Store) -> Report:
    return audit(store, disk.home, disk.trust, read_data=True)


def test_to_a_bucket_and_back(disk: Disk, prefix: str, tmp_path: Path) -> None:
    remote, other = opened(disk, f"{prefix}/a"), opened(disk, f"{prefix}/b")
    first = replicate(disk.store, remote, disk.home, disk.trust)
    assert (first.behind, first.lost) == (0, [])
    again = replicate(disk.store, remote, disk.home, disk.trust)
    assert (again.entries, again.blobs) == (0, 0)
    replicate(remote, other, disk.home, disk.trust)
    report = looked(disk, other)
    assert (report.whole, report.surplus, report.strays, report.unfinished) == (True, [], [], 0)
    back = Disk.__new__(Disk)
    back.root = tmp_path / "back"
    back.root.mkdir()
    back.store = store_at(str(back.root), disk.home, cached=False)
    replicate(other, back.store, disk.home, disk.trust)
    assert contents(back.root) == contents(disk.root)


def test_a_bucket_is_audited_and_mended(disk: Disk, prefix: str) -> None:
    remote = opened(disk, prefix)
    replicate(disk.store, remote, disk.home, disk.trust)
    client, bucket = seaweed.shared().client(), seaweed.shared_bucket()
    # What only entry 2 refers to is not known any more once that is damaged.
    blobs = [Digest.of(data) for data in MODEL.values()]

    def key(n: int) -> str:
        return f"{prefix}/blobs/sha256/{blobs[n].value[:2]}/{blobs[n].value[2:]}"

    client.delete_object(Bucket=bucket, Key=key(0))
    client.put_object(Bucket=bucket, Key=key(1), Body=b"wrong")
    client.put_object(Bucket=bucket, Key=f"{prefix}/ledger/000/000/000002.json", Body=b"wrong")
    client.put_object(Bucket=bucket, Key=f"{prefix}/notes.txt", Body=b"mine")
    report = looked(disk, remote)
    assert {str(blobs[0]), str(blobs[1]), "entry 2"} <= {f.subject for f in report.findings}
    assert [stray.name for stray in report.strays] == ["notes.txt"]
    source = RegistrySource(disk.store)
    after, _ = repair_all(remote, disk.home, disk.trust, report, lambda _: source, True)
    assert after.whole, after.findings


def test_a_disk_is_mended_from_a_bucket(disk: Disk, prefix: str) -> None:
    remote, before = opened(disk, prefix), contents(disk.root)
    replicate(disk.store, remote, disk.home, disk.trust)
    for path in disk.objects():
        if path.stat().st_size > 100:
            overwrite(path, path.read_bytes()[:-1])
    source = RegistrySource(remote)
    report = looked(disk, disk.store)
    after, _ = repair_all(disk.store, disk.home, disk.trust, report, lambda _: source, True)
    assert after.whole, after.findings
    assert contents(disk.root) == before
