"""Where a feed is read from: a bucket, a registry, a copy of its files, a hostile web server."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stemma_attestations.errors import Undecided
from stemma_registry.blobs.local import LocalStore
from stemma_registry.config import Home
from stemma_registry.errors import NotFound
from stemma_registry.status.documents import FOLDER
from stemma_registry.status.source import FromWeb, open_source
from tests.contracts.places import S3Place
from tests.status.scene import FeedScene, stopped

Answer = Callable[[BaseHTTPRequestHandler, Path], None]


def plainly(handler: BaseHTTPRequestHandler, path: Path) -> None:
    """As a web server does."""
    if not path.is_file():
        handler.send_error(404)
        return
    data = path.read_bytes()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def without_end(handler: BaseHTTPRequestHandler, path: Path) -> None:
    """The file, and then more and more."""
    if not path.is_file():
        handler.send_error(404)
        return
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(path.read_bytes())
    while True:
        handler.wfile.write(b" " * 65536)


def by_drops(handler: BaseHTTPRequestHandler, path: Path) -> None:
    """A byte now and then."""
    handler.send_response(200)
    handler.end_headers()
    for byte in itertools.cycle(b" "):
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def silently(handler: BaseHTTPRequestHandler, path: Path) -> None:
    """Nothing at all."""
    time.sleep(5)


def angrily(handler: BaseHTTPRequestHandler, path: Path) -> None:
    """An error of the server."""
    handler.send_error(500)


@contextmanager
def server(folder: Path, answer: Answer) -> Iterator[str]:
    """The address at which the files of a folder are served that way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self, folder / self.path.lstrip("/"))
            except OSError:
                pass  # the client has had enough

        def log_message(self, *args: object) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_port}"
    finally:
        served.shutdown()
        served.server_close()
        thread.join()


@pytest.fixture
def local(tmp_path: Path) -> FeedScene:
    """A feed in a local directory, `store`."""
    (tmp_path / "store").mkdir()
    feed = FeedScene(tmp_path, LocalStore(tmp_path / "store"))
    feed.world.push("acme/d:1")
    feed.world.quarantine("acme/d:1")
    feed.publish()
    return feed


def test_a_registry_a_copy_of_its_files_and_a_web_server(local: FeedScene) -> None:
    folder = local.folder / "store" / FOLDER
    copy = local.folder / "copy"
    shutil.copytree(folder, copy)
    home = Home(local.folder / "home")
    with server(copy, plainly) as address:
        places = [str(local.folder / "store"), str(folder), str(copy), address, f"{address}/"]
        for number, place in enumerate(places):
            assert stopped(local.fetch(f"gate {number}", open_source(place, home)))


def test_a_mirror_that_lags_behind_is_refused_after_the_original(local: FeedScene) -> None:
    copy, home = local.folder / "copy", Home(local.folder / "home")
    shutil.copytree(local.folder / "store" / FOLDER, copy)
    local.world.push("acme/more:1")
    local.publish()
    local.fetch()
    with pytest.raises(Undecided):
        local.fetch(source=open_source(str(copy), home))


def test_no_feed_there(local: FeedScene) -> None:
    home = Home(local.folder / "home")
    (local.folder / "empty").mkdir()
    for place in (local.folder / "empty", local.folder / "nothing"):
        with pytest.raises(Undecided):
            local.fetch(source=open_source(str(place), home))
    with pytest.raises(Undecided):
        local.fetch(source=open_source("http://127.0.0.1:9/feed", home))
    with pytest.raises(NotFound):
        open_source("ftp://example.org/feed", home)


@pytest.mark.parametrize("answer", [without_end, by_drops, silently, angrily])
def test_a_hostile_web_server(local: FeedScene, answer: Answer) -> None:
    with server(local.folder / "store" / FOLDER, answer) as address:
        begun = time.monotonic()
        with pytest.raises(Undecided) as caught:
            local.fetch(source=FromWeb(address, seconds=1.0))
        assert time.monotonic() - begun < 4
        assert "\n" not in str(caught.value)


def test_endless_data_in_a_folder(local: FeedScene) -> None:
    """A sparse file of a terabyte, and a pipe that nobody writes to."""
    import os

    timestamp = local.folder / "store" / FOLDER / "timestamp.json"
    with timestamp.open("r+b") as file:
        file.truncate(1 << 40)
    home = Home(local.folder / "home")
    with pytest.raises(Undecided):
        local.fetch(source=open_source(str(local.folder / "store"), home))
    timestamp.unlink()
    os.mkfifo(timestamp)
    with pytest.raises(Undecided):
        local.fetch(source=open_source(str(local.folder / "store"), home))


def test_a_home_that_cannot_be_written(local: FeedScene) -> None:
    pin = local.pin()
    shutil.rmtree(pin.folder / "metadata", ignore_errors=True)
    (pin.folder / "metadata").write_bytes(b"in the way")
    with pytest.raises(Undecided):
        local.fetch()


def test_a_feed_in_a_bucket(tmp_path: Path) -> None:
    feed = FeedScene(tmp_path, S3Place(tmp_path).open())
    feed.world.push("acme/d:1")
    assert feed.publish().changed
    assert stopped(feed.fetch()) == []
    feed.world.quarantine("acme/d:1")
    assert feed.publish().changed
    assert not feed.publish().changed
    assert stopped(feed.fetch())
    with pytest.raises(Undecided):
        feed.fetch(root=FeedScene(tmp_path / "other").root)
