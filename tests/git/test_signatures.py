"""Commits and tags that the real git, ssh-keygen and gpg signed, and what was changed since."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_attestations import gitsigned, openpgp, sshsig
from stemma_attestations.errors import BadKey, SignatureRefused
from stemma_attestations.gitobject import Signed
from stemma_attestations.keys import PublicKey
from stemma_registry.gitrepo.repository import Repository
from tests.git.repositories import ENVIRONMENT, Checkout
from tests.programs import require_program

SSH = {"ed25519": ["-t", "ed25519"], "ecdsa": ["-t", "ecdsa", "-b", "256"], "rsa": ["-t", "rsa"]}
PGP = {"ed25519": "ed25519", "p256": "nistp256", "rsa": "rsa2048"}


def signed_with_ssh(checkout: Checkout, key: Path, kind: str) -> tuple[Signed, Signed, bytes]:
    """A commit and a tag, and the public key's file."""
    require_program("ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", *SSH[kind], "-N", "", "-f", str(key)], check=True)
    ours = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={key}.pub"]
    return (*_signed(checkout, ours), key.with_name(key.name + ".pub").read_bytes())


def _signed(checkout: Checkout, settings: list[str]) -> tuple[Signed, Signed]:
    checkout.git(*settings, "commit", "-q", "-S", "--allow-empty", "-m", "signed\n\nbody\n")
    checkout.git(*settings, "tag", "-s", "-m", "a tag\n\nof several lines", "m@v1")
    with Repository.open(checkout.root) as repo:
        commit = repo.commit(repo.resolve("HEAD")).signed
        tag = repo.tag(repo.refs("refs/tags/")[0].id).signed
    assert commit is not None
    assert tag is not None
    return commit, tag


@pytest.mark.parametrize("kind", SSH)
def test_ssh(checkout: Checkout, tmp_path: Path, kind: str) -> None:
    commit, tag, public = signed_with_ssh(checkout, tmp_path / "key", kind)
    (key,) = gitsigned.keys_of(public)
    for signed in (commit, tag):
        assert gitsigned.verify(signed, [key]) == key
        with pytest.raises(SignatureRefused, match="not listed"):
            gitsigned.verify(signed, [])
        with pytest.raises(SignatureRefused):
            gitsigned.verify(replace(signed, payload=signed.payload + b" "), [key])
    with pytest.raises(SignatureRefused):
        gitsigned.verify(replace(commit, signature=tag.signature), [key])


def test_a_signature_for_another_use_is_none(tmp_path: Path) -> None:
    require_program("ssh-keygen")
    key, message = tmp_path / "key", tmp_path / "message"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    message.write_bytes(b"tree 1\n")
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "file", str(message)]
    subprocess.run(sign, check=True, capture_output=True)
    signature = Path(f"{message}.sig").read_bytes()
    assert sshsig.verify(b"tree 1\n", signature, "file")
    with pytest.raises(SignatureRefused, match="another use"):
        sshsig.verify(b"tree 1\n", signature, "git")


