"""What other tools write, made here: their fields, with signatures that verify.

Field for field as their specifications say: Sigstore bundles, DSSE, PEP 740 and the index's
answer, npm's answer, cosign's own bundles, slsa-github-generator's and Tekton's envelopes,
in-toto statements and links.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stemma_attestations.envelope import pae
from stemma_attestations.keys import PublicKey

IN_TOTO = "application/vnd.in-toto+json"
V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
V1, V01 = "https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"
SLSA1, SLSA02 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"
# The name of a type; the test that no index is named looks for the word.
PYPI = "https://docs.pypi" + ".org/attestations/publish/v1"
NPM = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass
class Maker:
    """Somebody with an ECDSA key, and a certificate for it that an authority of ours signed."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public(self) -> PublicKey:
        return PublicKey.parse(self.pem)

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))

    def certificate(self) -> x509.Certificate:
        authority = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sigstore.test")])
        start = datetime.now(UTC) - timedelta(minutes=1)
        who = x509.UniformResourceIdentifier("https://ci.example/acme/.github/workflows/r.yml")
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(minutes=10))
            .add_extension(x509.SubjectAlternativeName([who]), critical=True)
            .sign(authority, hashes.SHA256())
        )

    @property
    def certificate_der(self) -> bytes:
        return self.certificate().public_bytes(serialization.Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate().public_bytes(serialization.Encoding.PEM)

    # --- statements and envelopes -----------------------------------------------------------

    def envelope(self, payload: bytes, keyid: str | None = None, **more: Any) -> dict[str, Any]:
        """A DSSE envelope; `more` stands beside the signature, such as `cert`."""
        signature: dict[str, Any] = {"sig": b64(self.sign(pae(IN_TOTO, payload))), **more}
        if keyid is not None:
            signature["keyid"] = keyid
        return {"payload": b64(payload), "payloadType": IN_TOTO, "signatures": [signature]}

    def key_bundle(self, payload: bytes, hint: str | None = None, media: str = V03) -> bytes:
        """A Sigstore bundle that names a key."""
        return compact(
            {
                "mediaType": media,
                "verificationMaterial": {
                    "publicKey": {"hint": hint or self.public.id},
                    "tlogEntries": [],
                },
                "dsseEnvelope": self.envelope(payload, ""),
            }
        )

    def keyless_bundle(self, payload: bytes, media: str = V03) -> dict[str, Any]:
        """A Sigstore bundle with a certificate, in a chain before v0.3, and a log entry."""
        certificate = {"rawBytes": b64(self.certificate_der)}
        held = (
            {"certificate": certificate}
            if media == V03
            else {"x509CertificateChain": {"certificates": [certificate]}}
        )
        return {
            "mediaType": media,
            "verificationMaterial": {**held, "tlogEntries": [log_entry(payload)]},
            "dsseEnvelope": self.envelope(payload),
        }

    def pep740(self, payload: bytes) -> dict[str, Any]:
        """What PyPI stores of a file."""
        return {
            "version": 1,
            "verification_material": {
                "certificate": b64(self.certificate_der),
                "transparency_entries": [log_entry(payload)],
            },
            "envelope": {
                "statement": b64(payload),
                "signature": b64(self.sign(pae(IN_TOTO, payload))),
            },
        }

    def cosign_blob(self, data: bytes, certificate: bool = True) -> bytes:
        """`cosign sign-blob --bundle` before it wrote Sigstore's bundles."""
        digest = hashlib.sha256(data).hexdigest()
        signature = b64(self.sign(data))
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": digest}},
                "signature": {"content": signature, "publicKey": {"content": b64(self.pem)}},
            },
        }
        return self._cosign(signature, body, certificate)

    def cosign_attestation(self, payload: bytes, certificate: bool = True) -> bytes:
        """`cosign attest-blob --bundle` of that time: the envelope stands for the signature."""
        body = {"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": {}}}
        return self._cosign(b64(compact(self.envelope(payload, ""))), body, certificate)

    def _cosign(self, signature: str, body: Mapping[str, Any], certificate: bool) -> bytes:
        return compact(
            {
                "base64Signature": signature,
                "cert": b64(self.certificate_pem if certificate else self.pem),
                "rekorBundle": {
                    "SignedEntryTimestamp": b64(self.sign(compact(body))),
                    "Payload": {
                        "body": b64(compact(body)),
                        "integratedTime": 1_790_000_000,
                        "logIndex": 42,
                        "logID": "0" * 64,
                    },
                },
            }
        )


