"""Raw shards to one training set: every image once, and none with too little ink."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from digits import read_records, write_json


def keep(records: list[dict[str, Any]], minimum: int) -> tuple[list[dict[str, Any]], int, int]:
    """The records kept in their order, how many were repeats, how many were too empty."""
    seen: set[tuple[int, ...]] = set()
    kept, repeated, empty = [], 0, 0
    for record in records:
        pixels = tuple(record["pixels"])
        if pixels in seen:
            repeated += 1
        elif sum(pixels) < minimum:
            empty += 1
        else:
            seen.add(pixels)
            kept.append(record)
    return kept, repeated, empty


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minimum-ink", type=int, required=True)
    options = parser.parse_args()
    records = [r for shard in options.shards for r in read_records(shard / "records.jsonl")]
    kept, repeated, empty = keep(records, options.minimum_ink)
    options.out.mkdir(parents=True)
    lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in kept]
    (options.out / "records.jsonl").write_text("".join(lines), encoding="utf-8")
    counts = {"read": len(records), "repeated": repeated, "empty": empty, "kept": len(kept)}
    write_json(options.out / "filter.json", counts)
    print(f"kept {len(kept)} of {len(records)} images ({repeated} repeated, {empty} too empty)")


if __name__ == "__main__":
    main()
