"""Sign without a key of one's own: `sigstore:`.

The URI is `sigstore:`, or `sigstore:?NAME=VALUE&...` with percent-encoded values:

- `trust-config=FILE`: a private instance, by its ClientTrustConfig in JSON;
  without it the public one, as this version of Stemma ships it;
- `token-file=FILE`: a file with an OIDC identity token for the audience `sigstore`.

Who signs is asked once, at the first signature, and never a second time: the token
file; else the token that the caller found (`STEMMA_ID_TOKEN`); else what the CI system
offers (GitHub, GitLab, Buildkite, Google Cloud, ...); else a log-in in a browser, where
somebody is there to do it. One certificate then signs everything.

sigstore is imported when something is signed: it brings much along that nobody
else should wait for.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from stemma_attestations import canonical, json_strict, keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadJSON, BadKey, SignatureRefused, StemmaError
from stemma_attestations.identity import Identity
from stemma_attestations.statement import Statement
from stemma_registry import files
from stemma_registry.answers import bound
from stemma_registry.errors import Refused, Unavailable
from stemma_registry.trust import public_good

if TYPE_CHECKING:
    from requests import Response
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer, SigningContext

SCHEME = "sigstore:"
TOKEN_VARIABLE = "STEMMA_ID_TOKEN"  # noqa: S105 - the variable's name
PARAMETERS = ("trust-config", "token-file")
MAX_TOKEN_BYTES = 64 * 1024
MAX_CONFIG_BYTES = 8 * 1024 * 1024
_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_PASSING = frozenset({408, 425, 429})  # statuses below 500 that may be different next time


@dataclass(frozen=True)
class Instance:
    """One Sigstore instance: where to sign, and the trusted root that verifies it."""

    config: bytes  # ClientTrustConfig
    trusted_root: bytes

    @classmethod
    def public(cls) -> Instance:
        """The public instance. Raises Damaged."""
        root, signing = public_good.trusted_root(), public_good.signing_config()
        document = {
            "mediaType": _CONFIG,
            "trustedRoot": json.loads(root),
            "signingConfig": json.loads(signing),
        }
        return cls(canonical.dumps(document), root)

    @classmethod
    def parse(cls, config: bytes) -> Instance:
        """A private instance from its ClientTrustConfig. Raises BadKey."""
        try:
            document = json_strict.load_object(config, max_bytes=MAX_CONFIG_BYTES)
            if document.get("mediaType") != _CONFIG:
                raise BadKey(f"the trust configuration is not of type {_CONFIG}")
            return cls(config, canonical.dumps(document.get("trustedRoot")))
        except BadJSON as error:
            raise BadKey(f"the trust configuration cannot be read: {error}") from error


@dataclass
class KeylessSigner:
    """Signs as whoever `token` says, with one certificate, asked for at the first signature.

    `token` is called when the certificate is. It gives a token, or None for a browser log-in.
    """

    instance: Instance
    token: Callable[[], str | None] = field(repr=False)
    _session: _Session | None = field(default=None, init=False, repr=False)

    @property
    def identity(self) -> Identity:
        """Who signs; asks for the certificate. Raises what `sign` raises."""
        return self._open().identity

    @property
    def certified(self) -> Certified:
        """The same, under the instance's trusted root."""
        return Certified(Digest.of(self.instance.trusted_root), self.identity)

    @property
    def id(self) -> str:
        """The identity's, as in the catalogue."""
        return self.certified.id

    @property
    def keys(self) -> tuple[bytes, ...]:
        """None: the certificate is in the bundle."""
        return ()

    @property
    def undated(self) -> KeylessSigner:
        """Itself: without a time a certificate is worth nothing."""
        return self

    def sign(self, statement: Statement) -> Bundle:
        """Sign, timestamp and log the statement's bytes, and verify the result.

        Raises Refused (no identity, or it was refused), Unavailable (a service did not
        answer, the timestamp authority included), SignatureRefused (what came back does
        not verify; it never leaves this machine).
        """
        return self._open().sign(statement)

    def _open(self) -> _Session:
        if self._session is None:
            self._session = _Session.open(self.instance, self.token)
        return self._session