def statement(
    digests: Mapping[str, str],
    predicate_type: str = SLSA1,
    kind: str = V1,
    name: str = "model.bin",
    predicate: Any = None,
) -> bytes:
    """An in-toto statement about one thing."""
    return compact(
        {
            "_type": kind,
            "subject": [{"name": name, "digest": dict(digests)}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def github_provenance() -> dict[str, Any]:
    """The predicate that GitHub's attestation of a build has."""
    return {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {
                "workflow": {
                    "ref": "refs/heads/main",
                    "repository": "https://github.com/acme/models",
                    "path": ".github/workflows/release.yml",
                }
            },
            "internalParameters": {"github": {"event_name": "push", "repository_id": "1"}},
            "resolvedDependencies": [
                {
                    "uri": "git+https://github.com/acme/models@refs/heads/main",
                    "digest": {"gitCommit": "a" * 40},
                }
            ],
        },
        "runDetails": {
            "builder": {"id": "https://github.com/acme/models/.github/workflows/release.yml"},
            "metadata": {"invocationId": "https://github.com/acme/models/actions/runs/1"},
        },
    }


def gitlab_provenance() -> dict[str, Any]:
    """The predicate of GitLab's runner."""
    return {
        "buildDefinition": {
            "buildType": "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/v17/PROVENANCE.md",
            "externalParameters": {
                "entryPoint": "train",
                "source": "https://gitlab.com/acme/m",
                "variables": {},
            },
            "internalParameters": {"architecture": "amd64", "executor": "docker", "job": "7"},
            "resolvedDependencies": [
                {"uri": "https://gitlab.com/acme/m", "digest": {"gitCommit": "b" * 40}}
            ],
        },
        "runDetails": {
            "builder": {"id": "https://gitlab.com/acme/m/-/runners/1"},
            "metadata": {
                "invocationId": "7",
                "startedOn": "2026-11-21T10:00:00Z",
                "finishedOn": "2026-11-21T10:05:00Z",
            },
        },
    }


def tekton_provenance() -> dict[str, Any]:
    """The predicate of Tekton Chains' format slsa/v1."""
    return {
        "builder": {"id": "https://tekton.dev/chains/v2"},
        "buildType": "tekton.dev/v1beta1/TaskRun",
        "invocation": {"configSource": {}, "parameters": {"epochs": "3"}},
        "buildConfig": {"steps": [{"entryPoint": "train", "arguments": None}]},
        "materials": [{"uri": "oci://trainer", "digest": {"sha256": "c" * 64}}],
    }


def older(bundle: dict[str, Any], version: str) -> dict[str, Any]:
    """A bundle with a certificate, as it was written before v0.3: in a chain."""
    material = dict(bundle["verificationMaterial"])
    chain = {"certificates": [material.pop("certificate")]}
    return {
        **bundle,
        "mediaType": f"application/vnd.dev.sigstore.bundle+json;version={version}",
        "verificationMaterial": {"x509CertificateChain": chain, **material},
    }


def as_pep740(bundle: dict[str, Any]) -> dict[str, Any]:
    """The attestation that PyPI makes of a bundle."""
    material, envelope = bundle["verificationMaterial"], bundle["dsseEnvelope"]
    return {
        "version": 1,
        "verification_material": {
            "certificate": material["certificate"]["rawBytes"],
            "transparency_entries": material["tlogEntries"],
        },
        "envelope": {
            "statement": envelope["payload"],
            "signature": envelope["signatures"][0]["sig"],
        },
    }


def as_npm(*bundles: dict[str, Any]) -> bytes:
    """The answer of npm's registry, or of GitHub, that lists bundles."""
    return compact({"attestations": [{"bundle": one} for one in bundles]})


def npm_answer(registry: Maker, builder: Maker, tarball: bytes) -> bytes:
    """What npm's registry answers about a version: its own word, and the builder's."""
    digests = {"sha512": hashlib.sha512(tarball).hexdigest()}
    purl = "pkg:npm/%40acme/m@1.0.0"
    published = statement(
        digests, NPM, V01, purl, {"name": "@acme/m", "version": "1.0.0", "registry": "https://r"}
    )
    built = statement(digests, SLSA1, V1, purl, github_provenance())
    fingerprint = "SHA256:" + b64(hashlib.sha256(registry.public.der).digest()).rstrip("=")
    old = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    return compact(
        {
            "attestations": [
                {
                    "predicateType": NPM,
                    "bundle": json.loads(registry.key_bundle(published, fingerprint, old)),
                },
                {"predicateType": SLSA1, "bundle": builder.keyless_bundle(built)},
            ]
        }
    )


def index_answer(maker: Maker, wheel: bytes, name: str) -> bytes:
    """What PyPI's integrity interface answers about a file."""
    digests = {"sha256": hashlib.sha256(wheel).hexdigest()}
    return compact(
        {
            "version": 1,
            "attestation_bundles": [
                {
                    "publisher": {"kind": "GitHub", "repository": "acme/m", "workflow": "r.yml"},
                    "attestations": [maker.pep740(statement(digests, PYPI, name=name))],
                }
            ],
        }
    )


def log_entry(payload: bytes) -> dict[str, Any]:
    """A transparency log entry, as protobuf's JSON has it."""
    body = compact({"apiVersion": "0.0.1", "kind": "dsse", "spec": {}})
    return {
        "logIndex": "42",
        "logId": {"keyId": b64(hashlib.sha256(b"log").digest())},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": "1790000000",
        "inclusionPromise": {"signedEntryTimestamp": b64(b"promise")},
        "inclusionProof": {
            "logIndex": "42",
            "rootHash": b64(hashlib.sha256(payload).digest()),
            "treeSize": "43",
            "hashes": [b64(bytes(32))],
            "checkpoint": {"envelope": "log.test\n43\n"},
        },
        "canonicalizedBody": b64(body),
    }
