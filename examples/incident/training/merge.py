"""The average of several models' weights, known as a model soup (arXiv:2203.05482)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from digits import Tensors, load_model, save_metrics, save_model


def average(folders: list[Path]) -> Tensors:
    """Tensor by tensor; the models must descend from one base to be averaged usefully."""
    models = [load_model(folder) for folder in folders]
    return {
        name: np.asarray(np.mean([model[name] for model in models], axis=0), np.float32)
        for name in models[0]
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    facts = [f"The average of {len(options.models)} models' weights."]
    save_model(options.out, average(options.models), options.out.name, facts)
    save_metrics(options.out, options.heldout)


if __name__ == "__main__":
    main()
