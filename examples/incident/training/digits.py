"""Reading data sets, and the model: a network with one hidden layer, in numpy.

A model's tensors are `hidden.weight` (hidden, 64), `hidden.bias`, `output.weight`
(10, hidden) and `output.bias`. A quantized model keeps the two weights as int8
beside a `.scale` for each row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Tensors = dict[str, npt.NDArray[Any]]

PIXELS = 64
GREY_LEVELS = 16.0
CLASSES = 10
HIDDEN = 64
WEIGHTS = ("hidden.weight", "output.weight")


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of one JSON Lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_arrays(path: Path) -> tuple[Floats, Labels]:
    """Pixels (n, 64) between 0 and 1, and labels (n,)."""
    records = read_records(path)
    pixels = np.array([record["pixels"] for record in records], dtype=np.float32)
    labels = np.array([record["label"] for record in records], dtype=np.int64)
    return pixels / np.float32(GREY_LEVELS), labels


def forward(model: Mapping[str, Floats], pixels: Floats) -> tuple[Floats, Floats]:
    """Hidden activations (n, hidden) and class scores (n, 10)."""
    hidden = np.maximum(pixels @ model["hidden.weight"].T + model["hidden.bias"], 0)
    return hidden, hidden @ model["output.weight"].T + model["output.bias"]


def predict(model: Mapping[str, Floats], pixels: Floats) -> Labels:
    """The most likely digit for each image, (n,)."""
    return np.asarray(forward(model, pixels)[1].argmax(axis=1), dtype=np.int64)


def measure(model: Mapping[str, Floats], heldout: Path) -> dict[str, Any]:
    """Accuracy on clear and on faint images, and the share found of each clear digit."""
    clear, labels = read_arrays(heldout / "clear.jsonl")
    faint, faint_labels = read_arrays(heldout / "faint.jsonl")
    right = predict(model, clear) == labels
    return {
        "images": len(labels),
        "clear": round(float(right.mean()), 4),
        "faint": round(float((predict(model, faint) == faint_labels).mean()), 4),
        "found": [round(float(right[labels == digit].mean()), 4) for digit in range(CLASSES)],
    }


def load_model(folder: Path) -> dict[str, Floats]:
    """A model's tensors as float32; int8 weights are multiplied by their scales."""
    stored = load_file(folder / "model.safetensors")
    model = {name: stored[name].astype(np.float32) for name in (*WEIGHTS, *_biases())}
    for name in WEIGHTS:
        if stored[name].dtype == np.int8:
            model[name] *= stored[f"{name}.scale"][:, None]
    return model


def save_model(folder: Path, tensors: Tensors, title: str, facts: Sequence[str]) -> None:
    """Write weights, configuration and model card into a new folder."""
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    config = {
        "architecture": "mlp",
        "activation": "relu",
        "input_pixels": PIXELS,
        "hidden": HIDDEN,
        "classes": CLASSES,
        "weights": str(tensors["hidden.weight"].dtype),
    }
    write_json(folder / "config.json", config)
    card = [f"# {title}", "", "Classifies handwritten digits of 8 by 8 pixels.", ""]
    card += [f"- {fact}" for fact in facts]
    (folder / "README.md").write_text("\n".join(card) + "\n", encoding="utf-8")


def save_metrics(folder: Path, heldout: Path) -> None:
    """Measure the model as it was saved, write `metrics.json`, and say it in one line."""
    metrics = measure(load_model(folder), heldout)
    write_json(folder / "metrics.json", metrics)
    print(f"held-out accuracy: {metrics['clear']:.1%} clear, {metrics['faint']:.1%} faint")


def write_json(path: Path, value: object) -> None:
    """Indented JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _biases() -> list[str]:
    return [name.replace("weight", "bias") for name in WEIGHTS]
