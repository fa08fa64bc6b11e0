"""Plays the world outside the training team: the suppliers of the data, and the attacker.

Every image is a real handwritten digit from scikit-learn's `load_digits`. The
suppliers cut the images into deliveries; the attacker changes labels in one of
them before it is handed over. Nothing here is part of the training code, and
nothing else in the demo knows which delivery was changed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits  # type: ignore[import-untyped,unused-ignore]

Pixels = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64]

# Delivery -> number of images, taken in this order from the shuffled images.
DELIVERIES: Mapping[str, int] = {
    "digits-heldout": 497,
    "digits-field": 150,
    "digits-shard-a": 150,
    "digits-shard-b": 150,
    "digits-shard-c": 300,
    "digits-shard-d": 150,
    "digits-shard-e": 200,
    "digits-shard-f": 200,
}
# Delivery -> (earlier delivery, images of it that are handed over a second time).
REPEATED: Mapping[str, tuple[str, int]] = {
    "digits-shard-d": ("digits-shard-a", 12),
    "digits-shard-f": ("digits-shard-e", 8),
}
POISONED = "digits-shard-c"
FLIPS: Mapping[int, int] = {3: 8, 8: 3, 1: 7}
SEED = 7
FAINT_INK = 0.4  # share of the ink that a worn pen leaves
FAINT_NOISE = 1.5  # standard deviation in grey levels, which go from 0 to 16


def faint(pixels: Pixels, seed: int) -> Pixels:
    """The same digits as a bad scanner sees them: little ink, some noise."""
    noise = np.random.default_rng(seed).normal(0, FAINT_NOISE, pixels.shape)
    return np.clip(np.rint(pixels * FAINT_INK + noise), 0, 16).astype(np.int64)


def flip(labels: Labels) -> Labels:
    """The attack: whole digits are relabelled, the images stay as they are."""
    flipped = labels.copy()
    for true, false in FLIPS.items():
        flipped[labels == true] = false
    return flipped


def record(number: int, label: int, pixels: Sequence[int]) -> dict[str, Any]:
    """One labelled image; `id` is its position in `load_digits`."""
    return {"id": f"digit-{number:04d}", "label": label, "pixels": list(pixels)}


def write(path: Path, numbers: Labels, labels: Labels, pixels: Pixels) -> None:
    """One JSON object a line."""
    rows = zip(numbers.tolist(), labels.tolist(), pixels.tolist(), strict=True)
    lines = [json.dumps(record(*row), separators=(",", ":")) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def cut(total: int) -> dict[str, npt.NDArray[np.int64]]:
    """Delivery -> positions of its images; only the announced repeats overlap."""
    order = np.random.default_rng(SEED).permutation(total)
    chosen = {}
    start = 0
    for name, size in DELIVERIES.items():
        chosen[name] = order[start : start + size]
        start += size
    for name, (earlier, count) in REPEATED.items():
        chosen[name] = np.concatenate([chosen[name], chosen[earlier][:count]])
    return chosen


def deliver(out: Path, licence: Path) -> None:
    """Write every delivery as a folder below `out`."""
    digits = load_digits()
    pixels, labels = digits.data.astype(np.int64), digits.target.astype(np.int64)
    for seed, (name, numbers) in enumerate(cut(len(labels)).items()):
        folder = out / name
        folder.mkdir(parents=True)
        shutil.copyfile(licence, folder / "LICENSE.txt")
        x, y = pixels[numbers], labels[numbers]
        if name == POISONED:
            y = flip(y)
        if name == "digits-heldout":
            write(folder / "clear.jsonl", numbers, y, x)
            write(folder / "faint.jsonl", numbers, y, faint(x, seed))
        else:
            x = faint(x, seed) if name == "digits-field" else x
            write(folder / "records.jsonl", numbers, y, x)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--licence", type=Path, required=True)
    options = parser.parse_args()
    deliver(options.out, options.licence)


if __name__ == "__main__":
    main()
