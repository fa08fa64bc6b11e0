"""`python -m tests.conformance DIR...`: every wrong verdict, and `N passed, N failed`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.case import BadCase
from tests.conformance.running import run


def main(arguments: Sequence[str]) -> int:
    """0: all as expected. 1: some are not. 2: there is nothing to judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--verbose", action="store_true", help="also what is as expected")
    options = parser.parse_args(arguments)
    try:
        results = list(run(options.folders))
    except BadCase as error:
        print(error, file=sys.stderr)
        return 2
    failed = sorted(
        (r for r in results if r.wrong is not None), key=lambda r: (r.wrong, str(r.folder))
    )
    if options.verbose:
        for result in results:
            if result.wrong is None:
                print(f"as expected: {result.folder}: {result.detail or 'accepted'}")
    for result in failed:
        print(result)
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
