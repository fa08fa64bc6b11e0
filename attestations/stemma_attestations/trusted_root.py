"""The trusted root of a Sigstore instance: its authorities and logs, and when each was in use.

https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
sigstore reads the same bytes to verify signatures; what is here are the questions it
leaves open: which log is it, and was it (or the authority) in use at that time?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stemma_attestations import json_strict
from stemma_attestations.envelope import unbase64
from stemma_attestations.errors import (
    BadEnvelope,
    BadJSON,
    BadKey,
    BadTrustRoot,
    Malformed,
    SignatureRefused,
    UnknownLog,
)
from stemma_attestations.keys import PublicKey
from stemma_attestations.times import format_time, parse_time

if TYPE_CHECKING:
    from cryptography import x509

MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Window:
    """A closed range of time; without an end it is still open."""

    start: datetime
    end: datetime | None = None

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time and (self.end is None or time <= self.end)


@dataclass(frozen=True)
class Log:
    """A transparency log: Rekor, or a CT log."""

    log_id: bytes
    url: str
    der: bytes
    window: Window

    @property
    def key(self) -> PublicKey:
        """The log's key. Raises SignatureRefused for a type that is not supported."""
        try:
            return PublicKey.parse(self.der)
        except BadKey as error:
            raise SignatureRefused(f"the key of the log {self.url}: {error}") from error

    def check_open(self, time: datetime) -> None:
        """Raise SignatureRefused where the log's key was not in use at that time."""
        if time not in self.window:
            raise SignatureRefused(f"the log {self.url} was not in use at {format_time(time)}")


@dataclass(frozen=True)
class Authority:
    """A certificate or timestamp authority, from the lowest certificate to the root."""

    chain: tuple[x509.Certificate, ...]
    window: Window

    @property
    def subject(self) -> str:
        """Of its lowest certificate."""
        return self.chain[0].subject.rfc4514_string()


@dataclass(frozen=True)
class TrustedRoot:
    """The instance, as far as verifying needs it."""

    logs: tuple[Log, ...]
    certificate_logs: tuple[Log, ...]
    authorities: tuple[Authority, ...]
    timestamp_authorities: tuple[Authority, ...]

    @classmethod
    def parse(cls, raw: bytes) -> TrustedRoot:
        """Read a trusted root. Raises BadTrustRoot."""
        try:
            document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
            if document.get("mediaType") != MEDIA_TYPE:
                raise BadTrustRoot(f"not a trusted root of type {MEDIA_TYPE}")
            root = cls(
                tuple(_log(item) for item in _list(document, "tlogs")),
                tuple(_log(item) for item in _list(document, "ctlogs")),
                tuple(_authority(item) for item in _list(document, "certificateAuthorities")),
                tuple(_authority(item) for item in _list(document, "timestampAuthorities")),
            )
        except (BadJSON, BadEnvelope) as error:
            raise BadTrustRoot(f"trusted root: {error}") from error
        for logs in (root.logs, root.certificate_logs):
            if len({log.log_id for log in logs}) != len(logs):
                raise BadTrustRoot("a trusted root names a log twice")
        return root

    def log(self, log_id: bytes) -> Log:
        """The transparency log of that id. Raises UnknownLog."""
        return _find(self.logs, log_id, "log")

    def check_certificate_log(self, certificate: bytes) -> None:
        """Check that the CT log of the certificate's SCT is known, and was in use then.

        Raises UnknownLog, SignatureRefused.
        """
        from cryptography import x509  # lazily: most questions meet no certificate

        leaf = x509.load_der_x509_certificate(certificate)
        kind = x509.PrecertificateSignedCertificateTimestamps
        try:
            scts = list(leaf.extensions.get_extension_for_class(kind).value)
        except x509.ExtensionNotFound as error:
            raise SignatureRefused("the certificate was not logged (it has no SCT)") from error
        for sct in scts:
            log = _find(self.certificate_logs, sct.log_id, "certificate log")
            log.check_open(sct.timestamp.replace(tzinfo=UTC))

    def check_authority(self, certificate: bytes, time: datetime) -> None:
        """Check that an authority in use at that time issued the certificate.

        Raises SignatureRefused.
        """
        from cryptography import x509

        leaf = x509.load_der_x509_certificate(certificate)
        if not any(time in one.window and _issued(leaf, one.chain) for one in self.authorities):
            raise SignatureRefused(
                f"no certificate authority in use at {format_time(time)} issued the certificate"
            )

    def timestamps(self, responses: Iterable[bytes], signature: bytes) -> Iterator[datetime]:
        """The times at which trusted authorities saw `signature`; other responses count nothing."""
        return (time for time, _ in self.stamps(responses, signature))

    def stamps(
        self, responses: Iterable[bytes], signature: bytes
    ) -> Iterator[tuple[datetime, Authority]]:
        """The same, and which authority it was."""
        from rfc3161_client import decode_timestamp_response

        for response in responses:
            decoded = decode_timestamp_response(response)
            time = decoded.tst_info.gen_time.astimezone(UTC)
            for authority in self.timestamp_authorities:
                if _stamped(authority, decoded, signature, time):
                    yield time, authority
                    break


