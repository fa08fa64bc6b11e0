"""A running OPA: only a clear allow is one, whatever else it answers."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from stemma_attestations.policy import RegoRule
from stemma_attestations.policy_input import FORMAT
from stemma_attestations.rego import Decision
from stemma_attestations.verdict import Outcome
from stemma_registry.config import LIMITS
from stemma_registry.rego import opa as remote
from stemma_registry.rego.evaluator import Evaluator
from tests.rego.opa_server import Opa, always, send, serving

GATE = """\
package stemma.gate
allow if input.x == 1
deny contains "y is not wanted" if input.y
fails := 1 / input.zero
"""


@pytest.fixture
def opa(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opa]:
    limits = replace(LIMITS, opa_seconds=2.0, opa_bytes=100_000)
    monkeypatch.setattr(remote, "LIMITS", limits)
    with serving(Opa({"gate.rego": GATE})) as server:
        yield server


def ask(opa: Opa, document: bytes = b'{"x":1}', path: str = "stemma/gate") -> Decision:
    return Evaluator()(RegoRule(opa=opa.url(path)), document)


def test_a_package_and_a_rule_can_be_asked(opa: Opa) -> None:
    for path in ("stemma/gate", "stemma/gate/allow"):
        decision = ask(opa, path=path)
        assert decision.outcome is Outcome.PASSED
        (line,) = decision.lines
        assert "by rules not pinned, OPA 1.9.0, bundle gate at r42" in line
        assert opa.url(path) in line


def test_it_is_asked_as_opa_documents_it(opa: Opa) -> None:
    ask(opa)
    assert opa.asked == [{"input": {"format": FORMAT}}, {"input": {"x": 1}}]
    assert {one["Content-Type"] for one in opa.headers} == {"application/json"}
    assert not any("Authorization" in one for one in opa.headers)


def test_one_opa_tells_its_bundle_as_older_ones_did(opa: Opa) -> None:
    opa.provenance = {"version": "0.70.0", "revision": "r1\x1b", "bundles": "?"}
    assert "OPA 0.70.0, bundle at r1?" in ask(opa).lines[0]
    opa.provenance = {}
    assert ask(opa).lines[0].endswith("by rules not pinned")


@pytest.mark.parametrize(
    ("document", "path", "reason"),
    [
        (b'{"x":2}', "stemma/gate", "undefined"),
        (b'{"x":1,"y":2}', "stemma/gate", "denies: y is not wanted"),
        (b'{"x":1}', "stemma/nothing", "undefined"),
        (b'{"x":2}', "stemma/gate/allow", "undefined"),
    ],
)
def test_a_no_is_a_no(opa: Opa, document: bytes, path: str, reason: str) -> None:
    decision = ask(opa, document, path)
    assert decision.outcome is Outcome.FAILED
    assert reason in decision.lines[0]


@pytest.mark.parametrize(
    "result",
    ["1", '"true"', "{}", "[true]", "null", "0.0", "false", '{"allow": 1}', '{"allow": "true"}']
    + ['{"allow": true, "deny": "no"}', '{"allow": true, "deny": {}}', '{"deny": []}']
    + ['{"allow": true, "deny": [1]}', '{"allow": true, "deny": null}', '{"result": true}'],
)
def test_only_true_is_an_allow(opa: Opa, result: str) -> None:
    opa.misbehave = always(f'{{"result": {result}}}'.encode())
    assert ask(opa).outcome is Outcome.FAILED


def test_an_opa_that_allows_what_says_nothing_is_not_asked(opa: Opa) -> None:
    opa.modules = {"gate.rego": "package stemma.gate\nallow := true\n"}
    decision = ask(opa)
    assert decision.outcome is Outcome.UNDECIDED
    assert "self-test" in decision.lines[0]
    assert len(opa.asked) == 1


def _drip(to: BaseHTTPRequestHandler) -> None:
    to.send_response(200)
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    for _ in range(40):
        to.wfile.write(b"1\r\n \r\n")
        time.sleep(0.1)


def _drip_headers(to: BaseHTTPRequestHandler) -> None:
    to.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(40):
        to.wfile.write(b"X-%d: 1\r\n" % number)
        time.sleep(0.1)


def _endless(to: BaseHTTPRequestHandler) -> None:
    to.send_response(200)
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    while True:
        to.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


def _redirect(to: BaseHTTPRequestHandler) -> None:
    to.send_response(307)
    to.send_header("Location", to.path.replace("gate", "other"))
    to.send_header("Content-Length", "0")
    to.end_headers()


def _cut(to: BaseHTTPRequestHandler) -> None:
    to.send_response(200)
    to.send_header("Content-Length", "1000")
    to.end_headers()
    to.wfile.write(b'{"result": true}')


@pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(lambda to: time.sleep(4), id="silent"),
        pytest.param(_drip, id="drips"),
        pytest.param(_drip_headers, id="drips headers"),
        pytest.param(_endless, id="endless"),
        pytest.param(_redirect, id="redirects"),
        pytest.param(_cut, id="cut off"),
        pytest.param(lambda to: None, id="hangs up"),
        pytest.param(lambda to: to.wfile.write(b"hello\r\n\r\n"), id="no HTTP"),
        pytest.param(always(b'{"result": true}', 500), id="500"),
        pytest.param(always(b'{"result": true}', 404), id="404"),
        pytest.param(always(b'{"result": true}', 201), id="201"),
        pytest.param(always(b'{"result": true'), id="half a document"),
        pytest.param(always(b'{"result": false, "result": true}'), id="two results"),
        pytest.param(always(b"true"), id="no object"),
        pytest.param(always(b""), id="nothing"),
        pytest.param(always(b'{"result":' + b"[" * 5000 + b"]" * 5000 + b"}"), id="deep"),
        pytest.param(always(b'{"result": true' + b" " * 200_000 + b"}"), id="large"),
        pytest.param(always(b"\xff\xfe"), id="no UTF-8"),
    ],
)
def test_what_is_no_answer_decides_nothing(opa: Opa, misbehave: object) -> None:
    """Also in the answer that counts: the self-test passes here."""

    def second(to: BaseHTTPRequestHandler) -> None:
        if len(opa.asked) == 1:
            send(to, b"{}")
        else:
            misbehave(to)  # type: ignore[operator]

    opa.misbehave = second
    before = time.monotonic()
    decision = ask(opa)
    assert time.monotonic() - before < 15
    assert decision.outcome is Outcome.UNDECIDED
    assert len(opa.asked) == 2


def test_one_that_cannot_be_reached_decides_nothing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rule = RegoRule(opa=f"http://127.0.0.1:{port}/v1/data/a")
    decision = Evaluator()(rule, b"{}")
    assert decision.outcome is Outcome.UNDECIDED
    assert rule.opa is not None
    assert rule.opa in decision.lines[0]


def test_a_certificate_that_nobody_vouches_for_is_no_opa(tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=opa"]
        + ["-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(Opa({"gate.rego": GATE}), context) as opa:
        rule = RegoRule(opa=opa.url().replace("http:", "https:"))
        decision = Evaluator()(rule, b'{"x":1}')
        assert decision.outcome is Outcome.UNDECIDED
        assert "certificate verify failed" in decision.lines[0]
        assert opa.asked == []


def test_no_proxy_and_no_password_file(opa: Opa, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Opa({}, always(json.dumps({"result": True}).encode()))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        assert ask(opa, b'{"x":2}').outcome is Outcome.FAILED
        assert proxy.asked == []


def test_an_error_in_a_function_is_not_taken_for_undefined(opa: Opa) -> None:
    opa.modules = {
        "gate.rego": "package stemma.gate\nallow if { input.x == 1 }\n"
        'deny contains "no" if 1 / input.zero > 1\n'
    }
    decision = ask(opa, b'{"x":1,"zero":0}')
    assert decision.outcome is Outcome.UNDECIDED
    assert "it answered 500" in decision.lines[0]