@dataclass(frozen=True)
class _Session:
    """A certificate and its private key, both in memory only."""

    signer: Signer
    instance: Instance
    identity: Identity
    stamps: int  # how many timestamps every bundle must have

    @classmethod
    def open(cls, instance: Instance, token: Callable[[], str | None]) -> _Session:
        with _seam("getting a signing certificate"):
            from cryptography.hazmat.primitives.serialization import Encoding
            from sigstore.models import ClientTrustConfig
            from sigstore.oidc import IdentityToken
            from sigstore.sign import Signer

            # Without a handler, warnings that we turn into errors would be printed as well.
            logging.getLogger("sigstore").addHandler(logging.NullHandler())
            config = ClientTrustConfig.from_json(instance.config.decode())
            context, stamps = _context(config)
            raw = token()
            who = IdentityToken(raw) if raw is not None else _logged_in(config)
            signer = Signer(who, context)
            certificate = signer._signing_cert().public_bytes(Encoding.DER)
            return cls(signer, instance, Identity.from_certificate(certificate), stamps)

    def sign(self, statement: Statement) -> Bundle:
        with _seam("signing"):
            raw = self.signer.sign_dsse(_verbatim(statement.raw)).to_json().encode()
        verified = keyless.verify(raw, self.instance.trusted_root)
        if verified.statement.raw != statement.raw or verified.identity != self.identity:
            raise SignatureRefused("what was signed is not what was to be signed")
        if len(verified.timestamps) < self.stamps:
            raise Unavailable("the timestamp authority gave no timestamp that verifies")
        return Bundle.parse(raw)


def _verbatim(data: bytes) -> Any:
    """A statement for sigstore with exactly these bytes.

    Its own reader knows fewer digests than in-toto does (no `gitCommit`) and asks
    for names, so it would refuse statements that we have already checked.
    """
    from sigstore.dsse import Statement as SigstoreStatement

    class Verbatim(SigstoreStatement):
        def __init__(self) -> None:
            self._contents = data

    return Verbatim()


# --- the services


def _context(config: ClientTrustConfig) -> tuple[SigningContext, int]:
    from sigstore.sign import SigningContext

    services = config.signing_config
    authority, log = services.get_fulcio(), services.get_tlogs()[0]
    stampers: list[Any] = [_Stamper(client) for client in services.get_tsas()]
    clients = (log, *(stamper.client for stamper in stampers))
    sessions = (authority.session, *(getattr(client, "_session", None) for client in clients))
    for session in sessions:
        if session is not None:
            bound(session)
    context = SigningContext(
        fulcio=authority, rekor=log, trusted_root=config.trusted_root, tsa_clients=stampers
    )
    return context, len(stampers)


