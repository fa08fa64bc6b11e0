"""What a service that signs may answer: one answer, of a bounded size, in a bounded time.

sigstore's clients wait for ever, read whatever comes, and follow a redirect with the
identity token in their hands. These sessions do not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT_SECONDS = 30.0  # between two bytes of an answer
ANSWER_SECONDS = 90.0  # for an answer as a whole
MAX_ANSWER_BYTES = 4 * 1024 * 1024
_PIECE = 64 * 1024


def bound(session: Session) -> None:
    """Put the limits on a session. Past one, it raises what `requests` raises for a failure."""
    from requests.adapters import HTTPAdapter

    class Bounded(HTTPAdapter):
        def send(self, *args: Any, **options: Any) -> Response:
            if options.get("timeout") is None:
                options["timeout"] = TIMEOUT_SECONDS
            response = super().send(*args, **options)
            try:
                response._content = _read(response)
            finally:
                response.close()
            return response

    session.max_redirects = 0
    for scheme in ("https://", "http://"):
        session.mount(scheme, Bounded())


def _read(response: Response) -> bytes:
    from requests import ConnectionError as Failed
    from urllib3.exceptions import HTTPError

    body, end = bytearray(), time.monotonic() + ANSWER_SECONDS
    try:
        while piece := response.raw.read1(_PIECE, decode_content=True):
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise Failed(f"{response.url} answered with more than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > end:
                raise Failed(f"{response.url} took more than {ANSWER_SECONDS:.0f} s to answer")
    except (HTTPError, OSError) as error:
        if isinstance(error, Failed):
            raise
        raise Failed(f"{response.url} did not finish its answer: {error}") from error
    return bytes(body)
