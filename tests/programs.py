"""System programs that some tests need, and how to get them.

`python -m tests.programs` says which of them are missing.
"""

from __future__ import annotations

import os
import shutil
import sys

import pytest

# Program -> the Debian package that has it.
PACKAGES = {
    "strace": "strace",
    "git": "git",
    "git-lfs": "git-lfs",
    "gpg": "gnupg",
    "ssh-keygen": "openssh-client",
    "openssl": "openssl",
    "mount": "mount",
    "softhsm2-util": "softhsm2",
    "faketime": "faketime",
    "chromium": "chromium",
}


def nothing_may_be_skipped() -> bool:
    """Whether this run (`.ci/run`) takes a skipped test for a failed one."""
    return os.environ.get("STEMMA_REQUIRE_ALL") == "1"


def wanted(name: str) -> str:
    """What to say about a missing program."""
    return f"needs {name} (Debian: apt-get install {PACKAGES[name]})"


def require_program(name: str) -> str:
    """The program's path; without it the test is skipped loudly, or fails where all is required.

    Raises KeyError for a program that PACKAGES does not say how to get.
    """
    reason = wanted(name)
    found = shutil.which(name)
    if found is not None:
        return found
    if nothing_may_be_skipped():
        pytest.fail(reason)
    pytest.skip(reason)


def main() -> int:
    """Name what is missing on stderr; 1 where nothing may be skipped."""
    missing = [name for name in PACKAGES if shutil.which(name) is None]
    for name in missing:
        print(f"MISSING: {name}. Tests will be skipped: {wanted(name)}", file=sys.stderr)
    return 1 if missing and nothing_may_be_skipped() else 0


if __name__ == "__main__":
    sys.exit(main())
