"""A model, the evidence about it, and a request for its verdict, all in memory.

The predicates are written out as JSON, so that the recipe is not tested
against our own writers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.request import Evidence, Request, StatusView, Stop
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Verdict
from stemma_attestations.verify import verify
from tests.building import (
    FILES,
    NOW,
    Key,
    bundle_bytes,
    compact,
    entries_of,
    key,
    manifest_of,
    sha,
    signer,
    trust_root,
)

PROVENANCE = "https://slsa.dev/provenance/v1"
BOM = "https://cyclonedx.org/bom"
LINEAGE = "urn:stemma:lineage:v0.1"

NAME = NameVersion("acme/model", "1.0")
MANIFEST = manifest_of(FILES)
OBSERVED = Observed(entries_of(FILES))
CI, MALLORY = key("ci"), key("mallory", "ed25519")
TRUST = trust_root(signer(CI, "training-ci", names=["acme/*"]))
OTHER_BYTES = Observed(entries_of({**FILES, "config.json": b"{}"}))
STATUS = StatusView(entry=7)
STOP = Stop("acme/data:1", "labels were flipped", "responder", sha(b"quarantine"), ("a <- b",))
STOPPED = StatusView(7, stops=(STOP,))
UNKNOWN = StatusView(7, undecided="the checkpoint is too old")


def statement(
    kind: str,
    predicate: Mapping[str, Any],
    *,
    artifact: Digest = MANIFEST.digest,
    name: str | None = str(NAME),
) -> bytes:
    """An in-toto statement about the model, as bytes."""
    subject: dict[str, Any] = {"digest": {artifact.algorithm: artifact.value}}
    if name is not None:
        subject["name"] = name
    return compact(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [subject],
            "predicateType": kind,
            "predicate": predicate,
        }
    )


def evidence(
    payload: bytes, by: Key = CI, *, stored_key: bytes | None = b"", **bent: Any
) -> Evidence:
    """`payload` signed; the signer's key lies beside it unless another one is given."""
    raw = bundle_bytes(by, payload, **bent)
    return Evidence(sha(raw), raw, by.public.der if stored_key == b"" else stored_key)


def provenance_predicate(
    build: str = "train",
    dirty: Any = False,
    commit: bool = True,
    materials: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """SLSA provenance of one of our builds."""
    dependencies: list[Mapping[str, Any]] = [
        {
            "name": "acme/data:1",
            "digest": {"sha256": sha(b"data").value},
            "annotations": {"relation": "trained-on"},
        },
        *materials,
    ]
    if commit:
        annotations = {"relation": "built-from"} | ({} if dirty is ... else {"dirty": dirty})
        dependencies.append(
            {
                "uri": "git+https://example.com/train.git",
                "digest": {"gitCommit": "c" * 40, "gitTree": "d" * 40},
                "annotations": annotations,
            }
        )
    return {
        "buildDefinition": {
            "buildType": f"urn:stemma:build:{build}:v0.1",
            "externalParameters": {"kind": "model", "parameters": {}},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": "https://example.com/builder"},
            "metadata": {
                "startedOn": "2026-11-21T10:00:00Z",
                "finishedOn": "2026-11-21T11:00:00Z",
            },
        },
    }


def bom_predicate(manifest: Manifest = MANIFEST) -> dict[str, Any]:
    """The smallest CycloneDX 1.6 document that describes a manifest."""

    def hashes(digest: Digest) -> list[dict[str, str]]:
        return [{"alg": "SHA-256", "content": digest.value}]

    files = [
        {"type": "file", "name": e.path, "bom-ref": f"file:{e.path}", "hashes": hashes(e.sha256)}
        for e in manifest.entries
    ]
    main = {
        "type": "machine-learning-model",
        "bom-ref": "main",
        "name": NAME.name,
        "version": NAME.version,
        "hashes": hashes(manifest.digest),
        "components": files,
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "version": 1,
        "metadata": {"timestamp": "2026-11-21T11:00:00Z", "component": main},
    }


PROVEN = evidence(statement(PROVENANCE, provenance_predicate()))
LISTED = evidence(statement(BOM, bom_predicate()))
GOOD = (PROVEN, LISTED)


def request(**changes: Any) -> Request:
    """A request that passes, with fields replaced."""
    fields: dict[str, Any] = {
        "resource": str(NAME),
        "name": NAME,
        "resolution": (f"{NAME} is {MANIFEST.digest.short}",),
        "expected": MANIFEST,
        "observed": OBSERVED,
        "evidence": GOOD,
        "trust": TRUST,
        "status": STATUS,
        "now": NOW,
    }
    return Request(**{**fields, **changes})


def verdict_of(asked: Request) -> tuple[Verdict, type[NotVerified] | None]:
    """The verdict, and the exact class of the refusal if it was one."""
    try:
        return verify(asked), None
    except NotVerified as error:
        assert error.verdict is not None
        assert not error.verdict.passed
        return error.verdict, type(error)


def refusal(**changes: Any) -> type[NotVerified] | None:
    """What a request with these changes is refused with."""
    return verdict_of(request(**changes))[1]


def trusting(*also: Mapping[str, Any]) -> TrustRoot:
    """The usual trust root and more signers."""
    return trust_root(signer(CI, "training-ci", names=["acme/*"]), *also)
