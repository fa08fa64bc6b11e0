"""Bundles of the real instances: what our own services cannot prove about us."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stemma_attestations import keyless
from stemma_attestations.errors import UnknownLog
from stemma_attestations.identity import IdentityPattern
from stemma_registry.trust import public_good

FILES = Path(__file__).resolve().parents[1] / "fixtures" / "sigstore"
ISSUER = "https://token.actions.githubusercontent.com"
REPOSITORY = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon"
WORKFLOW = f"{REPOSITORY}/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"


def load(name: str) -> bytes:
    return (FILES / name).read_bytes()


def test_the_public_instance() -> None:
    verified = keyless.verify(load("public.rekor1.bundle.json"), public_good.trusted_root())
    assert verified.statement.predicate_type == "https://slsa.dev/provenance/v1"
    assert verified.log.url == "https://rekor.sigstore.dev"
    assert verified.log.kind == "dsse/0.0.1"
    assert verified.log.index == 33786588
    assert verified.times == (datetime(2024, 12, 16, 18, 42, 56, tzinfo=UTC),)
    claims = dict(verified.identity.claims)
    assert claims["source_repository_uri"] == REPOSITORY
    assert claims["source_repository_ref"] == "refs/heads/main"
    assert claims["build_signer_uri"] == WORKFLOW
    assert claims["source_repository_visibility_at_signing"] == "public"
    assert len(claims) == 14
    wanted = (("source_repository_ref", "refs/heads/main"), ("source_repository_uri", REPOSITORY))
    assert IdentityPattern(ISSUER, WORKFLOW, wanted).matches(verified.identity)
    assert IdentityPattern(ISSUER, WORKFLOW.replace("main", "*")).matches(verified.identity)
    assert not IdentityPattern(ISSUER, WORKFLOW.replace("heads", "tags")).matches(verified.identity)


def test_the_staging_instance_and_rekor_v2() -> None:
    root = load("staging.trusted_root.json")
    verified = keyless.verify(load("staging.rekor2.bundle.json"), root)
    assert verified.log.kind == "hashedrekord/0.0.2"
    assert verified.log.index == 4026478
    assert verified.log_time is None
    assert verified.times == (datetime(2026, 5, 13, 19, 23, 33, tzinfo=UTC),)
    assert verified.identity.subject == WORKFLOW


def test_neither_instance_vouches_for_the_other() -> None:
    with pytest.raises(UnknownLog, match="too old"):
        keyless.verify(load("staging.rekor2.bundle.json"), public_good.trusted_root())
    with pytest.raises(UnknownLog, match="another instance"):
        keyless.verify(load("public.rekor1.bundle.json"), load("staging.trusted_root.json"))
