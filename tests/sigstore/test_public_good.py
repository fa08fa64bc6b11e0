"""The public instance's root, as it is shipped."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations import keyless
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused, UnknownLog
from stemma_attestations.trusted_root import TrustedRoot
from stemma_registry.errors import Damaged
from stemma_registry.keyless import Instance
from stemma_registry.trust import public_good
from tests.sigstore.forge import raw
from tests.sigstore.scene import good
from tests.sigstore.stack import LocalSigstore

THEIRS = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("trusted_root.json", public_good.trusted_root),
        ("signing_config.v0.2.json", public_good.signing_config),
        ("root.json", public_good.tuf_root),
    ],
)
def test_it_is_what_the_pinned_sigstore_ships(name: str, ours: Any) -> None:
    """Fails when sigstore's root moves: look at what changed, then copy it and its digest."""
    theirs = resources.files("sigstore._store").joinpath(THEIRS, name).read_bytes()
    assert Digest.of(theirs) == Digest.of(ours()), f"sigstore ships another {name}"


def test_it_names_the_logs_and_authorities_of_the_public_instance() -> None:
    root = TrustedRoot.parse(public_good.trusted_root())
    urls = [log.url for log in root.logs]
    assert "https://rekor.sigstore.dev" in urls
    assert root.certificate_logs
    assert root.authorities
    assert root.timestamp_authorities
    for log in root.logs:
        assert log.key.id


def test_a_signer_gets_its_services_and_the_very_root() -> None:
    from sigstore.models import ClientTrustConfig

    instance = Instance.public()
    assert instance.trusted_root == public_good.trusted_root()
    config = ClientTrustConfig.from_json(instance.config.decode())
    assert config.signing_config.get_oidc_url() == "https://oauth2.sigstore.dev/auth"
    assert config.signing_config.get_tsas()
    assert config.signing_config.get_tlogs()


def test_bundles_of_other_instances_are_of_an_unknown_log(sigstore: LocalSigstore) -> None:
    for rekor in (1, 2):
        with pytest.raises(UnknownLog, match="another instance"):
            keyless.verify(raw(good(sigstore, rekor)), public_good.trusted_root())


def test_a_changed_file_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    changed = json.loads(public_good.trusted_root())
    changed["tlogs"] = changed["tlogs"][:1]
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(Damaged, match="lacks"):
        public_good.trusted_root()
    (folder / "public_good.trusted_root.json").write_text(json.dumps(changed))
    with pytest.raises(Damaged, match="pinned"):
        public_good.trusted_root()


def test_the_pin_of_a_verification_is_the_shipped_one(sigstore: LocalSigstore) -> None:
    with pytest.raises(SignatureRefused, match="pinned"):
        keyless.verify(
            raw(good(sigstore, 2)), sigstore.trusted_root(), pin=public_good.TRUSTED_ROOT
        )
