"""Compare models on the held-out set: how many of each digit does each one find?"""

from __future__ import annotations

import argparse
from pathlib import Path

from digits import CLASSES, load_model, measure


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--heldout", type=Path, required=True)
    options = parser.parse_args()
    digits = "".join(f"{digit:>5}" for digit in range(CLASSES))
    print(f"{'% found, by digit':<18}{digits}   all")
    for folder in options.models:
        result = measure(load_model(folder), options.heldout)
        found = "".join(f"{share:>5.0%}".replace("%", "") for share in result["found"])
        print(f"{folder.name:<18}{found}  {result['clear']:.1%}")


if __name__ == "__main__":
    main()
