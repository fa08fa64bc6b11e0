"""A server on the loopback that answers as AWS KMS does, with real keys behind it.

https://docs.aws.amazon.com/kms/latest/APIReference/ : JSON 1.1, the operation
in `X-Amz-Target`. Only GetPublicKey and Sign.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.building import pss

Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_ALGORITHMS = {
    "secp256r1": ["ECDSA_SHA_256"],
    "secp384r1": ["ECDSA_SHA_384"],
    "rsa": ["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_512"],
}


class KMS:
    """Key id -> private key. `answer` replaces what Sign signs; `denied` are refused."""

    def __init__(self) -> None:
        self.keys: dict[str, Private] = {}
        self.denied: set[str] = set()
        self.forge = False
        self.asked: list[str] = []
        self.url = ""

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and document."""
        self.asked.append(operation)
        name = request["KeyId"]
        if operation in self.denied:
            return 400, {"__type": "AccessDeniedException", "Message": "you may not\nat all"}
        private = self.keys.get(name)
        if private is None:
            return 400, {"__type": "NotFoundException", "message": f"Key '{name}' does not exist"}
        if operation == "GetPublicKey":
            return 200, _public(name, private)
        return 200, {"KeyId": name, "Signature": self._sign(private, request)}

    def _sign(self, private: Private, request: dict[str, Any]) -> str:
        assert request["MessageType"] == "DIGEST"
        digest = base64.b64decode(request["Message"])
        assert len(digest) == 32
        if self.forge:
            digest = bytes(32)
        algorithm = Prehashed(hashes.SHA256())
        if isinstance(private, rsa.RSAPrivateKey):
            assert request["SigningAlgorithm"] == "RSASSA_PSS_SHA_256"
            signature = private.sign(digest, pss(), algorithm)
        else:
            assert request["SigningAlgorithm"] == "ECDSA_SHA_256"
            signature = private.sign(digest, ec.ECDSA(algorithm))
        return base64.b64encode(signature).decode()


def _public(name: str, private: Private) -> dict[str, Any]:
    der = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    kind = "rsa" if isinstance(private, rsa.RSAPrivateKey) else private.curve.name
    return {
        "KeyId": name,
        "KeyUsage": "SIGN_VERIFY",
        "PublicKey": base64.b64encode(der).decode(),
        "SigningAlgorithms": _ALGORITHMS[kind],
    }


@contextmanager
def kms() -> Iterator[KMS]:
    """The server, until the end of the block."""
    state = KMS()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service, _, operation = self.headers["X-Amz-Target"].partition(".")
            assert service == "TrentService"
            status, document = state.answer(operation, json.loads(body))
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
