"""Judge one complete case in this process, and print the answer: for cases with limits.

`python -m tests.conformance.alone FOLDER HOME`; HOME is where the folder was copied
from. What verification imports is loaded before it is measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.conformance.case import Case
from tests.conformance.judging import judge


def main() -> None:
    """Read, warm up, judge, print."""
    folder, home = Path(sys.argv[1]), Path(sys.argv[2])
    import sigstore.verify  # noqa: F401

    print(json.dumps(judge(Case.read(folder, home)).json()))


main()
