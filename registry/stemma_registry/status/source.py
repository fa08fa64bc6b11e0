"""Where a feed is read from: a store, a folder, or a web server. Nothing here is believed."""

from __future__ import annotations

import os
import queue
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.opening import is_remote, store_at
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import NotFound
from stemma_registry.status.documents import FOLDER

BASE = "feed/"  # what every address begins with, for the TUF client
_CHUNK = 64 * 1024
_CONNECT_SECONDS = 10.0


def open_source(where: str, home: Home) -> FetcherInterface:
    """What reads a feed at an http(s) address, in a folder, or beside a registry's ledger.

    A folder is a registry, or a copy of one's `status/feed`. Raises NotFound, Unavailable.
    """
    if where.startswith(("http://", "https://")):
        return FromWeb(where)
    if is_remote(where):
        return FromStore(store_at(where, home, cached=False))
    folder = Path(where).expanduser()
    inside = folder / FOLDER
    return FromFolder(inside if inside.is_dir() else folder)


class FromStore(FetcherInterface):
    """The feed beside a ledger."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter((self.store.read(FOLDER + url.removeprefix(BASE)),))
        except NotFound as error:
            raise DownloadHTTPError(str(error), 404) from error


class FromFolder(FetcherInterface):
    """A folder of static files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self.folder / url.removeprefix(BASE)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"no {path}", 404) from error
        with os.fdopen(fd, "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise DownloadError(f"{path} is not a regular file")
            # The client stops at the limit of the file; ours is only to hold it all at once.
            return iter((source.read(LIMITS.feed_target_bytes + 1),))


class FromWeb(FetcherInterface):
    """Static files on a web server, which may answer nothing, slowly, or without end.

    A thread reads; whoever waits for it gives up when the time of a file is over,
    whatever the thread is held up by. It is left behind then, and ends by itself.
    """

    def __init__(self, base: str, seconds: float = LIMITS.feed_seconds) -> None:
        self.base = base.rstrip("/") + "/"
        self.seconds = seconds

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._pieces(self.base + url.removeprefix(BASE))

    def _pieces(self, url: str) -> Iterator[bytes]:
        deadline = time.monotonic() + self.seconds
        pieces: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=4)
        left = threading.Event()
        threading.Thread(target=_read, args=(url, pieces, left), daemon=True).start()
        try:
            while True:
                try:
                    piece = pieces.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty as error:
                    raise SlowRetrievalError(
                        f"{url} was not read after {self.seconds:.0f} s"
                    ) from error
                if piece is None:
                    return
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            left.set()


def _read(url: str, pieces: queue.Queue[Any], left: threading.Event) -> None:
    """Put what comes from an address, then None; or the error. Ends soon after `left` is set."""

    def put(item: bytes | Exception | None) -> bool:
        while not left.is_set():
            try:
                pieces.put(item, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False

    try:
        import requests  # lazily: few feeds are read from the web

        with requests.get(url, stream=True, timeout=_CONNECT_SECONDS) as answer:
            if answer.status_code != 200:
                put(
                    DownloadHTTPError(
                        f"{url}: the server says {answer.status_code}", answer.status_code
                    )
                )
                return
            for piece in answer.iter_content(_CHUNK):
                if not put(piece):
                    return
        put(None)
    except Exception as error:  # noqa: BLE001 - handed to whoever waits, who says it
        put(DownloadError(f"{url}: {error}"))
