"""Messages of HTTP/1.1 as they are: every header, in its order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """A request or an answer: its first line, its headers in order, its body."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def method(self) -> str:
        """Of a request."""
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        """Path and query of a request."""
        return self.line.split(" ")[1]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.line.split(" ")[1])

    def header(self, name: str) -> str | None:
        """The value of a header."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def having(self, name: str, value: str | None) -> Message:
        """The same with another value for a header; None takes it away."""
        rest = tuple((n, v) for n, v in self.headers if n.lower() != name.lower())
        return Message(self.line, rest if value is None else (*rest, (name, value)), self.body)

    def encode(self) -> bytes:
        """As it is sent."""
        head = [self.line, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(head).encode("latin-1") + self.body


def read_message(
    stream: object, bodiless: bool = False, continues: Callable[[bytes], object] | None = None
) -> Message | None:
    """The next message of a connection, or None at its end. Raises ValueError."""
    readline, read = stream.readline, stream.read  # type: ignore[attr-defined]
    line = readline(65537).decode("latin-1").rstrip("\r\n")
    if not line:
        return None
    headers = []
    while (raw := readline(65537).decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = raw.partition(":")
        headers.append((name, value.strip()))
    message = Message(line, tuple(headers), b"")
    if continues is not None and (message.header("Expect") or "").lower() == "100-continue":
        continues(b"HTTP/1.1 100 Continue\r\n\r\n")
    if line.startswith("HTTP/1.1 100"):
        return read_message(stream, bodiless)
    if bodiless:
        return message
    if (message.header("Transfer-Encoding") or "").lower() == "chunked":
        body = b"".join(_chunked(readline, read))
        plain = message.having("Transfer-Encoding", None).having("Content-Length", str(len(body)))
        return Message(line, plain.headers, body)
    length = message.header("Content-Length")
    if length is None:
        return Message(line, message.headers, b"" if continues is not None else read())
    body = read(int(length))
    if len(body) != int(length):
        raise ValueError("the body ended early")
    return Message(line, message.headers, body)


def _chunked(readline: Callable[[int], bytes], read: Callable[[int], bytes]) -> Iterator[bytes]:
    while size := int(readline(1024).split(b";")[0], 16):
        yield read(size)
        readline(3)
    while readline(65537).strip():
        pass
