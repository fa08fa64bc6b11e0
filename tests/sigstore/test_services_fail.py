"""Services that fail in a push: nothing is acknowledged, half there, or in the way."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.sigstore.desk import Desk
from tests.sigstore.server import Answer, Call, Handler, in_json
from tests.sigstore.stack import ISSUE, LOG, STAMP
from tests.sigstore.test_roots_change import rebuilt_says_the_same

SERVICES = {"authority": ISSUE, "log": LOG[2], "timestamp": STAMP}
HUGE = 64 * 1024 * 1024


def _bent(good: Handler, change: Callable[[bytes], bytes]) -> Handler:
    def answer(call: Call) -> Answer:
        status, kind, body = good(call)
        return status, kind, change(body)

    return answer


FAULTS: dict[str, Callable[[Handler], Handler]] = {
    "500": lambda good: lambda call: in_json({"message": "no"}, 500),
    "429": lambda good: lambda call: in_json({"message": "later"}, 429),
    "403": lambda good: lambda call: in_json({"message": "you"}, 403),
    "200 and nothing": lambda good: lambda call: (201, "application/json", b""),
    "garbage": lambda good: lambda call: (201, "application/json", b"\xff\xfe<html>"),
    "json of another kind": lambda good: lambda call: in_json([None], 201),
    "truncated": lambda good: _bent(good, lambda body: body[: len(body) // 2]),
    "bent": lambda good: _bent(good, lambda body: body[:-1] + bytes([body[-1] ^ 1])),
    "huge": lambda good: _bent(good, lambda body: body + b" " * HUGE),
    "redirect": lambda good: lambda call: (307, "", b"http://127.0.0.1:9/elsewhere"),
    "error of a megabyte": lambda good: lambda call: in_json({"message": "x\n" * 500_000}, 400),
}


@contextmanager
def failing(desk: Desk, service: str, fault: str, after: int) -> Iterator[list[int]]:
    """The service goes well `after` times, and then fails so."""
    routes, route = desk.stack.front.routes, SERVICES[service]
    good, seen = routes[route], list[int]()
    bad = FAULTS[fault](good)

    def answer(call: Call) -> Answer:
        seen.append(1)
        return (good if len(seen) <= after else bad)(call)

    routes[route] = answer
    try:
        yield seen
    finally:
        routes[route] = good


def campaign(desk: Desk, service: str, faults: Sequence[str]) -> None:
    """A push for each fault, which fails in one clear line; then one that goes well."""
    desk.push("models/before:1")
    assert desk.believe() == 0
    listed, log = desk.run("list"), desk.run("log")
    (desk.folder / "work" / "model" / "w.bin").write_bytes(b"next weights")
    for number, fault in enumerate(faults):
        after = 0 if service == "authority" else number % 3
        with failing(desk, service, fault, after) as seen:
            begun = time.monotonic()
            uri = desk.sign()
            code, said = desk.run("push", "model", "models/m:1", "--kind", "model", "--sign", uri)
        assert code in (1, 13, 14), (fault, said)
        assert len(seen) == after + 1, (fault, seen)
        message = said["error"]["message"]
        assert "\n" not in message, message
        assert len(message) < 1000, message
        assert "bug" not in message, message
        assert time.monotonic() - begun < 10
        assert (desk.run("list"), desk.run("log")) == (listed, log), fault
    assert desk.push()["outcome"] == "created"
    assert desk.verify() == 0
    code, audited = desk.run("audit", "--read-data")
    assert (code, audited["whole"]) == (0, True)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_fails_in_the_middle_of_a_push(desk: Desk, service: str) -> None:
    campaign(desk, service, list(FAULTS)[list(SERVICES).index(service) :: 3])


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_fails_in_every_way(desk: Desk, service: str) -> None:
    campaign(desk, service, list(FAULTS))


def test_an_answer_that_drips(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the answer never."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.1):
                    try:
                        connection.sendall(b"{")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        document = json.loads(desk.config.read_bytes())
        document["signingConfig"]["caUrls"][0]["url"] = f"http://127.0.0.1:{port}"
        desk.config.write_text(json.dumps(document))
        monkeypatch.setattr("stemma_registry.answers.ANSWER_SECONDS", 1.0)
        begun = time.monotonic()
        uri = desk.sign()
        code, said = desk.run("push", "model", "models/m:1", "--kind", "model", "--sign", uri)
        stop.set()
        thread.join()
    assert (code, "took more than" in json.dumps(said)) == (14, True), said
    assert time.monotonic() - begun < 15
    assert desk.run("list")[1] == []


def test_a_quarantine_whose_log_fails_is_not_there(desk: Desk) -> None:
    desk.push()
    assert desk.believe() == 0
    stop = ("quarantine", "models/m:1", "--reason", "poison", "--sign", desk.sign())
    for fault in ("500", "garbage", "truncated"):
        with failing(desk, "log", fault, 0):
            assert desk.run(*stop)[0] in (1, 13, 14)
        assert desk.verify() == 0
    assert desk.run(*stop)[0] == 0
    assert desk.verify() == 11
    rebuilt_says_the_same(desk)
