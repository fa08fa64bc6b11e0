"""Keys in files and the trust root as a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadKey, BadTrustRoot
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry import signing
from stemma_registry.errors import AlreadyThere, NotFound, Refused
from stemma_registry.trust import file as trust_file

STATEMENT = Statement.build(
    [ResourceDescriptor(name="x:1", digests=(Digest.of(b"x"),))], "https://example.org/p", {}
)


@pytest.mark.parametrize("key_type", signing.KEY_TYPES)
@pytest.mark.parametrize("secret", [None, "correct horse"])
def test_a_key_file_signs(tmp_path: Path, key_type: str, secret: str | None) -> None:
    path = tmp_path / "deep/key.pem"
    pem, public = signing.new_key(key_type, secret)
    assert signing.write_key(path, pem, public) == path.with_suffix(".pub")
    assert path.stat().st_mode & 0o777 == 0o600
    signer = signing.load_signer(f"key:{path}", lambda: secret)
    assert signer.public == public == PublicKey.parse(path.with_suffix(".pub").read_bytes())
    assert signer.sign(STATEMENT).verify(public).raw == STATEMENT.raw


def test_openssl_agrees_about_the_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    pem, public = signing.new_key("ecdsa-p256", None)
    signing.write_key(path, pem, public)
    done = subprocess.run(
        ["openssl", "pkey", "-in", str(path), "-pubout", "-outform", "DER"],
        check=True,
        capture_output=True,
    )
    assert done.stdout == public.der


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    signing.write_key(path, *signing.new_key("ed25519", None))
    before = path.read_bytes()
    with pytest.raises(AlreadyThere):
        signing.write_key(path, *signing.new_key("ed25519", None))
    assert path.read_bytes() == before


def test_bad_signers_are_refused_in_a_line(tmp_path: Path) -> None:
    pem, public = signing.new_key("ed25519", "secret")
    locked = tmp_path / "locked.pem"
    signing.write_key(locked, pem, public)
    (tmp_path / "junk").write_bytes(b"not a key")
    for uri, error, words in (
        (f"key:{tmp_path}/none", NotFound, "stemma key new"),
        (f"key:{tmp_path}/junk", BadKey, "not a private key"),
        (f"key:{locked.with_suffix('.pub')}", BadKey, "not a private key"),
        ("ftp:alias/x", BadKey, "write key:FILE, awskms"),
        (str(locked), BadKey, "write key:FILE"),
    ):
        with pytest.raises(error, match=words):
            signing.load_signer(uri, lambda: None)
    with pytest.raises(BadKey, match="encrypted"):
        signing.load_signer(f"key:{locked}", lambda: None)
    with pytest.raises(BadKey, match="wrong passphrase"):
        signing.load_signer(f"key:{locked}", lambda: "guess")


def test_an_rsa_key_of_openssl_signs_and_openssl_verifies(tmp_path: Path) -> None:
    path, message, sig = tmp_path / "rsa.pem", tmp_path / "message", tmp_path / "sig"
    subprocess.run(
        ["openssl", "genrsa", "-out", str(path), "2048"], check=True, capture_output=True
    )
    signer = signing.load_signer(f"key:{path}", lambda: None)
    assert signer.public.scheme == "rsassa-pss-sha256"
    envelope = signer.sign(STATEMENT).envelope
    message.write_bytes(envelope.signed_bytes)
    sig.write_bytes(envelope.signatures[0].sig)
    pub = tmp_path / "rsa.pub"
    pub.write_text(signer.public.pem)
    options = ("rsa_padding_mode:pss", "rsa_pss_saltlen:digest", "rsa_mgf1_md:sha256")
    subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", str(pub), "-signature", str(sig)]
        + [word for option in options for word in ("-sigopt", option)]
        + [str(message)],
        check=True,
        capture_output=True,
    )


def test_a_weak_rsa_key_does_not_sign(tmp_path: Path) -> None:
    path = tmp_path / "rsa.pem"
    subprocess.run(
        ["openssl", "genrsa", "-out", str(path), "1024"], check=True, capture_output=True
    )
    with pytest.raises(BadKey, match="2048 to 8192 bits"):
        signing.load_signer(f"key:{path}", lambda: None)


def public() -> PublicKey:
    return signing.new_key("ed25519", None)[1]


def test_signers_are_added_behind_what_people_wrote(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    trust_file.add(path, "first", public())
    text = path.read_text().replace("signers:", "signers: # reviewed by two people")
    path.write_text(text)
    root = trust_file.add(
        path,
        'so-called "second"',
        public(),
        ["https://x"],
        ["prod/*"],
        None,
        "2030-01-01T00:00:00Z",
    )
    assert path.read_text().startswith(text)
    assert [s.principal for s in root.signers] == ["first", 'so-called "second"']
    assert root.signers[1].grants[0].names == ("prod/*",)
    assert TrustRoot.parse(path.read_bytes()) == root


def test_a_bad_addition_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trust.yaml"
    trust_file.add(path, "first", public())
    before = path.read_bytes()
    with pytest.raises(BadTrustRoot):
        trust_file.add(path, "second", public(), ["*"], ["prod*"])
    with pytest.raises(BadTrustRoot):
        trust_file.add(path, "second", public(), valid_from="yesterday")
    path.write_bytes(before + b"format2: x\n")
    with pytest.raises((BadTrustRoot, Refused)):
        trust_file.add(path, "second", public())


def test_no_trust_root_trusts_nobody(tmp_path: Path) -> None:
    assert trust_file.load(tmp_path / "none", required=False).signers == ()
    with pytest.raises(NotFound):
        trust_file.load(tmp_path / "none", required=True)
