"""Public keys: which are read, how they are named, and what verifies with them."""

from __future__ import annotations

import base64
import functools
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    padding,
    rsa,
    utils,
    x25519,
)
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import SSlibKey

from stemma_attestations.errors import BadKey, SignatureRefused
from stemma_attestations.keys import PublicKey
from tests.building import KEY_KINDS, bounded, examples, key, make_key, pss, spki

Encoding, Format = serialization.Encoding, serialization.PublicFormat


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_pem_and_der_are_one_key(kind: str) -> None:
    private = key("a", kind).private
    der = spki(private)
    pem = private.public_key().public_bytes(Encoding.PEM, Format.SubjectPublicKeyInfo)
    read = PublicKey.parse(der)
    assert read == PublicKey.parse(pem) == PublicKey.parse(b"\n  " + pem + b"\n")
    assert read.der == der
    assert read.pem.encode() == pem
    assert read.id == hashlib.sha256(der).hexdigest()
    assert read.pem_id == hashlib.sha256(pem).hexdigest()
    cosign = base64.b64encode(bytes.fromhex(read.id)).decode()
    ids = {read.id, read.pem_id, SSlibKey.from_crypto(private.public_key()).keyid, cosign}
    assert read.hints == ids
    assert len(ids) == 4
    assert read.scheme == SSlibKey.from_crypto(private.public_key()).scheme


def test_a_compressed_point_is_the_same_key() -> None:
    """Otherwise one key had two ids, and a rule about one would miss the other."""
    private = key("a").private
    point = private.public_key().public_bytes(Encoding.X962, Format.CompressedPoint)
    # SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING point }
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    assert PublicKey.parse(head + point).id == key("a").public.id


def rsa_spki(modulus: int, exponent: int) -> bytes:
    """An RSA public key with these numbers, whether or not anybody holds the other half."""
    numbers = rsa.RSAPublicNumbers(exponent, modulus)
    return numbers.public_key().public_bytes(Encoding.DER, Format.SubjectPublicKeyInfo)


@functools.cache
def others() -> dict[str, bytes]:
    """Keys of every other kind, and things that are no public keys."""
    private = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = private.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    raw = ed25519.Ed25519PrivateKey.generate().public_key()
    return {
        "P-384": spki(ec.generate_private_key(ec.SECP384R1())),
        "secp256k1": spki(ec.generate_private_key(ec.SECP256K1())),
        "RSA of 1024 bits": spki(rsa.generate_private_key(65537, 1024)),
        "RSA of 2047 bits": spki(rsa.generate_private_key(65537, 2047)),
        "RSA of 8193 bits": rsa_spki((1 << 8192) + 1, 65537),
        "RSA with exponent 3": spki(rsa.generate_private_key(3, 2048)),
        "RSA with a long exponent": rsa_spki((1 << 2047) + 1, (1 << 256) + 1),
        "Ed448": spki(ed448.Ed448PrivateKey.generate()),
        "X25519": spki(x25519.X25519PrivateKey.generate()),
        "private key": pkcs8,
        "raw Ed25519": raw.public_bytes(Encoding.Raw, Format.Raw),
        "raw point": private.public_key().public_bytes(Encoding.X962, Format.UncompressedPoint),
        "OpenSSH": private.public_key().public_bytes(Encoding.OpenSSH, Format.OpenSSH),
        "nothing": b"",
        "PEM of nothing": b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        "PEM without end": b"-----BEGIN PUBLIC KEY-----\nMFkw\n",
        "trailing bytes": spki(private) + b"\x00",
        "hex": spki(private).hex().encode(),
    }


@pytest.mark.parametrize("kind", list(others()))
def test_everything_else_is_refused(kind: str) -> None:
    with pytest.raises(BadKey):
        PublicKey.parse(others()[kind])


def test_every_truncation_is_refused() -> None:
    for kind in KEY_KINDS:
        der = key("a", kind).public.der
        for length in range(len(der)):
            with pytest.raises(BadKey):
                PublicKey.parse(der[:length])


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    der = bytearray(key("a").public.der)
    der[-1] ^= 1
    with pytest.raises(BadKey):
        PublicKey.parse(bytes(der))


@examples(300)
@given(
    st.binary(max_size=120)
    | st.binary(max_size=60).map(lambda b: b"-----BEGIN PUBLIC KEY-----\n" + b)
)
def test_no_bytes_raise_anything_but_bad_key(data: bytes) -> None:
    with pytest.raises(BadKey):
        PublicKey.parse(data)


@examples(200)
@given(st.sampled_from(KEY_KINDS), st.data())
def test_a_changed_key_is_refused_or_another_key(kind: str, data: st.DataObject) -> None:
    der = key("a", kind).public.der
    place = data.draw(st.integers(0, len(der) - 1))
    changed = der[:place] + bytes([der[place] ^ data.draw(st.integers(1, 255))]) + der[place + 1 :]
    try:
        read = PublicKey.parse(changed)
    except BadKey:
        return
    assert read.id != key("a", kind).public.id


