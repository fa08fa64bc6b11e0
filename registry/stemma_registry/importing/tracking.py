"""Runs from an MLflow tracking server, by its REST interface, bounded in time, pages and size.

https://mlflow.org/docs/latest/rest-api.html : `experiments/search` and `runs/search`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from stemma_attestations import json_strict
from stemma_attestations.documents import mlflow
from stemma_attestations.errors import BadJSON
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused, Unavailable

_API = "/api/2.0/mlflow/"
_PAGE = 1_000


def is_server(text: str) -> bool:
    """Whether a tracking URI names a server, else it is a file."""
    return text.startswith(("http://", "https://"))


def fetch(uri: str, experiments: Sequence[str] = ()) -> bytes:
    """Every run of these experiments (ids; none: of all), as one document.

    Raises Refused for what is no URI, Unavailable.
    """
    parts = urlsplit(uri)
    if not parts.hostname or parts.query or parts.fragment:
        raise Refused(f"{uri!r:.80} is no tracking URI (http://HOST:PORT)")
    answer: list[bytes] = []
    failure: list[Exception] = []
    server = _Server(uri, time.monotonic() + LIMITS.import_seconds)

    def ask() -> None:
        try:
            answer.append(mlflow.whole(server.runs(list(experiments))))
        except Exception as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failure.append(error)

    # A server that sends a byte now and then never meets a time limit of the library.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LIMITS.import_seconds)
    where = f"{parts.scheme}://{parts.hostname}"
    if failure:
        reason = " ".join(str(failure[0]).split()) or type(failure[0]).__name__
        raise Unavailable(f"the tracking server {where}: {reason:.300}") from failure[0]
    if not answer:
        limit = f"{LIMITS.import_seconds:g} s"
        raise Unavailable(f"the tracking server {where}: no whole answer within {limit}")
    return answer[0]


@dataclass
class _Server:
    """Asks for page after page, and counts the bytes."""

    uri: str
    end: float
    left: int = field(default_factory=lambda: LIMITS.import_bytes)

    def runs(self, experiments: list[str]) -> list[Any]:
        """Every run, in the server's order."""
        known = experiments or [
            str(one.get("experiment_id"))
            for one in self._pages("experiments/search", "experiments", {})
            if isinstance(one, dict)
        ]
        asked = {"experiment_ids": known}
        return self._pages("runs/search", "runs", asked) if known else []

    def _pages(self, path: str, what: str, asked: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        token: object = None
        for _ in range(LIMITS.import_pages):
            more = {"page_token": token} if token else {}
            answer = self._ask(path, {**asked, "max_results": _PAGE, **more})
            listed = answer.get(what, [])
            if not isinstance(listed, list):
                raise Unavailable(f"its {what} are no list")
            found += listed
            token = answer.get("next_page_token")
            if not token:
                return found
        raise Unavailable(f"more than {LIMITS.import_pages} pages of {what}")

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        import requests

        parts = urlsplit(self.uri)
        host = parts.netloc.rpartition("@")[2]
        # Compressed answers could be larger than they look.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        name = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        with requests.Session() as session:
            session.trust_env = False  # no proxy, and no password of a .netrc
            with session.post(
                f"{parts.scheme}://{host}{parts.path.rstrip('/')}{_API}{path}",
                data=json.dumps(body).encode(),
                headers=headers,
                auth=name,
                timeout=max(1.0, self.end - time.monotonic()),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != 200:
                    raise Unavailable(f"it answered {response.status_code}")
                data = response.raw.read(self.left + 1, decode_content=False)
        self.left -= len(data)
        if self.left < 0:
            raise Unavailable(f"it answered with more than {LIMITS.import_bytes} bytes")
        try:
            return json_strict.load_object(data, max_bytes=LIMITS.import_bytes)
        except BadJSON as error:
            raise Unavailable(f"its answer cannot be read: {error}") from error
