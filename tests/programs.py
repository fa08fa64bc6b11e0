"""System programs that some tests need, and how to get them."""

from __future__ import annotations

import os
import shutil

import pytest

# Program -> the Debian package that has it.
PACKAGES = {"strace": "strace", "git": "git", "openssl": "openssl", "mount": "mount"}


def require_program(name: str) -> str:
    """The program's path; without it the test is skipped loudly, or fails where all is required."""
    found = shutil.which(name)
    if found is not None:
        return found
    reason = f"needs {name} (apt-get install {PACKAGES.get(name, name)})"
    if os.environ.get("STEMMA_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
