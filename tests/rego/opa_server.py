"""A server that speaks OPA's data API, and ways for it to misbehave.

https://www.openpolicyagent.org/docs/rest-api#get-a-document-with-input
There is no OPA in the test environment: its documented requests and answers are here, and the
Rego behind them is evaluated by the same engine that the local evaluator has.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import regorus

Misbehave = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Opa:
    """A server with modules; `misbehave` answers instead of it."""

    modules: dict[str, str]
    misbehave: Misbehave | None = None
    provenance: dict[str, Any] = field(
        default_factory=lambda: {"version": "1.9.0", "bundles": {"gate": {"revision": "r42"}}}
    )
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def url(self, path: str = "stemma/gate") -> str:
        """The URL of a document."""
        return f"http://127.0.0.1:{self.port}/v1/data/{path}"

    def answer(self, target: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """OPA's status and answer: no `result` where the document is undefined."""
        parts = urlsplit(target)
        parameters = parse_qs(parts.query)
        engine = regorus.Engine()
        for name, text in self.modules.items():
            engine.add_policy(name, text)
        engine.set_input_json(json.dumps(body.get("input", {})))
        query = "data." + parts.path.removeprefix("/v1/data/").replace("/", ".")
        answer: dict[str, Any] = {"decision_id": "4ca636c1-55e4-417a-b1d8-4aceb67960d1"}
        if parameters.get("provenance") == ["true"]:
            answer["provenance"] = self.provenance
        try:
            found = json.loads(engine.eval_query_as_json(query))
        except RuntimeError as error:
            if parameters.get("strict-builtin-errors") == ["true"]:
                return 500, {"code": "internal_error", "message": str(error)[:200]}
            found = {}
        if found.get("result"):
            answer["result"] = found["result"][0]["expressions"][0]["value"]
        return 200, answer


@contextlib.contextmanager
def serving(opa: Opa, tls: ssl.SSLContext | None = None) -> Iterator[Opa]:
    """Run it on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(raw)
            opa.asked.append(body)
            opa.headers.append(dict(self.headers.items()))
            if opa.misbehave is not None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    opa.misbehave(self)
                return
            status, answer = opa.answer(self.path, body)
            send(self, json.dumps(answer).encode(), status)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, True, do_handshake_on_connect=False)
    opa.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield opa
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(to: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    """One whole answer."""
    to.send_response(status)
    to.send_header("Content-Type", "application/json")
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


def always(body: bytes, status: int = 200) -> Misbehave:
    """The same answer to everything."""
    return lambda to: send(to, body, status)
