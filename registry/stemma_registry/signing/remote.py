"""Keys that stay where they are: in a KMS, or on a token behind PKCS#11."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from stemma_attestations.errors import BadKey
from stemma_attestations.keys import PublicKey
from stemma_registry.errors import NotFound, Refused
from stemma_registry.signing.contract import KeyHolder, Secret
from stemma_registry.signing.failing import told

_SCHEMES = ("ecdsa-sha2-nistp256", "rsassa-pss-sha256")
_AWS = re.compile(r"[A-Za-z0-9:/_-]+\Z")
_GCP = re.compile(
    r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+/cryptoKeyVersions/[0-9]+\Z"
)
_AZURE = re.compile(
    r"//(?P<vault>[A-Za-z0-9-]+)\.vault\.azure\.net/keys/(?P<key>[A-Za-z0-9-]+)"
    r"(?:/(?P<version>[0-9a-f]+))?\Z"
)
_HSM = re.compile(r"(?P<id>[0-9]{1,9})?(?:\?(?P<query>.*))?\Z", re.DOTALL)
_PIV_SIGNATURE = 2  # securesystemslib's default: PIV slot 9c
_MODULE = "PYKCS11LIB"  # where securesystemslib looks for the PKCS#11 module

# Makes a securesystemslib signer from what stands behind the scheme of a URI.
Open = Callable[[str, str, Secret], tuple[Any, Any]]


@dataclass(frozen=True)
class RemoteSigner(KeyHolder):
    """A key that signs elsewhere. `backend` is a securesystemslib signer."""

    backend: Any
    public: PublicKey
    where: str
    extra: str

    def sign_bytes(self, message: bytes) -> bytes:
        """The signature over `message`. Raises Refused, NotFound, Unavailable."""
        with told(self.where, self.extra):
            return bytes.fromhex(self.backend.sign(message).signature)


def load(uri: str, pin: Secret) -> RemoteSigner:
    """The signer of a URI whose scheme is in EXTRAS; asks it for its public key.

    Raises BadKey, NotFound, Refused, Unavailable.
    """
    scheme, _, rest = uri.partition(":")
    extra, opened = EXTRAS[scheme]
    with told(uri, extra):
        backend, key = opened(uri, rest, pin)
        if key.scheme not in _SCHEMES:
            raise BadKey(
                f"{uri}: the key signs with {key.scheme}, and only ECDSA P-256 and RSA-PSS, "
                "both over SHA-256, are read"
            )
        public = PublicKey.parse(key.keyval["public"].encode())
    return RemoteSigner(backend, public, uri, extra)


def _aws(uri: str, rest: str, _pin: Secret) -> tuple[Any, Any]:
    if not _AWS.match(rest) or rest.startswith("/"):
        raise BadKey(f"{uri!r:.120}: write awskms:KEY (an id, an ARN or alias/NAME)")
    from securesystemslib.signer import AWSSigner  # type: ignore[attr-defined]

    _, key = AWSSigner.import_(rest)
    return (AWSSigner(rest, key) if key.scheme in _SCHEMES else None), key


def _gcp(uri: str, rest: str, _pin: Secret) -> tuple[Any, Any]:
    if not _GCP.match(rest):
        form = "projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V"
        raise BadKey(f"{uri!r:.120}: write gcpkms:{form}")
    from securesystemslib.signer import GCPSigner  # type: ignore[attr-defined]

    _, key = GCPSigner.import_(rest)
    return (GCPSigner(rest, key) if key.scheme in _SCHEMES else None), key


def _azure(uri: str, rest: str, _pin: Secret) -> tuple[Any, Any]:
    parts = _AZURE.match(rest)
    if parts is None:
        raise BadKey(f"{uri!r:.120}: write azurekms://VAULT.vault.azure.net/keys/NAME[/VERSION]")
    from securesystemslib.signer import AzureSigner  # type: ignore[attr-defined]

    # The library asks for the newest version only, and says which one that is.
    newest, key = AzureSigner.import_(parts["vault"], parts["key"])
    if parts["version"] and newest.rpartition("/")[2] != parts["version"]:
        raise Refused(f"{uri}: not the newest version of the key, which is {newest}")
    return (AzureSigner.from_priv_key_uri(newest, key) if key.scheme in _SCHEMES else None), key


def _hsm(uri: str, rest: str, pin: Secret) -> tuple[Any, Any]:
    parts = _HSM.match(rest)
    query = dict(parse_qsl(parts["query"] or "", keep_blank_values=True)) if parts else {}
    if parts is None or query.keys() - {"label", "module"}:
        raise BadKey(f"{uri!r:.120}: write hsm:[ID][?label=TOKEN][&module=FILE]")
    from securesystemslib.signer import HSMSigner  # type: ignore[attr-defined]

    key_id, label = int(parts["id"] or _PIV_SIGNATURE), query.get("label")
    asked = _asking(uri, pin)
    with _hsm_errors(uri), _module(query.get("module")):
        _, key = HSMSigner.import_(key_id, label, asked)
    return _Token(HSMSigner(key_id, key, asked, label), query.get("module"), uri), key


@dataclass(frozen=True)
class _Token:
    """An HSM's signer, with its PKCS#11 module in force."""

    backend: Any
    module: str | None
    uri: str

    def sign(self, message: bytes) -> Any:
        with _hsm_errors(self.uri), _module(self.module):
            return self.backend.sign(message)


def _asking(uri: str, pin: Secret) -> Callable[[str], str]:
    @functools.cache  # a push signs several statements, and nobody types a PIN for each
    def asked(_what: str) -> str:
        secret = pin()
        if not secret:
            raise BadKey(f"{uri} asks for a PIN (set STEMMA_HSM_PIN)")
        return secret

    return asked


@contextlib.contextmanager
def _module(path: str | None) -> Iterator[None]:
    """Name the PKCS#11 module where the library looks for it: in the environment."""
    if path is None:
        yield
        return
    before = os.environ.get(_MODULE)
    os.environ[_MODULE] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ[_MODULE]
        else:
            os.environ[_MODULE] = before


@contextlib.contextmanager
def _hsm_errors(uri: str) -> Iterator[None]:
    """The library says all of these with ValueError."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        if _MODULE in text:
            raise Refused(
                f"{uri}: which PKCS#11 module? (set {_MODULE} to its file, or write ?module=FILE)"
            ) from error
        if text.startswith(("could not find", "No ")):
            raise NotFound(f"{uri}: {text}") from error
        raise


# Scheme -> the extra of the distribution that brings its library, and what opens it.
EXTRAS: dict[str, tuple[str, Open]] = {
    "awskms": ("aws", _aws),
    "gcpkms": ("gcp", _gcp),
    "azurekms": ("azure", _azure),
    "hsm": ("hsm", _hsm),
}
