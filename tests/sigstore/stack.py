"""The whole instance, and what its clients are configured with.

Formats: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from tests.sigstore.encoding import b64, rfc3339, seconds_now, sha256, spki
from tests.sigstore.fulcio import Fulcio
from tests.sigstore.oidc import Oidc
from tests.sigstore.rekor import Log, RekorV1, RekorV2
from tests.sigstore.server import Answer, Call, Front, in_json
from tests.sigstore.tsa import Tsa

ISSUE = "POST /api/v2/signingCert"
LOG = {1: "POST /api/v1/log/entries", 2: "POST /api/v2/log/entries"}
STAMP = "POST /api/v1/timestamp"
MEDIA = "application/vnd.dev.sigstore."


class LocalSigstore:
    """Every service on one free loopback port, with keys of this process's own."""

    def __init__(self) -> None:
        self.front = Front({})
        self.url = f"http://127.0.0.1:{self.front.port}"
        host = f"127.0.0.1:{self.front.port}"
        self.oidc = Oidc(f"{self.url}/oidc")
        self.fulcio = Fulcio(self.oidc)
        self.tsa = Tsa()
        self.rekor1, self.rekor2 = RekorV1(host), RekorV2(host)
        self.since = rfc3339(seconds_now() - timedelta(days=1))
        self.front.routes.update(
            {
                "GET /oidc/.well-known/openid-configuration": self._discovery,
                "GET /oidc/keys": lambda _: in_json(self.oidc.keys()),
                "GET /oidc/auth": lambda call: (302, "", self.oidc.authorise(call.query).encode()),
                "POST /oidc/token": lambda call: in_json(self.oidc.exchange(call.form())),
                ISSUE: self._issue,
                LOG[1]: lambda call: in_json(self.rekor1.answer(call.json()), 201),
                LOG[2]: lambda call: in_json(self.rekor2.answer(call.json()), 201),
                STAMP: self._stamp,
            }
        )

    def _discovery(self, call: Call) -> Answer:
        return in_json(self.oidc.discovery())

    def _issue(self, call: Call) -> Answer:
        return in_json(self.fulcio.answer(call.json(), call.authorisation), 201)

    def _stamp(self, call: Call) -> Answer:
        return 201, "application/timestamp-reply", self.tsa.answer(call.body)

    def close(self) -> None:
        """Stop serving."""
        self.front.close()

    def log(self, version: int) -> Log:
        """Rekor of that version."""
        return self.rekor1 if version == 1 else self.rekor2

    @contextmanager
    def broken(self, route: str, status: int = 500, message: str = "broken") -> Iterator[None]:
        """A service that answers every request with an error."""
        self.front.broken[route] = in_json({"code": status, "message": message}, status)
        try:
            yield
        finally:
            del self.front.broken[route]

    @contextmanager
    def requests(self) -> Iterator[list[str]]:
        """Collect the requests that are made inside."""
        made: list[str] = []
        before = len(self.front.requests)
        try:
            yield made
        finally:
            made.extend(self.front.requests[before:])

    # -- what clients are configured with

    def trusted_root_json(self, *, tsa: bool = True) -> dict[str, Any]:
        """The trusted root as an object, for tests that bend it."""
        valid = {"start": self.since}
        ct_key = spki(self.fulcio.ct_key)
        ct_log = {
            "baseUrl": f"{self.url}/ct",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(ct_key),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": valid,
            },
            "logId": {"keyId": b64(sha256(ct_key))},
        }
        root = {
            "mediaType": f"{MEDIA}trustedroot+json;version=0.1",
            "tlogs": [self.rekor1.trusted(self.url, valid), self.rekor2.trusted(self.url, valid)],
            "certificateAuthorities": [self.fulcio.trusted(self.url, valid)],
            "ctlogs": [ct_log],
            "timestampAuthorities": [self.tsa.trusted(self.url, valid)] if tsa else [],
        }
        own: dict[str, Any] = json.loads(json.dumps(root))  # nothing in it is shared
        return own

    def trusted_root(self) -> bytes:
        """The trusted root: what a verifier pins."""
        return json.dumps(self.trusted_root_json()).encode()

    def trust_config(self, rekor: int = 2, *, tsa: bool = True) -> bytes:
        """The ClientTrustConfig: what a signer is given."""

        def service(url: str, version: int = 1) -> dict[str, Any]:
            valid = {"start": self.since}
            return {"url": url, "majorApiVersion": version, "validFor": valid, "operator": "test"}

        signing = {
            "mediaType": f"{MEDIA}signingconfig.v0.2+json",
            "caUrls": [service(self.url)],
            "oidcUrls": [service(self.oidc.url)],
            "rekorTlogUrls": [service(self.url, rekor)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [service(f"{self.url}/api/v1/timestamp")] if tsa else [],
            "tsaConfig": {"selector": "ANY"},
        }
        config = {
            "mediaType": f"{MEDIA}clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root_json(tsa=tsa),
            "signingConfig": signing,
        }
        return json.dumps(config).encode()