def _stamped(authority: Authority, response: Any, signature: bytes, time: datetime) -> bool:
    from rfc3161_client import VerificationError, VerifierBuilder

    signer, *above = authority.chain
    if not above or time not in authority.window:
        return False
    builder = VerifierBuilder().tsa_certificate(signer).add_root_certificate(above[-1])
    for certificate in above[:-1]:
        builder = builder.add_intermediate_certificate(certificate)
    try:
        return builder.build().verify_message(response, signature)
    except VerificationError:
        return False


def _issued(leaf: x509.Certificate, chain: tuple[x509.Certificate, ...]) -> bool:
    for certificate in chain:
        try:
            leaf.verify_directly_issued_by(certificate)
        except Exception:  # noqa: BLE001, S112 - whatever is wrong with it, it is not the issuer
            continue
        return True
    return False


def _find(logs: tuple[Log, ...], log_id: bytes, what: str) -> Log:
    for log in logs:
        if log.log_id == log_id:
            return log
    raise UnknownLog(
        f"the trusted root does not know the {what} {log_id.hex():.12}: "
        "it is too old for this log, or the bundle is of another instance"
    )


def _list(obj: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    value = obj.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadTrustRoot(f"a trusted root's {field} is a list of objects")
    return value


def _member(obj: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = obj.get(field)
    if not isinstance(value, dict):
        raise BadTrustRoot(f"a trusted root's {field} is an object")
    return value


def _log(obj: Mapping[str, Any]) -> Log:
    key = _member(obj, "publicKey")
    url = obj.get("baseUrl", "")
    if not isinstance(url, str):
        raise BadTrustRoot("a trusted root's baseUrl is text")
    log_id = unbase64(_member(obj, "logId").get("keyId"), "log id")
    return Log(log_id, url, unbase64(key.get("rawBytes"), "log key"), _window(key))


def _authority(obj: Mapping[str, Any]) -> Authority:
    from cryptography import x509

    certificates = _list(_member(obj, "certChain"), "certificates")
    try:
        chain = tuple(
            x509.load_der_x509_certificate(unbase64(item.get("rawBytes"), "certificate"))
            for item in certificates
        )
    except ValueError as error:
        raise BadTrustRoot("a certificate of the trusted root cannot be read") from error
    if not chain:
        raise BadTrustRoot("an authority of the trusted root has no certificate")
    return Authority(chain, _window(obj))


def _window(obj: Mapping[str, Any]) -> Window:
    period = _member(obj, "validFor")
    start, end = period.get("start"), period.get("end")
    if not isinstance(start, str) or not isinstance(end, str | None):
        raise BadTrustRoot("a trusted root's validFor has a start, and perhaps an end")
    try:
        return Window(parse_time(start), None if end is None else parse_time(end))
    except Malformed as error:
        raise BadTrustRoot(f"a trusted root's validFor: {error}") from error
