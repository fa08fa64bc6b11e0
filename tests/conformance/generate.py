"""Write the project's own cases: `python -m tests.conformance.generate [FOLDER]`.

The folders, their READMEs and what is asked are the same each time, and so are bundles
of keys. Certificates, logs and timestamps are of an instance that exists for this run
only; what it signed stays good, since it is verified at the time of signing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.conformance.making import (
    envelopes,
    identities,
    logs,
    payloads,
    sizes,
    subjects,
    thresholds,
)
from tests.conformance.making.case import Case, checked
from tests.conformance.making.instance import ROOT, Instance

HERE = Path(__file__).parent


def every_case(at: Instance) -> list[Case]:
    """All cases."""
    return checked(
        [
            *payloads.cases(),
            *envelopes.cases(),
            *subjects.cases(),
            *logs.cases(at),
            *identities.cases(at),
            *sizes.cases(at),
            *thresholds.cases(at),
        ]
    )


def generate(folder: Path) -> list[Case]:
    """Write `cases` and `roots` below a folder, in place of what was there."""
    at = Instance()
    listed = every_case(at)
    for part in ("cases", "roots"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    (folder / "roots" / ROOT).write_bytes(at.root)
    for case in listed:
        case.write(folder / "cases")
    return listed


if __name__ == "__main__":
    written = generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
    print(f"{len(written)} cases")
