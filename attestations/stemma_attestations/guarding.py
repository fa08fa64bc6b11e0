"""The seam to the libraries that verify: whatever goes wrong behind it is *not verified*."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stemma_attestations.errors import SignatureRefused

T = TypeVar("T")


def guarded(work: Callable[[], T]) -> T:
    """Whatever goes wrong inside, also in a library: not verified."""
    try:
        return work()
    except SignatureRefused:
        raise
    except Exception as error:
        raise _refusal(error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what a crash of Rust code becomes
            raise
        raise _refusal(error) from error


def _refusal(error: BaseException) -> SignatureRefused:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SignatureRefused(f"not verified: {reason:.300}")
