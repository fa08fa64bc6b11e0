"""The seam to boto3: how the client is made, and what its errors mean.

boto3 is imported when the first client is made, not before: it takes longer
than most commands. It is untyped, so the client is `Any` from here on.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stemma_registry.errors import Temporary, Unanswered, Unavailable
from stemma_registry.settings import S3Settings

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # without a single byte
CONNECTIONS = 32
SIGNER = "stemma-s3v4"
_LOCK = threading.Lock()


def connect(settings: S3Settings) -> Any:
    """A client of S3, with endpoint, region and credentials from where boto3 looks for them.

    It tries once (repeating is `Retrying`'s work), follows no redirect, and
    does not hash a body whose SHA-256 is in the request already. Raises
    Unavailable.
    """
    with _LOCK, translated("cannot connect to S3"):
        boto3: Any = importlib.import_module("boto3")
        config: Any = importlib.import_module("botocore.config")
        style = settings.addressing_style
        client = boto3.session.Session().client(
            "s3",
            config=config.Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                max_pool_connections=CONNECTIONS,
                retries={"mode": "standard", "total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                tcp_keepalive=True,
                **({"s3": {"addressing_style": style}} if style else {}),
            ),
        )
        tame(client)
        return client


def tame(client: Any) -> None:
    """Make a client follow no redirect and hash no body that is hashed already."""
    events = client.meta.events
    events.register_last("before-parameter-build.s3", _stay)
    for operation in ("PutObject", "UploadPart"):
        events.register(f"choose-signer.s3.{operation}", _signer)


def _stay(context: dict[str, Any], **_: object) -> None:
    """Tell botocore's redirector that this request was redirected already.

    It would send the request, signed, to the region that a server names.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _signer(signature_version: object, **_: object) -> str | None:
    """Our signer instead of the usual one; None leaves the choice to botocore."""
    if signature_version not in ("s3v4", "v4"):
        return None
    auth: Any = importlib.import_module("botocore.auth")
    if SIGNER not in auth.AUTH_TYPE_MAPS:
        usual = auth.S3SigV4Auth

        def payload(self: Any, request: Any) -> str:
            known = request.headers.get("x-amz-checksum-sha256")
            if known is None:
                return str(usual.payload(self, request))
            return base64.b64decode(known).hex()

        auth.AUTH_TYPE_MAPS[SIGNER] = type("_KnownHash", (usual,), {"payload": payload})
    return SIGNER


@dataclass(frozen=True)
class Row:
    """What errors of some names mean: S3 error codes, HTTP statuses, exceptions of botocore.

    `reached`: whether the server may have done what it was asked for.
    """

    names: frozenset[str]
    error: type[Unavailable]
    reached: bool
    advice: str


def _row(names: str, error: type[Unavailable], advice: str, reached: bool = False) -> Row:
    return Row(frozenset(names.split()), error, reached, advice)


# The first row that has the code, then the first that has the status or the exception, counts.
TABLE = (
    _row(
        "SlowDown RequestLimitExceeded Throttling ThrottlingException TooManyRequests"
        " TooManyRequestsException BandwidthLimitExceeded 429",
        Temporary,
        "the server asks for fewer requests",
    ),
    _row(
        "OperationAborted ConditionalRequestConflict 409",
        Temporary,
        "another writer was at the same object at the same moment",
    ),
    _row(
        "InvalidPart InvalidPartOrder EntityTooSmall",
        Temporary,
        "the parts on the server are not those that were sent",
    ),
    _row(
        "BadDigest InvalidDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch"
        " XAmzContentChecksumMismatchException IncompleteBody RequestTimeout",
        Temporary,
        "the bytes did not arrive whole",
    ),
    _row(
        "EndpointConnectionError ConnectTimeoutError ProxyConnectionError ConnectionError",
        Temporary,
        "the server cannot be reached: check AWS_ENDPOINT_URL_S3 and the network",
    ),
    _row(
        "ReadTimeoutError ConnectionClosedError ResponseStreamingError IncompleteReadError"
        " HTTPClientError ResponseParserError ProtocolError IncompleteRead"
        " ConnectionResetError ConnectionAbortedError BrokenPipeError TimeoutError",
        Temporary,
        "the connection broke before the answer was whole",
        reached=True,
    ),
    _row(
        "FlexibleChecksumError ChecksumError",
        Temporary,
        "the bytes that came are not those of their checksum",
    ),
    _row(
        "InternalError ServiceUnavailable 500 502 503 504 408",
        Temporary,
        "the server failed",
        reached=True,
    ),
    _row(
        "ExpiredToken ExpiredTokenException TokenRefreshRequired RequestExpired"
        " UnauthorizedSSOTokenError SSOTokenLoadError TokenRetrievalError LoginRefreshRequired",
        Unavailable,
        "the credentials have expired: log in again",
    ),
    _row(
        "InvalidAccessKeyId SignatureDoesNotMatch InvalidToken InvalidSecurity"
        " NotSignedUp AccountProblem 401",
        Unavailable,
        "the credentials are not valid: check AWS_PROFILE or AWS_ACCESS_KEY_ID",
    ),
    _row(
        "NoCredentialsError PartialCredentialsError CredentialRetrievalError ProfileNotFound"
        " NoAuthTokenError UnknownCredentialError SSOError",
        Unavailable,
        "no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    _row(
        "RequestTimeTooSkewed",
        Unavailable,
        "the clock of this machine is wrong: set it, and try again",
    ),
    _row(
        "PermanentRedirect TemporaryRedirect Redirect AuthorizationHeaderMalformed"
        " IllegalLocationConstraintException 301 302 303 307 308",
        Unavailable,
        "the bucket is elsewhere, and no redirect is followed: set AWS_REGION, or the endpoint",
    ),
    _row("NoSuchBucket", Unavailable, "there is no such bucket: make it, or check the location"),
    _row(
        "AccessDenied AllAccessDisabled InvalidObjectState ObjectLocked MethodNotAllowed 403 405",
        Unavailable,
        "access denied: check the policies of user and bucket, and locks (docs/store.md)",
    ),
    _row(
        "KMS.DisabledException KMS.NotFoundException KMS.AccessDeniedException"
        " KMS.KMSInvalidStateException",
        Unavailable,
        "the encryption key cannot be used: check kms_key_id and the key's policy",
    ),
    _row("NotImplemented 501", Unavailable, "this server lacks what Stemma needs (docs/store.md)"),
    _row(
        "SSLError InvalidProxiesConfigError",
        Unavailable,
        "the server's certificate or the proxy is not accepted: check AWS_CA_BUNDLE",
    ),
    _row(
        "NoRegionError InvalidRegionError UnknownEndpointError InvalidDNSNameError"
        " InvalidHostLabelError EndpointResolutionError EndpointProviderError"
        " InvalidEndpointConfigurationError ParamValidationError InvalidConfigError"
        " ConfigParseError ConfigNotFound ValueError LocationParseError"
        " InvalidS3AddressingStyleError InvalidBucketName NameNotKnown",
        Unavailable,
        "the location or the configuration is not valid: check it, AWS_REGION and the endpoint",
    ),
)
_OTHER = Row(frozenset(), Unavailable, True, "the server refused")
_OTHER_SERVER_ERROR = Row(frozenset(), Temporary, True, "the server failed")


def code_of(error: BaseException) -> str:
    """S3's error code, or for other errors the name of the exception.

    A host name that does not exist is told from a name server that did not answer.
    """
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return str(response["Error"].get("Code", ""))
    cause: Any = getattr(error, "kwargs", {}).get("error")
    while isinstance(cause, BaseException):
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return "NameNotKnown"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def status_of(error: BaseException) -> int:
    """The HTTP status of S3's answer; 0 where there was none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    return 0


def is_missing(error: BaseException) -> bool:
    """Whether S3 says that there is no such object, or unfinished upload."""
    return code_of(error) in ("NoSuchKey", "404", "NotFound", "NoSuchVersion", "NoSuchUpload")


def is_there_already(error: BaseException) -> bool:
    """Whether a condition (If-None-Match, If-Match) did not hold."""
    return code_of(error) in ("PreconditionFailed", "412") or status_of(error) == 412


def is_conflict(error: BaseException | None) -> bool:
    """Whether another writer was at the same object: nothing was done."""
    return error is not None and (
        code_of(error) in ("OperationAborted", "ConditionalRequestConflict", "409")
    )


def meaning(error: BaseException) -> Row:
    """The row of the table for an error."""
    status = status_of(error)
    # An exception is looked up under the names of its bases, too.
    bases = [] if status else [kind.__name__ for kind in type(error).__mro__]
    names = [code_of(error), str(status), *bases]
    for name in names:
        for row in TABLE:
            if name in row.names:
                return row
    return _OTHER_SERVER_ERROR if status >= 500 else _OTHER


@contextlib.contextmanager
def translated(doing: str, creating: bool = False) -> Iterator[None]:
    """Turn what boto3 and the network raise into our errors.

    Temporary becomes Unanswered where something is being `creating` and may be there now.
    """
    try:
        yield
    except Exception as error:
        if not is_foreign(error):
            raise
        row = meaning(error)
        kind = Unanswered if creating and row.reached and row.error is Temporary else row.error
        raise kind(f"{doing}: {row.advice} ({_said(error)})") from error


def is_foreign(error: Exception) -> bool:
    """Whether an error comes from boto3 or the network."""
    module = type(error).__module__.partition(".")[0]
    return module in ("boto3", "botocore", "urllib3", "http") or isinstance(error, OSError)


def _said(error: BaseException) -> str:
    return f"{code_of(error)}: {' '.join(str(error).split())[:200]}"
