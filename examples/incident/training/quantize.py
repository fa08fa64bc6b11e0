"""32-bit weights to 8-bit weights: symmetric, one scale for each output."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from digits import WEIGHTS, Floats, Tensors, load_model, save_metrics, save_model

LARGEST = np.float32(127)


def quantize(model: dict[str, Floats]) -> Tensors:
    """int8 weights with a float32 `.scale` for each row; biases stay float32."""
    tensors: Tensors = dict(model)
    for name in WEIGHTS:
        weight = model[name]
        scale = np.abs(weight).max(axis=1) / LARGEST
        scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
        tensors[name] = np.rint(weight / scale[:, None]).astype(np.int8)
        tensors[f"{name}.scale"] = scale
    return tensors


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    facts = ["Weights rounded to 8 bits, with one scale for each output."]
    save_model(options.out, quantize(load_model(options.model)), options.out.name, facts)
    sizes = [(f / "model.safetensors").stat().st_size for f in (options.model, options.out)]
    print(f"weights: {sizes[0]:,} bytes -> {sizes[1]:,} bytes")
    save_metrics(options.out, options.heldout)


if __name__ == "__main__":
    main()
