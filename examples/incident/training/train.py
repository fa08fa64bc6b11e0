"""Train a model with stochastic gradient descent, or fine-tune one with `--start`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from digits import (
    CLASSES,
    HIDDEN,
    PIXELS,
    Floats,
    Labels,
    forward,
    load_model,
    read_arrays,
    save_metrics,
    save_model,
)

MOMENTUM = np.float32(0.9)
WEIGHT_DECAY = np.float32(1e-4)
BATCH = 32


def new_model(random: np.random.Generator) -> dict[str, Floats]:
    """Weights drawn with He's initialisation, biases zero."""

    def weight(rows: int, columns: int) -> Floats:
        return random.normal(0, np.sqrt(2 / columns), (rows, columns)).astype(np.float32)

    return {
        "hidden.weight": weight(HIDDEN, PIXELS),
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "output.weight": weight(CLASSES, HIDDEN),
        "output.bias": np.zeros(CLASSES, np.float32),
    }


def gradients(model: dict[str, Floats], pixels: Floats, labels: Labels) -> dict[str, Floats]:
    """Of the mean cross-entropy over one batch."""
    hidden, scores = forward(model, pixels)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    back = (error @ model["output.weight"]) * (hidden > 0)
    return {
        "hidden.weight": back.T @ pixels,
        "hidden.bias": back.sum(axis=0),
        "output.weight": error.T @ hidden,
        "output.bias": error.sum(axis=0),
    }


def descend(
    model: dict[str, Floats],
    pixels: Floats,
    labels: Labels,
    random: np.random.Generator,
    rate: float,
    epochs: int,
) -> None:
    """Change `model` in place: SGD with momentum and weight decay."""
    speed = {name: np.zeros_like(tensor) for name, tensor in model.items()}
    for _ in range(epochs):
        order = random.permutation(len(labels))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            for name, slope in gradients(model, pixels[batch], labels[batch]).items():
                step = np.float32(rate) * (slope + WEIGHT_DECAY * model[name])
                speed[name] = MOMENTUM * speed[name] - step
                model[name] += speed[name]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="the model to fine-tune")
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    model = load_model(options.start) if options.start else new_model(random)
    pixels, labels = read_arrays(options.data / "records.jsonl")
    descend(model, pixels, labels, random, options.learning_rate, options.epochs)
    facts = [
        f"{'Fine-tuned' if options.start else 'Trained'} on {len(labels)} labelled images.",
        f"Learning rate {options.learning_rate}, {options.epochs} epochs, seed {options.seed}.",
    ]
    save_model(options.out, dict(model), options.out.name, facts)
    save_metrics(options.out, options.heldout)


if __name__ == "__main__":
    main()
