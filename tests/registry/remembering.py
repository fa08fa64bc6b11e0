"""`python -m tests.registry.remembering HOME START`: remembers every other number, until killed.

It prints a number when that is written down.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.trust import TrustRoot
from stemma_registry.config import Home
from stemma_registry.lineage import remembered
from stemma_registry.lineage.remembered import Remembered
from stemma_registry.lineage.said import Said, Subject

TRUST = TrustRoot.parse(b"format: urn:stemma:trust-root:v0.1\nsigners: []\n")


def memory(home: Home) -> Remembered:
    """What this home remembers."""
    return Remembered.of(home, TRUST, {})


def saying(number: int) -> tuple[Digest, Said]:
    """A bundle, and what it says."""
    digest = Digest.of(b"%d" % number)
    return digest, Said(number, "1" * 64, None, (), "a", (Subject(f"n/{number}:1", (digest,)),))


def main() -> None:
    """Remember one after the other."""
    remembered._BUSY_SECONDS = 60.0  # what is printed was written, however busy it is here
    mine = memory(Home(Path(sys.argv[1])))
    for number in itertools.count(int(sys.argv[2]), 2):
        mine.note(*saying(number))
        mine.save()
        print(number, flush=True)


if __name__ == "__main__":
    main()
