"""One question to a service, bounded in time and size.

Whatever goes wrong is Unavailable: whoever asked signs nothing, and may try again.
"""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from stemma_attestations.errors import BadKey
from stemma_registry.errors import Unavailable

SILENCE_SECONDS = 15.0  # between two bytes
TOTAL_SECONDS = 60.0
MAX_BYTES = 4 * 1024 * 1024


def check_url(url: str, what: str) -> str:
    """The URL of a service. Raises BadKey."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or parts.username or parts.query or parts.fragment:
        raise BadKey(f"{url!r:.80}: a {what} has an http or https URL, without a name or a query")
    return url


def post(url: str, body: bytes, kind: str, what: str) -> bytes:
    """What the service answers with 200 or 201. Redirects are not followed. Raises Unavailable."""
    answer: list[bytes] = []
    failure: list[Exception] = []

    def ask() -> None:
        try:
            answer.append(_post(url, body, kind))
        except Exception as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failure.append(error)

    # A service that sends a byte now and then never meets a time limit of the library.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TOTAL_SECONDS)
    if answer:
        return answer[0]
    if not failure:
        raise Unavailable(f"{what} {url}: no whole answer within {TOTAL_SECONDS:.0f} seconds")
    error = failure[0]
    reason = " ".join(str(error).split()) or type(error).__name__
    raise Unavailable(f"{what} {url}: {reason:.300}") from error


def _post(url: str, body: bytes, kind: str) -> bytes:
    import requests

    # Compressed answers could be larger than they look. No password of a .netrc is sent.
    headers = {"Content-Type": kind, "Accept-Encoding": "identity"}
    with (
        requests.Session() as session,
        session.post(
            url,
            data=body,
            headers=headers,
            auth=lambda request: request,
            timeout=SILENCE_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as response,
    ):
        data: bytes = response.raw.read(MAX_BYTES + 1, decode_content=False)
        if response.status_code not in (200, 201):
            text = " ".join(data[:300].decode("utf-8", "replace").split())
            said = "".join(c for c in text if c.isprintable())
            raise Unavailable(f"it answered {response.status_code} {said}".rstrip())
        if len(data) > MAX_BYTES:
            raise Unavailable(f"it answered with more than {MAX_BYTES} bytes")
        return data
