"""Revoking in a file that people wrote, and the trusted roots of a machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTrustRoot
from stemma_attestations.identity import IdentityPattern
from stemma_registry.errors import Damaged, NotFound, Refused
from stemma_registry.trust import file as trust_file
from stemma_registry.trust import public_good
from stemma_registry.trust.file import Grants
from stemma_registry.trust.roots import TrustedRoots
from tests.sigstore.stack import LocalSigstore
from tests.world import new_signer

AT = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
EVERYTHING = Grants(("*",), ("**",), None, None)
PATTERN = IdentityPattern("https://issuer.example.com", "a@example.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two keys of one principal, an identity between them, and comments."""
    path = tmp_path / "trust.yaml"
    trust_file.add(path, "ada", new_signer().public)
    trust_file.add_identity(path, "ci", PATTERN, public_good.TRUSTED_ROOT, EVERYTHING)
    trust_file.add(path, "ada", new_signer().public, valid_until="2030-01-01T00:00:00Z")
    path.write_text(path.read_text().replace("signers:", "signers:  # whom we believe"))
    return path


def test_revoking_a_principal_revokes_all_that_is_his(path: Path) -> None:
    before = path.read_text()
    root, revoked = trust_file.revoke(path, "ada", AT)
    assert [signer.revoked for signer in root.signers] == [AT, None, AT]
    assert len(revoked) == 2
    left = [line for line in path.read_text().splitlines() if "revoked" not in line]
    words = [" ".join(line.replace("-", " ", 1).split()) for line in left]
    assert words == [" ".join(line.replace("-", " ", 1).split()) for line in before.splitlines()]
    assert "# whom we believe" in path.read_text()


def test_an_earlier_revocation_stands_and_an_earlier_one_replaces_a_later(path: Path) -> None:
    trust_file.revoke(path, "ada", AT)
    later, earlier = AT.replace(year=2027), AT.replace(year=2025)
    assert trust_file.revoke(path, "ada", later)[1] == ()
    root, revoked = trust_file.revoke(path, "ada", earlier)
    assert [signer.revoked for signer in root.signers] == [earlier, None, earlier]
    assert len(revoked) == 2


def test_one_key_of_two(path: Path) -> None:
    key = trust_file.load(path, True).signers[2].key
    assert key is not None
    root, _ = trust_file.revoke(path, key.id[:12], AT)
    assert [signer.revoked for signer in root.signers] == [None, None, AT]
    for nobody in ("eve", key.id[:11], ""):
        with pytest.raises(NotFound):
            trust_file.revoke(path, nobody, AT)


def test_a_flow_of_signers_is_left_to_people(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    pem = new_signer().public.pem.replace("\n", "\\n")
    text = (
        '{"format": "urn:stemma:trust-root:v0.1", "signers": '
        f'[{{"principal": "ada", "key": "{pem}", "may": []}}]}}'
    )
    path.write_text(text)
    with pytest.raises(Refused, match="by hand"):
        trust_file.revoke(path, "ada", AT)
    assert path.read_text() == text


def test_roots_are_named_by_their_digest(tmp_path: Path, sigstore: LocalSigstore) -> None:
    roots = TrustedRoots(tmp_path / "roots")
    assert roots.digests() == [public_good.TRUSTED_ROOT]
    digest = roots.add(sigstore.trust_config(2))
    assert roots.add(sigstore.trust_config(2)) == digest
    assert roots.digests() == sorted([digest, public_good.TRUSTED_ROOT])
    assert Digest.of(roots.read(digest)) == digest
    assert roots.add(public_good.trusted_root()) == public_good.TRUSTED_ROOT
    path = tmp_path / "roots" / f"{digest.value}.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(Damaged):
        roots.read(digest)
    assert set(roots.present((digest, public_good.TRUSTED_ROOT))) == {public_good.TRUSTED_ROOT}
    with pytest.raises(NotFound):
        roots.read(Digest.of(b"nothing"))


@pytest.mark.parametrize("bad", [b"", b"{}", b"[]", b'{"trustedRoot": 1}', b'{"a": 1, "a": 2}'])
def test_what_is_no_trusted_root(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(BadTrustRoot):
        TrustedRoots(tmp_path).add(bad)
    assert list(tmp_path.iterdir()) == []


def test_the_first_signer_leaves_what_people_wrote(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    text = """# Ours.
format: urn:stemma:trust-root:v0.1
thresholds:
  - predicates: ["*"]
    names: [prod/**]
    principals: 2
signers: []  # nobody yet
"""
    path.write_text(text)
    root = trust_file.add(path, "ada", new_signer().public)
    assert [rule.principals for rule in root.thresholds] == [2]
    assert path.read_text().startswith(text.partition("signers:")[0] + "signers:\n  - principal")
