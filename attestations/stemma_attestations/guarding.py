"""The seam to the libraries that verify: whatever goes wrong behind it is *not verified*."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stemma_attestations.errors import SignatureRefused, StemmaError, Undecided

T = TypeVar("T")


def guarded(work: Callable[[], T], kind: type[StemmaError] = SignatureRefused) -> T:
    """Whatever goes wrong inside, also in a library, is an error of this kind, in one line.

    But where memory ran out, nothing was decided (Undecided): the same bundle may be good
    a moment later, and what is found of it now may be kept, of a quarantine too.
    """
    try:
        return work()
    except (kind, Undecided):
        raise
    except MemoryError as error:
        raise Undecided("there is not enough memory to verify this") from error
    except Exception as error:
        raise kind(_reason(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise kind(_reason(error)) from error


def is_panic(error: BaseException) -> bool:
    """Whether it is what a crash of Rust code becomes; it is no `Exception`."""
    return type(error).__name__ == "PanicException"


def _reason(error: BaseException) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"not verified: {reason:.300}"
