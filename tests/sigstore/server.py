"""The instance's HTTP front: one loopback port for every service."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# (status, content type, body)
Answer = tuple[int, str, bytes]
Handler = Callable[["Call"], Answer]


class Call:
    """One request, read whole."""

    def __init__(self, path: str, authorisation: str, body: bytes) -> None:
        url = urlsplit(path)
        self.query = dict(parse_qsl(url.query))
        self.authorisation = authorisation
        self.body = body

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode()))


def in_json(value: object, status: int = 200) -> Answer:
    """A JSON answer."""
    return status, "application/json", json.dumps(value).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is not news; anything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Front:
    """Serves `routes` ("POST /path") until it is closed.

    `requests` lists what was asked. `broken` maps a route to the answer it gives
    instead of its own.
    """

    def __init__(self, routes: dict[str, Handler]) -> None:
        self.routes = routes
        self.requests: list[str] = []
        self.broken: dict[str, Answer] = {}
        self.httpd = _Server(("127.0.0.1", 0), _handler(self))
        self.port = int(self.httpd.server_port)
        self.thread = threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def answer(self, method: str, path: str, authorisation: str, body: bytes) -> Answer:
        """What a request gets; a refusal is a 4xx with its reason."""
        route = f"{method} {urlsplit(path).path}"
        self.requests.append(route)
        if route in self.broken:
            return self.broken[route]
        handler = self.routes.get(route)
        if handler is None:
            return in_json({"code": 404, "message": route}, 404)
        try:
            return handler(Call(path, authorisation, body))
        except Exception as error:  # noqa: BLE001 - whatever was wrong with what was handed in
            message = f"{type(error).__name__}: {error}"
            return in_json({"code": 400, "message": message}, 400)

    def close(self) -> None:
        """Stop; the port is free when this returns."""
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join()


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handle(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet: the tests' output is not a web server's log."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            authorisation = self.headers.get("Authorization", "")
            status, kind, data = front.answer(self.command, self.path, authorisation, body)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", data.decode())
                data = b""
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = _serve  # noqa: N815 - the name is http.server's
        do_POST = _serve  # noqa: N815

    return Handle
