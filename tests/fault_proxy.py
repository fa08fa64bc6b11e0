"""An HTTP proxy that misbehaves as it is told, between a client of S3 and a real server.

    with fault_proxy.between(server.endpoint) as proxy:
        proxy.script = [Rule(reset_after(), "PUT", "ledger/", nth=1)]
        ...  # a client whose endpoint is proxy.endpoint
        assert proxy.asked("PUT", "ledger/") == 2

Requests go through byte for byte, but for hop-by-hop headers that no signature
covers: the client signs for the proxy's host, and the server checks against
the `Host` it is sent. A request and an answer are each held in memory.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.http_messages import Message, read_message

PATIENCE_SECONDS = 60.0
_HOP = ("connection", "expect", "keep-alive", "proxy-connection")


@dataclass
class Exchange:
    """One request on its way; a fault decides what becomes of it."""

    proxy: FaultProxy
    request: Message
    client: socket.socket

    def forward(self) -> Message:
        """Ask the server; its answer."""
        answer = self.proxy.ask(self.request)
        if self.request.method == "GET" and answer.status in (200, 206):
            self.proxy.answers.append((self.request.target, answer))
        return answer

    def send(self, answer: Message) -> None:
        """Answer the client, and close the connection afterwards."""
        self.client.sendall(answer.having("Connection", "close").encode())

    def reset(self) -> None:
        """Break the connection off, so that the client's next read fails."""
        linger = struct.pack("ii", 1, 0)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.client.close()


Fault = Callable[[Exchange], None]


@dataclass
class Rule:
    """A fault for requests of a method (None: any) whose target matches a pattern.

    Of those it hits `times`, from the `nth` on, counted from 1.
    """

    fault: Fault
    method: str | None = None
    pattern: str = ""
    nth: int = 1
    times: int = 1
    seen: int = 0

    def hits(self, request: Message) -> bool:
        """Whether this request is to suffer; counts it."""
        if self.method not in (None, request.method) or not re.search(self.pattern, request.target):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


ALWAYS = 1_000_000


@dataclass
class FaultProxy:
    """What it is to do (`script`: rules, or a function that picks a fault), and what it saw."""

    upstream: str
    endpoint: str = ""
    script: Sequence[Rule] | Callable[[Message], Fault | None] = ()
    requests: list[Message] = field(default_factory=list)
    answers: list[tuple[str, Message]] = field(default_factory=list)
    hits: int = 0
    errors: list[Exception] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def calm(self) -> None:
        """Forget the script and what was seen."""
        with self.lock:
            self.script, self.hits = (), 0
            self.requests.clear()
            self.answers.clear()
            self.errors.clear()

    def asked(self, method: str, pattern: str = "") -> int:
        """How many such requests came."""
        return sum(r.method == method and bool(re.search(pattern, r.target)) for r in self.requests)

    def pick(self, request: Message) -> Fault | None:
        """The fault that a request is to suffer."""
        with self.lock:
            self.requests.append(request)
            if callable(self.script):
                fault = self.script(request)
            else:
                hits = [rule for rule in self.script if rule.hits(request)]
                fault = hits[0].fault if hits else None
            self.hits += fault is not None
            return fault

    def ask(self, request: Message) -> Message:
        """The server's answer to a request."""
        where = urlsplit(self.upstream)
        kept = tuple((n, v) for n, v in request.headers if n.lower() not in _HOP)
        sent = Message(request.line, (*kept, ("Connection", "close")), request.body)
        address = (str(where.hostname), int(where.port or 80))
        with socket.create_connection(address, PATIENCE_SECONDS) as connection:
            connection.sendall(sent.encode())
            with connection.makefile("rb") as stream:
                answer = read_message(stream, bodiless=request.method == "HEAD")
        if answer is None:
            raise ConnectionError("the server closed the connection")
        return answer


