"""An RFC 3161 timestamp authority."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sigstore.encoding import (
    DER,
    Authority,
    distinguished,
    key_usage,
    p256,
    seconds_now,
    sha256,
)
from tests.sigstore.fulcio import authority_json

POLICY = "1.3.6.1.4.1.57264.2"


class Tsa:
    """Signs the time beside a hash."""

    def __init__(self) -> None:
        self.root = Authority("tsa root")
        self.key = p256()
        now = seconds_now()
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(distinguished("tsa"))
            .issuer_name(self.root.certificate.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3000))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(key_usage(signs=True), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
            .add_extension(self.root.identifier(), False)
            .sign(self.root.key, hashes.SHA256())
        )

    def answer(self, raw: bytes) -> bytes:
        """`POST /api/v1/timestamp`: a TimeStampReq for a TimeStampResp."""
        request = tsp.TimeStampReq.load(raw, strict=True)
        imprint = request["message_imprint"]
        if imprint["hash_algorithm"]["algorithm"].native != "sha256":
            raise ValueError("only SHA-256")
        if len(imprint["hashed_message"].native) != 32:
            raise ValueError("not a SHA-256 digest")
        return self._respond(imprint, request["nonce"], request["cert_req"].native, seconds_now())

    def stamp(self, data: bytes, moment: datetime | None = None) -> bytes:
        """A response for `data`, at any time; tests use it to have odd ones."""
        imprint = tsp.MessageImprint(
            {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": sha256(data)}
        )
        return self._respond(imprint, None, True, moment or seconds_now())

    def _respond(self, imprint: Any, nonce: Any, with_certificate: bool, moment: datetime) -> bytes:
        info = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": imprint,
            "serial_number": secrets.randbits(63),
            "gen_time": moment,
        }
        if nonce is not None and nonce.native is not None:
            info["nonce"] = nonce
        body: bytes = tsp.TSTInfo(info).dump()
        signed = self._signed(body, moment, with_certificate)
        answer: bytes = tsp.TimeStampResp(
            {
                "status": {"status": "granted"},
                "time_stamp_token": {"content_type": "signed_data", "content": signed},
            }
        ).dump()
        return answer

    def _signed(self, body: bytes, moment: datetime, with_certificate: bool) -> Any:
        certificate = asn1_x509.Certificate.load(self.certificate.public_bytes(DER))
        algorithm = algos.DigestAlgorithm({"algorithm": "sha256"})
        attributes = self._attributes(body, moment)
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                {"issuer": certificate.issuer, "serial_number": certificate.serial_number},
            ),
            "digest_algorithm": algorithm,
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [algorithm],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(body),
                },
                "certificates": [certificate] if with_certificate else None,
                "signer_infos": [signer],
            }
        )

    def _attributes(self, body: bytes, moment: datetime) -> Any:
        names = tsp.SigningCertificateV2(
            {
                "certs": [
                    tsp.ESSCertIDv2({"cert_hash": self.certificate.fingerprint(hashes.SHA256())})
                ]
            }
        )
        values = {
            "content_type": "tst_info",
            "signing_time": cms.Time({"utc_time": moment}),
            "message_digest": sha256(body),
            "signing_certificate_v2": names,
        }
        return cms.CMSAttributes(
            [cms.CMSAttribute({"type": kind, "values": [value]}) for kind, value in values.items()]
        )

    def trusted(self, uri: str, valid: dict[str, str]) -> dict[str, Any]:
        """This authority in a trusted root."""
        return authority_json((self.certificate, self.root.certificate), uri, valid)
