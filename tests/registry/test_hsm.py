"""Signing with a key that is in a token: SoftHSM, by way of PKCS#11."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stemma_attestations.errors import BadKey
from stemma_attestations.keys import PublicKey
from stemma_registry import signing
from stemma_registry.errors import NotFound, Refused, Unavailable
from tests.registry.test_signing import STATEMENT
from tests.softhsm import PIN, SoftHSM, softhsm


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHSM]:
    """Token `one` with P-256 keys 2 and 7 and a P-384 key 9; token `two` with nothing."""
    folder = tmp_path_factory.mktemp("softhsm")
    with softhsm(folder) as found:
        found.token("one")
        found.token("two")
        for key_id, curve in ((2, ec.SECP256R1()), (7, ec.SECP256R1()), (9, ec.SECP384R1())):
            private = ec.generate_private_key(curve)
            path = folder / f"{key_id}.pem"
            path.write_bytes(
                private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            found.load("one", path, key_id)
        yield found


def public_half(hsm: SoftHSM, key_id: int) -> PublicKey:
    """The public half of what was put into the token, taken from the file."""
    private = serialization.load_pem_private_key((hsm.folder / f"{key_id}.pem").read_bytes(), None)
    return PublicKey.parse(
        private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


@pytest.mark.parametrize("key_id", [2, 7])
def test_a_token_signs(hsm: SoftHSM, key_id: int) -> None:
    asked: list[int] = []

    def pin() -> str:
        asked.append(1)
        return PIN

    uri = "hsm:?label=one" if key_id == 2 else f"hsm:{key_id}?label=one"
    signer = signing.load_signer(uri, lambda: None, pin)
    assert signer.public == public_half(hsm, key_id)
    for _ in range(3):
        assert signer.sign(STATEMENT).verify(signer.public).raw == STATEMENT.raw
    assert len(asked) == 1


def test_the_module_may_be_in_the_uri(hsm: SoftHSM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYKCS11LIB")
    uri = f"hsm:2?label=one&module={hsm.module}"
    signer = signing.load_signer(uri, lambda: None, lambda: PIN)
    assert signer.sign(STATEMENT).verify(signer.public).raw == STATEMENT.raw
    assert "PYKCS11LIB" not in os.environ
    with pytest.raises(Refused, match=r"which PKCS#11 module\? \(set PYKCS11LIB"):
        signing.load_signer("hsm:2?label=one", lambda: None, lambda: PIN)


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("hsm:2?label=three", NotFound, "No PKCS#11 token found for label three"),
        ("hsm:2", Refused, "Multiple PKCS#11 tokens found"),
        ("hsm:3?label=one", NotFound, "could not find ECDSA key"),
        ("hsm:2?label=two", NotFound, "could not find ECDSA key"),
        ("hsm:9?label=one", BadKey, "signs with ecdsa-sha2-nistp384"),
        ("hsm:two", BadKey, "write hsm:"),
        ("hsm:2?token=one", BadKey, "write hsm:"),
        ("hsm:-1", BadKey, "write hsm:"),
        ("hsm:2?label=one&module=none.so", Unavailable, "none.so"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(
    hsm: SoftHSM, uri: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        signing.load_signer(uri, lambda: None, lambda: PIN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pin", "error", "words"),
    [
        ("1234", Refused, "the PIN is wrong"),
        ("1", Refused, "the PIN is"),
        (None, BadKey, "set STEMMA_HSM_PIN"),
        ("", BadKey, "set STEMMA_HSM_PIN"),
    ],
)
def test_a_wrong_pin_signs_nothing(
    hsm: SoftHSM, pin: str | None, error: type[Exception], words: str
) -> None:
    signer = signing.load_signer("hsm:2?label=one", lambda: None, lambda: pin)
    with pytest.raises(error, match=words):
        signer.sign(STATEMENT)


def test_a_push_is_signed_by_the_token_and_verified_with_its_public_half(
    hsm: SoftHSM, tmp_path: Path
) -> None:
    """By the command line, in processes of their own."""
    home, work = tmp_path / "home", tmp_path / "work"
    (work / "model").mkdir(parents=True)
    (work / "model/weights.bin").write_bytes(b"weights")
    uri = "hsm:7?label=one"

    def stemma(*arguments: str, **environment: str) -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "stemma_cli.main", "--json", *arguments],
            cwd=work,
            env={**os.environ, "STEMMA_HOME": str(home), **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    assert stemma("init")[0] == 0
    (home / "trust.yaml").unlink()  # the key that init made is believed for nothing
    push = ("push", "model", "models/m:1", "--kind", "model", "--sign", uri)
    code, document = stemma(*push)
    assert (code, document["error"]["kind"]) == (2, "BadKey")  # nobody said the PIN
    code, document = stemma(*push, STEMMA_HSM_PIN=PIN)
    assert code == 0, document
    key_id = public_half(hsm, 7).id
    assert document["signer"] == key_id
    assert stemma("verify", "models/m:1")[0] == 13
    code, document = stemma("key", "show", "--sign", uri, "--out", "token.pub")
    assert code == 0
    assert document["key_id"] == key_id
    assert PublicKey.parse((work / "token.pub").read_bytes()).id == key_id
    assert stemma("trust", "add", "token.pub", "--principal", "token")[0] == 0
    code, document = stemma("verify", "models/m:1")
    signatures = [s["outcome"] for s in document["steps"] if s["number"] in (3, 4)]
    assert signatures == ["passed", "passed"]