@pytest.mark.parametrize("kind", PGP)
def test_openpgp(checkout: Checkout, tmp_path: Path, kind: str) -> None:
    require_program("gpg")
    home = tmp_path / "g"
    home.mkdir(mode=0o700)
    environment = {**ENVIRONMENT, "GNUPGHOME": str(home)}
    gpg = ["gpg", "--batch", "--quiet", "--homedir", str(home), "--passphrase", ""]
    make = [*gpg, "--quick-gen-key", "Ada <ada@example.org>", PGP[kind], "sign", "never"]
    subprocess.run(make, check=True, env=environment, capture_output=True)
    export = [*gpg, "--armor", "--export"]
    public = subprocess.run(export, check=True, env=environment, capture_output=True).stdout
    program = tmp_path / "gpg.sh"
    program.write_text(f'#!/bin/sh\nexec gpg --homedir "{home}" "$@"\n')
    program.chmod(0o755)
    ours = ["-c", f"gpg.program={program}", "-c", "user.signingKey=ada@example.org"]
    try:
        commit, tag = _signed(checkout, ours)
    finally:
        subprocess.run(
            ["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True
        )
    keys = gitsigned.keys_of(public)
    stranger = ssh_line(ed25519.Ed25519PrivateKey.generate())
    for signed in (commit, tag):
        assert gitsigned.verify(signed, [stranger, *keys]) in keys
        with pytest.raises(SignatureRefused, match="no key that the trust root lists"):
            gitsigned.verify(signed, [stranger])
        with pytest.raises(SignatureRefused):
            gitsigned.verify(replace(signed, payload=signed.payload + b" "), keys)


def ssh_line(key: ed25519.Ed25519PrivateKey) -> PublicKey:
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return sshsig.public_key(line.decode())


def security_key_signature(private: object, message: bytes, flags: int = 1) -> bytes:
    """What a FIDO key makes (PROTOCOL.u2f), by a key that is none."""

    def text(data: bytes) -> bytes:
        return len(data).to_bytes(4) + data

    application = b"ssh:"
    inner = b"SSHSIG" + text(b"git") + text(b"") + text(b"sha512")
    inner += text(hashlib.sha512(message).digest())
    state = bytes([flags]) + (7).to_bytes(4)
    signed = hashlib.sha256(application).digest() + state + hashlib.sha256(inner).digest()
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    if isinstance(private, ed25519.Ed25519PrivateKey):
        kind = b"sk-ssh-ed25519@openssh.com"
        public = text(kind) + text(private.public_key().public_bytes(*raw)) + text(application)
        signature = private.sign(signed)
    else:
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        kind = b"sk-ecdsa-sha2-nistp256@openssh.com"
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        public = text(kind) + text(b"nistp256") + text(point) + text(application)
        pair = decode_dss_signature(private.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = b"".join(text(part.to_bytes(33)) for part in pair)
    body = b"SSHSIG" + (1).to_bytes(4) + text(public) + text(b"git") + text(b"")
    body += text(b"sha512") + text(text(kind) + text(signature) + state)
    return b"-----BEGIN SSH SIGNATURE-----\n%b\n-----END SSH SIGNATURE-----" % (
        base64.b64encode(body)
    )


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_security_keys(kind: str) -> None:
    private = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    signature = security_key_signature(private, b"tree 1\n")
    key = sshsig.verify(b"tree 1\n", signature, "git")
    assert gitsigned.verify(Signed(b"tree 1\n", signature), [key]) == key
    with pytest.raises(SignatureRefused):
        sshsig.verify(b"tree 2\n", signature, "git")
    with pytest.raises(SignatureRefused, match="touched"):
        sshsig.verify(b"tree 1\n", security_key_signature(private, b"tree 1\n", 0), "git")


@pytest.mark.parametrize(
    "data", [b"ssh-ed25519", b"ssh-ed25519 AAAA", b"ssh-rsa !!!", b"ssh-dss AAAA", b"sk-x y z", b""]
)
def test_what_is_no_key(data: bytes) -> None:
    with pytest.raises(BadKey):
        gitsigned.keys_of(data)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(data: bytes) -> None:
    for label, check in (
        ("SSH SIGNATURE", lambda armour: sshsig.verify(b"", armour, "git")),
        ("PGP SIGNATURE", lambda armour: openpgp.verify(b"", armour, ())),
    ):
        body = base64.b64encode(data)
        armour = f"-----BEGIN {label}-----\n".encode() + body + f"\n-----END {label}-----".encode()
        with pytest.raises(SignatureRefused) as caught:
            check(armour)
        assert "\n" not in str(caught.value)
    with pytest.raises(SignatureRefused):
        gitsigned.verify(Signed(b"", data), ())


def test_every_byte_of_a_signature_counts(checkout: Checkout, tmp_path: Path) -> None:
    """Each flipped, none verifies by the same key over the same bytes with another meaning."""
    commit, _, public = signed_with_ssh(checkout, tmp_path / "key", "ed25519")
    (key,) = gitsigned.keys_of(public)
    lines = commit.signature.splitlines()
    raw = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    for position in range(len(raw)):
        raw[position] ^= 1
        body = b"\n".join((lines[0], base64.b64encode(bytes(raw)), lines[-1]))
        with pytest.raises(SignatureRefused):
            gitsigned.verify(replace(commit, signature=body), [key])
        raw[position] ^= 1
    assert gitsigned.verify(commit, [key]) == key
