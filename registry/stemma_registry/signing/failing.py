"""What goes wrong in other people's signers, in our words: one line, of one of our classes.

Their errors have no common root, and importing them to name them would import
every cloud's client. So they are told apart by the names of their classes, and
those of AWS by the code that the service gave.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from stemma_attestations.errors import BadKey, StemmaError
from stemma_registry.errors import NotFound, Refused, Unavailable

_NOT_FOUND = frozenset(
    {"NotFoundException", "NotFound", "ResourceNotFoundError", "NoSuchKey", "NoSuchToken"}
)
_BAD_KEY = frozenset({"UnsupportedAlgorithmError", "UnsupportedKeyType"})
_REFUSED = frozenset(
    {
        # AWS
        "AccessDeniedException",
        "DisabledException",
        "IncorrectKeyException",
        "InvalidArnException",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "ExpiredTokenException",
        "ValidationException",
        # Google
        "FailedPrecondition",
        "InvalidArgument",
        "PermissionDenied",
        "Unauthenticated",
        # Azure
        "ClientAuthenticationError",
        # PKCS#11
        "PinExpired",
        "PinIncorrect",
        "PinInvalid",
        "PinLenRange",
        "PinLocked",
        "FunctionRejected",
        # what a library says to an argument
        "ValueError",
    }
)
_WORDS = {
    "PinIncorrect": "the PIN is wrong",
    "PinLenRange": "the PIN is too short or too long",
    "PinInvalid": "the PIN has characters it may not have",
    "PinLocked": "the PIN is locked",
    "PinExpired": "the PIN has expired",
}
_LONGEST = 300


@contextlib.contextmanager
def told(where: str, extra: str) -> Iterator[None]:
    """Turn any error of a library into NotFound, BadKey, Refused or Unavailable."""
    _quiet()
    try:
        yield
    except StemmaError:
        raise
    except Exception as error:
        raise _ours(error, where, extra) from error


def _ours(error: Exception, where: str, extra: str) -> StemmaError:
    names = {kind.__name__ for kind in type(error).__mro__} | _aws_code(error)
    if names & {"UnsupportedLibraryError", "ImportError"}:
        return Refused(
            f"{where}: a library is not installed (pip install 'stemma-registry[{extra}]')"
        )
    message = f"{where}: {_text(error)}"
    if names & _NOT_FOUND:
        return NotFound(message)
    if names & _BAD_KEY:
        return BadKey(message)
    if names & _REFUSED:
        return Refused(message)
    return Unavailable(message)


def _aws_code(error: Exception) -> set[str]:
    response = getattr(error, "response", None)
    found = response.get("Error") if isinstance(response, dict) else None
    return {str(found.get("Code"))} if isinstance(found, dict) else set()


def _text(error: Exception) -> str:
    name = type(error).__name__
    text = _WORDS.get(name) or " ".join(str(error).split()) or name
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _quiet() -> None:
    """Keep what these libraries log off stderr, where Python writes it if nobody listens."""
    for name in ("securesystemslib", "azure", "google"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
