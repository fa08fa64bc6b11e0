"""Signing with a key in a KMS: AWS by a server here, the rest as far as their libraries."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stemma_attestations.errors import BadKey, SignatureRefused, StemmaError
from stemma_attestations.keys import PublicKey
from stemma_registry import signing
from stemma_registry.errors import NotFound, Refused, Unavailable
from stemma_registry.signing.failing import told
from tests.building import spki
from tests.kms import KMS, kms
from tests.registry.test_signing import STATEMENT

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[KMS]:
    with kms() as server:
        for name, value in {
            "AWS_ENDPOINT_URL_KMS": server.url,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps credentials
        yield server


def load(uri: str) -> signing.Signer:
    return signing.load_signer(uri, lambda: None)


@pytest.mark.parametrize("name", ["alias/signing", ARN, "1234abcd-12ab-34cd-56ef-1234567890ab"])
def test_aws_signs(aws: KMS, name: str) -> None:
    aws.keys[name] = private = ec.generate_private_key(ec.SECP256R1())
    signer = load(f"awskms:{name}")
    assert signer.public == PublicKey.parse(spki(private))
    for _ in range(2):
        assert signer.sign(STATEMENT).verify(signer.public).raw == STATEMENT.raw
    assert aws.asked == ["GetPublicKey", "Sign", "Sign"]


def test_aws_signs_with_rsa_and_takes_pss_of_what_the_key_can(aws: KMS) -> None:
    aws.keys["alias/rsa"] = rsa.generate_private_key(65537, 2048)
    signer = load("awskms:alias/rsa")
    assert signer.public.scheme == "rsassa-pss-sha256"
    assert signer.sign(STATEMENT).verify(signer.public).raw == STATEMENT.raw


def test_a_signature_of_other_bytes_does_not_leave(aws: KMS) -> None:
    aws.keys["alias/a"] = ec.generate_private_key(ec.SECP256R1())
    aws.forge = True
    with pytest.raises(SignatureRefused, match="does not verify"):
        load("awskms:alias/a").sign(STATEMENT)


def test_a_key_of_another_kind_is_refused(aws: KMS) -> None:
    aws.keys["alias/a"] = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(BadKey, match="ecdsa-sha2-nistp384"):
        load("awskms:alias/a")
    aws.keys["alias/b"] = rsa.generate_private_key(65537, 1024)
    with pytest.raises(BadKey, match="2048 to 8192 bits"):
        load("awskms:alias/b")


def said(caught: pytest.ExceptionInfo[StemmaError]) -> str:
    """The message, which is one line."""
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_aws_says_is_said_in_a_line(
    aws: KMS, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound) as caught:
        load("awskms:alias/none")
    assert said(caught).startswith("awskms:alias/none: ")
    aws.keys["alias/a"] = ec.generate_private_key(ec.SECP256R1())
    signer = load("awskms:alias/a")
    aws.denied = {"Sign"}
    with pytest.raises(Refused, match="AccessDenied") as caught:
        signer.sign(STATEMENT)
    assert "you may not at all" in said(caught)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="awskms:alias/a: "):
        load("awskms:alias/a")
    assert capfd.readouterr().err == ""


def test_without_credentials_or_region_nothing_is_signed(
    aws: KMS, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.keys["alias/a"] = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(Unavailable, match="credentials"):
        load("awskms:alias/a")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Unavailable, match="region"):
        load("awskms:alias/a")


GCP = "gcpkms:projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
AZURE = "azurekms://team.vault.azure.net/keys/signing"


@pytest.mark.parametrize(
    "uri",
    [
        "awskms:",
        "awskms:alias/x?region=y",
        "awskms:///alias/x",
        "awskms:alias/x\n",
        "awskms:alias/ü",
        "gcpkms:",
        GCP.rpartition("/cryptoKeyVersions")[0],
        GCP + "/x",
        GCP + "\n",
        "gcpkms://" + GCP.removeprefix("gcpkms:"),
        "azurekms:",
        "azurekms:team/signing",
        "azurekms://team.vault.azure.net.example.org/keys/signing",
        "azurekms://example.org/.vault.azure.net/keys/signing",
        AZURE + "/latest",
        AZURE + "/0a?x",
        "AWSKMS:alias/x",
        "awskms",
        "",
    ],
)
def test_uris_that_name_no_key_are_refused_before_anybody_is_asked(uri: str) -> None:
    with pytest.raises(BadKey, match="write "):
        load(uri)


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [(GCP, "google.cloud.kms", "gcp"), (AZURE, "azure.keyvault", "azure")],
)
def test_a_missing_library_is_named_with_how_to_get_it(uri: str, module: str, extra: str) -> None:
    """The test extra leaves these two out, so that this is the real thing."""
    assert importlib.util.find_spec(module.partition(".")[0]) is None or not _there(module)
    with pytest.raises(Refused) as caught:
        load(uri)
    assert said(caught) == (
        f"{uri}: a library is not installed (pip install 'stemma-registry[{extra}]')"
    )


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_errors_are_told_apart_by_the_names_of_their_classes() -> None:
    """As google.api_core and azure.core name them; a subclass is what its parent is."""
    permission = type("PermissionDenied", (Exception,), {})
    for error, ours in (
        (type("NotFound", (Exception,), {})("404 no such key"), NotFound),
        (permission("403"), Refused),
        (type("Special", (permission,), {})("403"), Refused),
        (type("ClientAuthenticationError", (Exception,), {})("x"), Refused),
        (type("ServiceRequestError", (Exception,), {})("cannot connect"), Unavailable),
        (RuntimeError(""), Unavailable),
        (RuntimeError("long " * 1000), Unavailable),
    ):
        with pytest.raises(ours) as caught, told("gcpkms:x", "gcp"):
            raise error
        assert said(caught).startswith("gcpkms:x: ")
        assert len(said(caught)) < 400
    with pytest.raises(SignatureRefused, match=r"\Aours\Z"), told("gcpkms:x", "gcp"):
        raise SignatureRefused("ours")
