"""Ask a model which labels of a data set it disagrees with."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from digits import load_model, predict, read_arrays, write_json


def check(model: Path, data: Path) -> dict[str, Any]:
    """How far labels and model agree, and the three most frequent disagreements."""
    pixels, labels = read_arrays(data / "records.jsonl")
    seen = predict(load_model(model), pixels)
    wrong = seen != labels
    pairs = Counter(zip(labels[wrong].tolist(), seen[wrong].tolist(), strict=True))
    common = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    return {
        "name": data.name,
        "images": len(labels),
        "agree": round(1 - float(wrong.mean()), 4),
        "most": [{"label": a, "model": b, "images": n} for (a, b), n in common],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    results = [check(options.model, data) for data in options.data]
    print(f"{'data':<16}{'images':>7}{'agree':>8}   most frequent: label->what the model sees")
    for found in results:
        most = ", ".join(f"{m['images']} x {m['label']}->{m['model']}" for m in found["most"])
        print(f"{found['name']:<16}{found['images']:>7}{found['agree']:>8.1%}   {most}")
    write_json(options.report, results)


if __name__ == "__main__":
    main()