def test_a_huge_key_is_refused_in_bounded_time() -> None:
    with bounded(seconds=2, megabytes=60), pytest.raises(BadKey):
        PublicKey.parse(b"-----BEGIN PUBLIC KEY-----\n" + b"QUJD\n" * 500_000)


# --- verifying ------------------------------------------------------------------------------

MESSAGE = b"the bytes that were signed"


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_verify(kind: str) -> None:
    signer = key("a", kind)
    signature = signer.sign_bytes(MESSAGE)
    signer.public.verify(signature, MESSAGE)
    for message in (MESSAGE + b" ", MESSAGE[:-1], b"", MESSAGE.upper()):
        with pytest.raises(SignatureRefused):
            signer.public.verify(signature, message)
    for other in map(make_key, (kind, *KEY_KINDS)):
        with pytest.raises(SignatureRefused):
            other.public.verify(signature, MESSAGE)
    for broken in (b"", b"\x00" * len(signature), signature[:-1], signature + b"\x00", b"x" * 9999):
        with pytest.raises(SignatureRefused):
            signer.public.verify(broken, MESSAGE)


def test_ecdsa_is_der_over_sha256_and_nothing_else() -> None:
    signer = key("a")
    assert isinstance(signer.private, ec.EllipticCurvePrivateKey)
    r, s = utils.decode_dss_signature(signer.sign_bytes(MESSAGE))
    with pytest.raises(SignatureRefused):
        signer.public.verify(r.to_bytes(32, "big") + s.to_bytes(32, "big"), MESSAGE)
    for algorithm in (hashes.SHA384(), hashes.SHA512(), hashes.SHA3_256()):
        with pytest.raises(SignatureRefused):
            signer.public.verify(signer.private.sign(MESSAGE, ec.ECDSA(algorithm)), MESSAGE)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for bad in ((0, 0), (0, s), (r, 0), (1, 0), (order, s), (r, order), (r + order, s)):
        with pytest.raises(SignatureRefused):
            signer.public.verify(utils.encode_dss_signature(*bad), MESSAGE)


def test_rsa_is_pss_over_sha256_with_any_salt_and_nothing_else() -> None:
    signer = key("a", "rsa")
    assert isinstance(signer.private, rsa.RSAPrivateKey)
    longest = 2048 // 8 - 32 - 2  # what Go's default writes
    for salt in (0, 20, 32, longest):
        signer.public.verify(signer.private.sign(MESSAGE, pss(salt), hashes.SHA256()), MESSAGE)
    mixed = padding.PSS(mgf=padding.MGF1(hashes.SHA1()), salt_length=32)
    for scheme, algorithm in (
        (padding.PKCS1v15(), hashes.SHA256()),
        (pss(), hashes.SHA512()),
        (mixed, hashes.SHA256()),
    ):
        with pytest.raises(SignatureRefused):
            signer.public.verify(signer.private.sign(MESSAGE, scheme, algorithm), MESSAGE)


def test_rsa_of_the_largest_size_that_is_read() -> None:
    """8192 bits are read; no key of that size is generated here, which takes a minute."""
    modulus = (1 << 8191) + 1
    read = PublicKey.parse(rsa_spki(modulus, 65537))
    assert PublicKey.parse(read.pem.encode()) == read
    with pytest.raises(SignatureRefused):
        read.verify(b"\x01" * 1024, MESSAGE)


def test_ed25519_refuses_a_scalar_beyond_the_order() -> None:
    """S + L verifies where a library forgets RFC 8032, section 5.1.7."""
    signer = key("a", "ed25519")
    signature = signer.sign_bytes(MESSAGE)
    scalar = int.from_bytes(signature[32:], "little")
    order = 2**252 + 27742317777372353535851937790883648493
    forged = signature[:32] + (scalar + order).to_bytes(32, "little")
    with pytest.raises(SignatureRefused):
        signer.public.verify(forged, MESSAGE)


def test_the_signature_of_the_dsse_specification() -> None:
    """https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, Test Vectors."""
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    read = PublicKey.parse(public.public_bytes(Encoding.DER, Format.SubjectPublicKeyInfo))
    raw = bytes.fromhex(
        "03726ab101ad56c2763b6c6aac8e487275e2a79193a09dc5f859d9f8ef3c4a3b"
        "51eab0c06a369b64a7222537d4887a893dc200ae21060074d57825235b624864"
    )
    signature = utils.encode_dss_signature(
        int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    )
    read.verify(signature, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")


def test_the_first_signature_of_rfc_8032() -> None:
    """RFC 8032, section 7.1, TEST 1: of the empty message."""
    public = ed25519.Ed25519PublicKey.from_public_bytes(
        bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    )
    read = PublicKey.parse(public.public_bytes(Encoding.DER, Format.SubjectPublicKeyInfo))
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
        "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    read.verify(signature, b"")
    with pytest.raises(SignatureRefused):
        read.verify(signature, b"\x00")
