"""The OIDC issuer: discovery, keys, tokens, and a browser log-in with PKCE (RFC 7636)."""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import jwt

from tests.sigstore.encoding import p256, sha256

AUDIENCE = "sigstore"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class Oidc:
    """Issues tokens, and checks those it has issued."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = p256()
        self.key_id = secrets.token_hex(8)
        self.issued = 0
        self.codes: dict[str, dict[str, str]] = {}

    def discovery(self) -> dict[str, Any]:
        """`.well-known/openid-configuration`."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def keys(self) -> dict[str, Any]:
        """The JSON Web Key Set."""
        numbers = self.key.public_key().public_numbers()
        x, y = (_base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        key = {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.key_id, "alg": "ES256"}
        return {"keys": [{**key, "use": "sig"}]}

    def token(
        self, subject: str, *, email: str | None = None, lifetime: int = 600, **claims: object
    ) -> str:
        """A signed token; further claims go in as they are, and win."""
        now = int(time.time())
        body: dict[str, object] = {
            "iss": self.url,
            "sub": subject,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
        }
        if email is not None:
            body |= {"email": email, "email_verified": True}
        self.issued += 1
        return jwt.encode(body | claims, self.key, algorithm="ES256", headers={"kid": self.key_id})

    def check(self, token: str) -> dict[str, Any]:
        """The claims of a token of this issuer. Raises jwt.InvalidTokenError."""
        claims: dict[str, Any] = jwt.decode(
            token,
            self.key.public_key(),
            algorithms=["ES256"],
            audience=AUDIENCE,
            issuer=self.url,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
        return claims

    def authorise(self, query: dict[str, str]) -> str:
        """Log `alice` in at once; where the browser is sent with the code."""
        if query["response_type"] != "code" or query["code_challenge_method"] != "S256":
            raise ValueError("only the code flow with PKCE")
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = urlencode({"code": code, "state": query["state"]})
        return f"{query['redirect_uri']}?{answer}"

    def exchange(self, form: dict[str, str]) -> dict[str, str]:
        """A code for tokens. The access token is opaque, as most issuers' are."""
        asked = self.codes.pop(form["code"])
        if _base64url(sha256(form["code_verifier"].encode())) != asked["code_challenge"]:
            raise ValueError("the code verifier is not the challenge's")
        if form["redirect_uri"] != asked["redirect_uri"]:
            raise ValueError("another redirect URI")
        token = self.token("alice", email="alice@example.com")
        return {
            "access_token": secrets.token_urlsafe(24),
            "id_token": token,
            "token_type": "Bearer",
        }
