"""Whom a certificate names, and who is nearly somebody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from stemma_attestations.errors import BadBundle, BadTrustRoot
from stemma_attestations.identity import CLAIM_NAMES, Identity, IdentityPattern
from tests.sigstore.encoding import DER, der, der_text, p256
from tests.sigstore.fulcio import ARC, Leaf
from tests.sigstore.stack import LocalSigstore

GITHUB = "https://token.actions.githubusercontent.com"
REPOSITORY = "https://github.com/acme/models"
WORKFLOW = f"{REPOSITORY}/.github/workflows/train.yml@refs/heads/main"
CLAIMS = (
    ("source_repository_ref", "refs/heads/main"),
    ("source_repository_uri", REPOSITORY),
)
ROBOT = Identity(GITHUB, WORKFLOW, CLAIMS)
ALICE = Identity("https://accounts.example.com", "alice@example.com")


def read(stack: LocalSigstore, *names: x509.GeneralName, **options: Any) -> Identity:
    """The identity in a certificate that Fulcio was made to issue."""
    leaf = Leaf(names, options.pop("issuer", GITHUB), **options)
    certificate = stack.fulcio.issue(p256().public_key(), leaf)
    return Identity.from_certificate(certificate.public_bytes(DER))


def uri(text: str = WORKFLOW) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def username(value: bytes, oid: str = f"{ARC}.7") -> x509.GeneralName:
    return x509.OtherName(ObjectIdentifier(oid), value)


# --- certificates ---------------------------------------------------------------------------


def test_three_kinds_of_subject(sigstore: LocalSigstore) -> None:
    assert read(sigstore, uri()) == Identity(GITHUB, WORKFLOW)
    assert read(sigstore, x509.RFC822Name("alice@example.com")).subject == "alice@example.com"
    assert read(sigstore, username(der_text("alice!example.com"))).subject == "alice!example.com"


def test_every_claim_has_a_name_and_they_are_sorted(sigstore: LocalSigstore) -> None:
    identity = read(sigstore, uri(), claims={arc: f"value {arc}" for arc in range(22, 8, -1)})
    assert {name for name, _ in identity.claims} == CLAIM_NAMES
    assert list(identity.claims) == sorted(identity.claims)
    held = dict(identity.claims)
    assert held["build_signer_uri"] == "value 9"
    assert held["source_repository_uri"] == "value 12"
    assert held["source_repository_ref"] == "value 14"
    assert held["source_repository_visibility_at_signing"] == "value 22"


def test_a_long_claim_has_a_long_length(sigstore: LocalSigstore) -> None:
    identity = read(sigstore, uri(), claims={14: "refs/heads/" + "x" * 300})
    assert dict(identity.claims)["source_repository_ref"].endswith("xxx")


def test_the_issuer_may_be_in_either_form(sigstore: LocalSigstore) -> None:
    old = {"with_issuer": False, "raw": {f"{ARC}.1": GITHUB.encode()}}
    new = {"with_issuer": False, "raw": {f"{ARC}.8": der_text(GITHUB)}}
    assert read(sigstore, uri(), **old).issuer == GITHUB
    assert read(sigstore, uri(), **new).issuer == GITHUB


@pytest.mark.parametrize(
    "names",
    [
        (uri(), x509.RFC822Name("alice@example.com")),
        (uri(), uri()),
        (x509.DNSName("example.com"),),
        (x509.RFC822Name("https://github.com/acme@x"),),
        (x509.RFC822Name("nobody"),),
        (x509.UniformResourceIdentifier("alice@example.com"),),
        (x509.UniformResourceIdentifier("//github.com/acme"),),
        (username(der_text("alice@example.com")),),
        (username(der_text("https://github.com/a!b")),),
        (username(der_text("alice")),),
        (username(der(0x16, b"alice!example.com")),),
        (username(der_text("alice!example.com"), "1.3.6.1.4.1.311.20.2.3"),),
    ],
)
def test_subjects_that_are_nobody(
    sigstore: LocalSigstore, names: tuple[x509.GeneralName, ...]
) -> None:
    with pytest.raises(BadBundle):
        read(sigstore, *names)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {f"{ARC}.1": b""},
        {f"{ARC}.1": b"\xff"},
        {f"{ARC}.1": GITHUB.encode() + b"\n"},
        {f"{ARC}.1": der_text(GITHUB)},
        {f"{ARC}.8": GITHUB.encode()},
        {f"{ARC}.8": der_text("")},
        {f"{ARC}.8": der_text(GITHUB) + b"x"},
        {f"{ARC}.8": der_text(GITHUB)[:-1]},
        {f"{ARC}.8": b"\x0c\x81\x2b" + GITHUB.encode()},
        {f"{ARC}.8": b"\x0c\x80" + GITHUB.encode() + b"\0\0"},
        {f"{ARC}.8": b"\x0c\x82\x00\xc8" + b"x" * 200},
        {f"{ARC}.8": b"\x0c"},
        {f"{ARC}.8": b"\x0c\x84"},
        {f"{ARC}.8": der(0x13, GITHUB.encode())},
        {f"{ARC}.8": der_text(GITHUB + "\u202e")},
        {f"{ARC}.8": der_text(GITHUB + "\0.evil.example")},
        {f"{ARC}.8": der_text("x" * 3000)},
        {f"{ARC}.1": b"https://evil.example", f"{ARC}.8": der_text(GITHUB)},
        {f"{ARC}.8": der_text(GITHUB), f"{ARC}.12": REPOSITORY.encode()},
        {f"{ARC}.8": der_text(GITHUB), f"{ARC}.14": der_text("refs/heads/main ")},
    ],
)
def test_issuers_and_claims_that_are_ambiguous(
    sigstore: LocalSigstore, raw: dict[str, Any]
) -> None:
    with pytest.raises(BadBundle):
        read(sigstore, uri(), with_issuer=False, raw=raw)


@pytest.mark.parametrize("data", [b"", b"\0", b"0" * 100, b"0" * 100_000])
def test_no_certificate_at_all(data: bytes) -> None:
    with pytest.raises(BadBundle):
        Identity.from_certificate(data)


# --- near misses ----------------------------------------------------------------------------

EXACT = IdentityPattern(GITHUB, WORKFLOW, CLAIMS)
PERSON = IdentityPattern(ALICE.issuer, ALICE.subject)
NEAR = [
    WORKFLOW.replace("acme", "Acme"),
    WORKFLOW.replace("https:", "HTTPS:"),
    WORKFLOW.replace("https:", "http:"),
    WORKFLOW.replace("github.com", "GitHub.com"),
    WORKFLOW.replace("github.com", "github.com."),
    WORKFLOW.replace("github.com", "githubXcom"),
    WORKFLOW.replace("github.com", "github.com.evil.example"),
    WORKFLOW.replace("github.com", "github.com:443"),
    WORKFLOW.replace("github.com", "user@github.com"),
    WORKFLOW.replace("github.com/", "github.com//"),
    WORKFLOW.replace("acme", "\u0430cme"),  # a Cyrillic a
    WORKFLOW.replace("acme", "acm\u00e9"),
    WORKFLOW.replace("acme", "evil-acme"),
    WORKFLOW.replace("acme", "acme-evil"),
    WORKFLOW.replace("acme/models", "mallory/models"),  # a fork
    WORKFLOW.replace("train.yml", "trainXyml"),
    WORKFLOW.replace("train.yml", "train.yaml"),
    WORKFLOW.replace("train.yml", "pwn-train.yml"),
    WORKFLOW.replace("heads/main", "tags/main"),
    WORKFLOW.replace("heads/main", "heads/main2"),
    WORKFLOW.replace("heads/main", "pull/1/merge"),
    WORKFLOW + "\n",
    WORKFLOW + " ",
    " " + WORKFLOW,
    WORKFLOW + "/",
    WORKFLOW + "\0",
    WORKFLOW + "\u200b",
    WORKFLOW + "?",
    WORKFLOW[:-1],
    WORKFLOW.replace("@", "%40"),
    "",
]


@pytest.mark.parametrize("subject", NEAR)
def test_a_near_miss_of_the_subject_is_a_miss(subject: str) -> None:
    assert subject != WORKFLOW
    assert not EXACT.matches(replace(ROBOT, subject=subject))


@pytest.mark.parametrize(
    "issuer",
    [
        "https://accounts.example.com",
        GITHUB + "/",
        GITHUB + "/acme",
        GITHUB.upper(),
        GITHUB.replace("https", "http"),
        GITHUB.replace(".com", ".com.evil.example"),
        GITHUB.replace(".", "x"),
        GITHUB + "\n",
        "",
    ],
)
def test_a_near_miss_of_the_issuer_is_a_miss(issuer: str) -> None:
    assert not EXACT.matches(replace(ROBOT, issuer=issuer))


@pytest.mark.parametrize(
    "subject",
    [
        "Alice@example.com",
        "alice@EXAMPLE.com",
        "alice@example.com.evil.example",
        "alice@exampleXcom",
        "alice+x@example.com",
        "malice@example.com",
        "alice!example.com",
        "alice@example.com\n",
        "mailto:alice@example.com",
    ],
)
def test_a_near_miss_of_a_person_is_a_miss(subject: str) -> None:
    assert PERSON.matches(ALICE)
    assert not PERSON.matches(replace(ALICE, subject=subject))


def test_claims_are_compared_exactly_and_only_those_that_are_asked_for() -> None:
    assert EXACT.matches(ROBOT)
    assert EXACT.matches(replace(ROBOT, claims=(("build_trigger", "push"), *CLAIMS)))
    assert not EXACT.matches(replace(ROBOT, claims=CLAIMS[:1]))
    assert not EXACT.matches(replace(ROBOT, claims=()))
    for value in ("refs/tags/main", "refs/heads/main/", "refs/heads/Main", "refs/heads/*", ""):
        held = (("source_repository_ref", value), CLAIMS[1])
        assert not EXACT.matches(replace(ROBOT, claims=held))


def test_a_mismatch_says_which_and_shows_look_alikes() -> None:
    fork = replace(ROBOT, subject=WORKFLOW.replace("acme", "\u0430cme"))
    assert EXACT.mismatch(ROBOT) is None
    assert "\\u0430" in str(EXACT.mismatch(fork))
    assert "issuer" in str(EXACT.mismatch(replace(ROBOT, issuer="https://evil.example")))
    assert "source_repository_ref" in str(EXACT.mismatch(replace(ROBOT, claims=())))


# --- the one wildcard -----------------------------------------------------------------------


def wild(pattern: str, subject: str) -> bool:
    return IdentityPattern(GITHUB, pattern).matches(Identity(GITHUB, subject))


BRANCH = f"{REPOSITORY}/.github/workflows/train.yml@refs/heads/*"


def test_a_star_is_one_whole_segment() -> None:
    assert wild(BRANCH, WORKFLOW)
    assert wild(BRANCH, WORKFLOW.replace("main", "release-1.2"))
    assert wild("https://github.com/acme/*/.github/workflows/train.yml@refs/heads/main", WORKFLOW)
    assert wild("https://github.com/acme/models/.github/workflows/*/heads/main", WORKFLOW)
    assert wild("spiffe://example.org/ns/*/sa/trainer", "spiffe://example.org/ns/prod/sa/trainer")


@pytest.mark.parametrize(
    "subject",
    [
        WORKFLOW.replace("heads/main", "heads/"),
        WORKFLOW.replace("heads/main", "heads"),
        WORKFLOW.replace("heads/main", "heads/a/b"),
        WORKFLOW.replace("heads/main", "heads//main"),
        WORKFLOW.replace("heads/main", "heads/."),
        WORKFLOW.replace("heads/main", "heads/.."),
        WORKFLOW.replace("heads/main", "heads/a%2Fb"),
        WORKFLOW.replace("heads/main", "heads/a\\b"),
        WORKFLOW.replace("heads/main", "heads/a\nb"),
        WORKFLOW.replace("heads/main", "heads/a b"),
        WORKFLOW.replace("heads/main", "heads/\u0430"),
        WORKFLOW.replace("heads/main", "heads/main?x"),
        WORKFLOW.replace("heads/main", "heads/main#x"),
        WORKFLOW.replace("heads/main", "tags/main"),
        WORKFLOW.replace("github.com", "evil.example/github.com"),
        WORKFLOW.replace("https://github.com", "https://evil.example"),
        "https:/" + WORKFLOW.removeprefix("https://"),
    ],
)
def test_a_star_is_nothing_else(subject: str) -> None:
    assert not wild(BRANCH, subject)


@pytest.mark.parametrize(
    "subject",
    [
        "*",
        "*@example.com",
        "alice@*",
        "**",
        "https://*/acme/models",
        "https://*.github.com/acme",
        "*://github.com/acme",
        "https://github.com/**",
        "https://github.com/acme/**/train.yml",
        "https://github.com/acme/mod*",
        "https://github.com/acme/*.yml@refs/heads/main",
        "https://github.com/acme/train.yml@*",
        "https://github.com/acme?x=*",
        "https://github.com/acme#*",
        "https://github.com/a?b/*",
        "/acme/*",
        "urn:acme:*",
        "",
        " https://github.com/acme",
        "https://github.com/acme\n",
        "https://github.com/\u202eacme",
    ],
)
def test_patterns_that_would_not_mean_what_they_look_like(subject: str) -> None:
    with pytest.raises(BadTrustRoot):
        IdentityPattern(GITHUB, subject)


@pytest.mark.parametrize(
    "claims",
    [
        (("source_repository_ref", "refs/heads/*"),),
        (("source_repository_ref", ""),),
        (("source_repository_ref", "refs/heads/main\n"),),
        (("repository", "acme/models"),),
        (("source_repository_ref", "a"), ("source_repository_ref", "b")),
    ],
)
def test_claims_that_would_not_mean_what_they_look_like(claims: Any) -> None:
    with pytest.raises(BadTrustRoot):
        IdentityPattern(GITHUB, WORKFLOW, claims)


@pytest.mark.parametrize("issuer", ["", "*", "https://*.example.com", GITHUB + " "])
def test_issuers_that_would_not_mean_what_they_look_like(issuer: str) -> None:
    with pytest.raises(BadTrustRoot):
        IdentityPattern(issuer, WORKFLOW)


def test_a_regular_expression_is_only_text() -> None:
    assert not wild("https://github.com/.+", "https://github.com/acme")
    assert not wild("^https://github.com/acme$", "https://github.com/acme")
    assert not wild("https://github.com/acme|", "https://github.com/acme")