class _Stamper:
    """A timestamp client whose failure is an error, before anything is logged for ever."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.url: str = client.url

    def request_timestamp(self, signature: bytes) -> Any:
        """The response. Raises Unavailable."""
        try:
            return self.client.request_timestamp(signature)
        except Exception as error:
            raise Unavailable(f"the timestamp authority {self.url}: {_line(error)}") from error


# --- who signs


def load_signer(uri: str, token: str | None, browser: bool) -> KeylessSigner:
    """The signer that `uri` names; nothing is asked of anybody yet.

    `token` is an identity token that the caller found, `browser` whether somebody is
    there to log in. Raises BadKey, NotFound, Unavailable.
    """
    parameters = parse_uri(uri)
    config, token_file = (parameters.get(name) for name in PARAMETERS)
    instance = Instance.public()
    if config is not None:
        instance = Instance.parse(
            files.read(Path(config).expanduser(), "trust configuration", MAX_CONFIG_BYTES)
        )
    return KeylessSigner(instance, lambda: _token(token_file, token, browser))


def parse_uri(uri: str) -> dict[str, str]:
    """The parameters of a `sigstore:` URI. Raises BadKey."""
    if not uri.startswith(SCHEME):
        raise BadKey(f"cannot sign with {uri!r:.60} (write {SCHEME})")
    mark, _, query = uri.removeprefix(SCHEME).partition("?")
    if mark:
        raise BadKey(f"{uri!r:.80}: parameters follow {SCHEME}? (trust-config=FILE)")
    found: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in PARAMETERS or name in found or not value:
            known = ", ".join(f"{one}=FILE" for one in PARAMETERS)
            raise BadKey(f"{uri!r:.80}: parameters are {known}, each at most once")
        found[name] = unquote(value)
    return found


def _token(file: str | None, token: str | None, browser: bool) -> str | None:
    from sigstore.oidc import detect_credential

    if file is not None:
        return _one(files.read(Path(file).expanduser(), "identity token", MAX_TOKEN_BYTES), file)
    if token is not None:
        return _one(token.encode(), TOKEN_VARIABLE)
    ambient = detect_credential()
    if ambient is None and not browser:
        raise Refused(
            "there is no identity to sign with: no CI system offers one "
            f"(set {TOKEN_VARIABLE}, write {SCHEME}?token-file=FILE, or log in on a terminal)"
        )
    return ambient


def _one(data: bytes, where: str) -> str:
    """A token; an empty one is a secret that was not set, never a reason to be somebody else."""
    text = data.decode("ascii", "replace").strip()
    if not text or any(c.isspace() or not c.isascii() for c in text):
        raise Refused(f"{where} holds no identity token")
    return text


def _logged_in(config: ClientTrustConfig) -> IdentityToken:
    """A token from a log-in in the browser."""
    from sigstore.oidc import IdentityError, IdentityToken, Issuer

    issuer = Issuer(config.signing_config.get_oidc_url())
    found: list[str] = []

    def keep(response: Response, **_: object) -> None:
        if response.url == issuer.oidc_config.token_endpoint and response.ok:
            token = response.json().get("id_token")
            if isinstance(token, str):
                found.append(token)

    # sigstore takes the *access* token, which only some issuers make an identity token.
    issuer.session.hooks["response"].append(keep)
    try:
        token = issuer.identity_token()
    except IdentityError:
        if not found:
            raise
        return IdentityToken(found[-1])
    return IdentityToken(found[-1]) if found else token


# --- what goes wrong


@contextmanager
def _seam(doing: str) -> Iterator[None]:
    """Turn whatever sigstore raises into our errors; ours pass."""
    try:
        yield
    except StemmaError:
        raise
    except Exception as error:
        raise _ours(doing, error) from error


def _ours(doing: str, error: Exception) -> StemmaError:
    from requests import HTTPError, RequestException
    from sigstore.errors import NetworkError

    for cause in _causes(error):
        if isinstance(cause, StemmaError):
            return cause
        if isinstance(cause, HTTPError) and cause.response is not None:
            return _answered(doing, cause.response)
        if isinstance(cause, (RequestException, NetworkError)):
            return Unavailable(f"{doing}: {_line(cause)}")
    if type(error).__name__ == "ExpiredCertificate":
        return Unavailable(f"{doing}: the certificate expired meanwhile; try again")
    why = f" ({_line(error.__cause__)})" if error.__cause__ else ""
    return Refused(f"{doing}: {_line(error)}{why}")


def _answered(doing: str, response: Response) -> StemmaError:
    status = response.status_code
    try:
        said = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = str(response.reason)
    text = f"{doing}: {response.url} answered {status}: {' '.join(said.split()):.200}"
    return Unavailable(text) if status >= 500 or status in _PASSING else Refused(text)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _line(error: BaseException) -> str:
    return f"{' '.join(str(error).split()) or type(error).__name__:.300}"