@contextlib.contextmanager
def between(upstream: str) -> Iterator[FaultProxy]:
    """A proxy on a free loopback port in front of the server at `upstream`, a URL."""
    proxy = FaultProxy(upstream)

    class Handler(socketserver.StreamRequestHandler):
        timeout = PATIENCE_SECONDS

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
                self.serve()

        def serve(self) -> None:
            request = read_message(self.rfile, continues=self.wfile.write)
            if request is None:
                return
            exchange = Exchange(proxy, request, self.connection)
            fault = proxy.pick(request)
            try:
                (fault or through())(exchange)
            except ConnectionError:
                raise
            except Exception as error:  # a defect of the proxy must not look like a fault
                proxy.errors.append(error)
                raise

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()

    with _serving(Handler) as endpoint:
        proxy.endpoint = endpoint
        yield proxy


@contextlib.contextmanager
def other_host() -> Iterator[tuple[str, list[bytes]]]:
    """A host that nobody should speak to: its URL, and what it was sent all the same."""
    heard: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(2)
            with contextlib.suppress(OSError):
                heard.append(self.request.recv(65536))

    with _serving(Handler) as endpoint:
        yield endpoint, heard


@contextlib.contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Kept in `errors`; nothing is printed between tests."""

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


# Faults.


def through() -> Fault:
    """No fault."""
    return lambda exchange: exchange.send(exchange.forward())


def answer(status: int, code: str, reached: bool = False, **headers: str) -> Fault:
    """An error of S3 instead of an answer; `reached`: the server has done what it was asked."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>fault</Message></Error>"

    def fault(exchange: Exchange) -> None:
        if reached:
            exchange.forward()
        text = b"" if exchange.request.method == "HEAD" else body.encode()
        pairs = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
        pairs += [(name.replace("_", "-"), value) for name, value in headers.items()]
        exchange.send(Message(f"HTTP/1.1 {status} Fault", tuple(pairs), text))

    return fault


def not_http() -> Fault:
    """Something that is no HTTP, as a broken load balancer sends."""
    return lambda exchange: exchange.client.sendall(b"\x00\x16garbage\r\n\r\n")


def reset_before() -> Fault:
    """The connection breaks, and the server never heard of the request."""
    return lambda exchange: exchange.reset()


def reset_after() -> Fault:
    """The answer is lost: the server has done what it was asked for."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        exchange.reset()

    return fault


def twice() -> Fault:
    """The request arrives two times; the client sees the second answer."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        exchange.send(exchange.forward())

    return fault


def cut(share: float = 0.5, orderly: bool = False) -> Fault:
    """The answer's body ends early: by a reset, or as if that were all (`orderly`)."""

    def fault(exchange: Exchange) -> None:
        whole = exchange.forward()
        data = whole.having("Connection", "close").encode()
        missing = len(whole.body) - int(len(whole.body) * share)
        exchange.client.sendall(data[: len(data) - missing])
        if not orderly:
            time.sleep(0.01)  # let the client read what was sent: a reset throws it away
            exchange.reset()

    return fault


def changed(change: Callable[[Message], Message]) -> Fault:
    """The answer, changed on the way."""
    return lambda exchange: exchange.send(change(exchange.forward()))


def shortened() -> Fault:
    """A shorter body, whose length agrees with its header."""
    return changed(lambda m: _with_body(m, m.body[:-1]))


def lengthened() -> Fault:
    """A longer one."""
    return changed(lambda m: _with_body(m, m.body + b"\x00"))


def corrupted() -> Fault:
    """One bit of the body is another."""

    def change(message: Message) -> Message:
        at = len(message.body) // 2
        flipped = bytes([message.body[at] ^ 1]) if message.body else b""
        return _with_body(message, message.body[:at] + flipped + message.body[at + 1 :])

    return changed(change)


def header(name: str, value: str | None) -> Fault:
    """The answer with another header; None takes it away."""
    return changed(lambda message: message.having(name, value))


def stale(pattern: str) -> Fault:
    """The answer that an earlier GET of a matching target had."""

    def fault(exchange: Exchange) -> None:
        old = [a for target, a in exchange.proxy.answers if re.search(pattern, target)]
        exchange.send(old[0] if old else exchange.forward())

    return fault


def late(seconds: float) -> Fault:
    """The answer takes its time."""

    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.send(exchange.forward())

    return fault


def _with_body(message: Message, body: bytes) -> Message:
    changed = message.having("Content-Length", str(len(body)))
    return Message(changed.line, changed.headers, body)
