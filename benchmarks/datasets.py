"""The four data sets, made on the spot.

The bytes are random. The files have the form of what they stand for only where
a program could look: safetensors files have a right header, the Parquet-like
shards the magic at both ends and no real footer between.
"""

from __future__ import annotations

import json
import os
import random
import struct
from dataclasses import dataclass
from pathlib import Path

GIGABYTE, MEGABYTE = 1_000_000_000, 1_000_000
_PIECE = 8 * MEGABYTE


@dataclass(frozen=True)
class DataSet:
    """A directory of files; `size` in bytes."""

    name: str
    label: str
    root: Path

    @property
    def paths(self) -> list[Path]:
        """The files, in order."""
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.paths)


def model(root: Path, scale: float) -> str:
    """4 x 1 GB safetensors and the configuration files beside them."""
    size = max(int(GIGABYTE * scale), 1000)
    for number in range(1, 5):
        _safetensors(root / f"model-{number:05d}-of-00004.safetensors", size)
    names = ("config.json", "generation_config.json", "tokenizer_config.json")
    for name in names:
        (root / name).write_text(json.dumps({"file": name, "hidden_size": 4096}, indent=2))
    (root / "tokenizer.json").write_bytes(os.urandom(max(int(2 * MEGABYTE * scale), 100)))
    return f"4 x {_amount(size)} safetensors + configs"


def one(root: Path, scale: float) -> str:
    """One file of 4 GB."""
    size = max(int(4 * GIGABYTE * scale), 1000)
    _safetensors(root / "model.safetensors", size)
    return f"one file of {_amount(size)}"


def small(root: Path, scale: float) -> str:
    """2,000 files of 1 to 64 kB in 20 folders."""
    count, sizes = max(int(2000 * scale), 20), random.Random(3)
    for number in range(count):
        folder = root / f"part-{number % 20:02d}"
        folder.mkdir(exist_ok=True)
        (folder / f"file-{number:05d}.json").write_bytes(os.urandom(sizes.randint(1000, 64_000)))
    return f"{count} files of 1 to 64 kB"


def parquet(root: Path, scale: float) -> str:
    """500 shards of 4 MB with Parquet's magic at both ends."""
    count = max(int(500 * scale), 5)
    for number in range(count):
        body = os.urandom(4 * MEGABYTE - 8)
        (root / f"train-{number:05d}-of-{count:05d}.parquet").write_bytes(b"PAR1" + body + b"PAR1")
    return f"{count} Parquet-like shards of 4 MB"


MAKERS = {"model": model, "one": one, "small": small, "parquet": parquet}


def make(name: str, folder: Path, scale: float) -> DataSet:
    """Make a data set in `folder`, written to the disk and left in the page cache."""
    root = folder / name
    root.mkdir(parents=True)
    made = DataSet(name, MAKERS[name](root, scale), root)
    os.sync()
    warm(made)
    return made


def warm(data: DataSet) -> None:
    """Read every byte once, so that it is in the page cache."""
    for path in data.paths:
        with path.open("rb", buffering=0) as source:
            while source.read(_PIECE):
                pass


def linked(data: DataSet, target: Path) -> Path:
    """The same files under another directory: hard links, so the page cache stays warm."""
    for path in data.paths:
        place = target / path.relative_to(data.root)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, place)
    return target


def stamps(data: DataSet) -> list[tuple[str, int, int]]:
    """What must not change while others work with the files."""
    return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in data.paths]


def _safetensors(path: Path, size: int) -> None:
    """One tensor of bytes. https://github.com/huggingface/safetensors, README, Format."""
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"weight": entry}).encode()
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        left = size
        while left:
            left -= out.write(os.urandom(min(_PIECE, left)))


def _amount(size: int) -> str:
    return f"{size / GIGABYTE:g} GB" if size >= GIGABYTE else f"{size / MEGABYTE:g} MB"
