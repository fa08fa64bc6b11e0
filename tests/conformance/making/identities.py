"""Identities that are nearly the one that is believed.

In each case an authority that is trusted vouched for somebody, and the log saw it: only
the comparison of who it is stands between the bundle and belief.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from tests.conformance.making.case import BUNDLE, TRUST, Case
from tests.conformance.making.instance import (
    CLAIMS,
    GITHUB,
    IDENTITY,
    REPOSITORY,
    REQUIRED,
    WORKFLOW,
    Instance,
    email,
    uri,
)
from tests.conformance.making.scene import packed
from tests.sigstore.encoding import der_text
from tests.sigstore.fulcio import ARC

PATTERN = "attestations/stemma_attestations/identity.py::IdentityPattern.mismatch"
SUBJECT = "attestations/stemma_attestations/identity.py::_subject_matches"
CHECKED = "attestations/stemma_attestations/identity.py::_checked"
ONE = "attestations/stemma_attestations/identity.py::_subject"
ISSUERS = "attestations/stemma_attestations/identity.py::_issuer"
PERSON = {"issuer": "https://accounts.example.com", "subject": "alice@example.com"}
BRANCHES = WORKFLOW.replace("heads/main", "heads/*")
REUSED = "https://github.com/acme/shared/.github/workflows/build.yml@refs/tags/v1"

# name -> subject, what it is
SUBJECTS = {
    "case-of-owner": (WORKFLOW.replace("acme", "Acme"), "the owner with a capital letter"),
    "case-of-host": (WORKFLOW.replace("github.com", "GitHub.com"), "the host in another case"),
    "case-of-scheme": (WORKFLOW.replace("https:", "HTTPS:"), "the scheme in capital letters"),
    "case-of-branch": (WORKFLOW.replace("main", "Main"), "a branch called Main"),
    "scheme": (WORKFLOW.replace("https:", "http:"), "the same without TLS"),
    "prefix": (WORKFLOW[:-1], "a branch whose name is the beginning of the right one"),
    "suffix": (WORKFLOW + "2", "a branch whose name begins with the right one"),
    "path-below": (WORKFLOW + "/x", "a branch main/x"),
    "trailing-slash": (WORKFLOW + "/", "the same with a slash behind it"),
    "host-suffix": (
        WORKFLOW.replace("github.com", "github.com.evil.example"),
        "a host that begins with the right one",
    ),
    "host-prefix": (
        WORKFLOW.replace("github.com", "notgithub.com"),
        "a host that ends in the right one",
    ),
    "host-dot": (WORKFLOW.replace("github.com", "github.com."), "the host with its root dot"),
    "port": (WORKFLOW.replace("github.com", "github.com:443"), "the host with its usual port"),
    "user-info": (
        WORKFLOW.replace("github.com", "github.com@evil.example"),
        "another host, with the right one as the user",
    ),
    "user-before": (WORKFLOW.replace("github.com", "git@github.com"), "a user before the host"),
    "inside-a-path": (
        "https://evil.example/" + WORKFLOW,
        "another host, with the right subject as the path",
    ),
    "unescaped-dot": (
        WORKFLOW.replace("release.yml", "releaseXyml"),
        "what a regular expression with an unescaped dot would match",
    ),
    "unescaped-dot-of-host": (
        WORKFLOW.replace("github.com", "githubXcom"),
        "a host that a regular expression with an unescaped dot would match",
    ),
    "look-alike-ascii": (WORKFLOW.replace("acme", "acrne"), "an owner that looks alike (rn, m)"),
    "look-alike-digit": (WORKFLOW.replace("release", "re1ease"), "a 1 for an l"),
    "look-alike-punycode": (
        WORKFLOW.replace("github.com", "xn--gthub-n4a.com"),
        "a host that browsers show alike",
    ),
    "tag": (WORKFLOW.replace("heads/main", "tags/main"), "a tag called main"),
    "pull-request": (WORKFLOW.replace("heads/main", "pull/7/merge"), "a pull request's ref"),
    "commit": (WORKFLOW.replace("refs/heads/main", "a" * 40), "a commit instead of the branch"),
    "fork": (WORKFLOW.replace("acme/", "mallory/"), "a fork"),
    "owner-prefix": (WORKFLOW.replace("acme/", "acme-evil/"), "an owner that begins like it"),
    "owner-suffix": (WORKFLOW.replace("acme/", "evil-acme/"), "an owner that ends like it"),
    "repository-longer": (WORKFLOW.replace("train/", "train-2/"), "a repository train-2"),
    "other-workflow": (WORKFLOW.replace("release", "nightly"), "another workflow of the same"),
    "workflow-prefix": (WORKFLOW.replace("release.", "pre-release."), "a longer workflow name"),
    "extension": (WORKFLOW.replace(".yml", ".yaml"), "the extension spelled out"),
    "percent-letter": (WORKFLOW.replace("acme", "%61cme"), "a letter percent-encoded"),
    "percent-slash": (WORKFLOW.replace("acme/", "acme%2F"), "a slash percent-encoded"),
    "percent-at": (WORKFLOW.replace("@", "%40"), "the @ percent-encoded"),
    "double-slash": (WORKFLOW.replace("acme/", "acme//"), "a slash twice"),
    "dot-segments": (WORKFLOW.replace("acme/", "acme/x/../"), "a path that leads to the same"),
    "backslash": (WORKFLOW.replace("acme/", "acme\\"), "a backslash for a slash"),
    "query": (WORKFLOW + "?x", "a query behind it"),
    "fragment": (WORKFLOW + "#x", "a fragment behind it"),
    "star": (WORKFLOW.replace("main", "*"), "a star, which is no wildcard in a certificate"),
    "reusable-workflow": (REUSED, "the reusable workflow that the caller ran"),
}
# What is refused because it cannot be shown: name -> subject, what it is.
HIDDEN = {
    "trailing-newline": (WORKFLOW + "\n", "the same with a line end behind it"),
    "trailing-space": (WORKFLOW + " ", "the same with a space behind it"),
    "leading-space": (" " + WORKFLOW, "the same with a space before it"),
    "trailing-nul": (WORKFLOW + "\0", "the same with a NUL byte behind it"),
    "nul-inside": (
        WORKFLOW.replace("github.com", "github.com\0.evil.example"),
        "the right host up to a NUL byte",
    ),
}
ISSUER = {
    "another": ("https://gitlab.com", "another issuer that gives out such subjects"),
    "trailing-slash": (GITHUB + "/", "the issuer with a slash behind it"),
    "scheme": (GITHUB.replace("https:", "http:"), "the issuer without TLS"),
    "case": (GITHUB.replace("token", "Token"), "the issuer with a capital letter"),
    "path-below": (GITHUB + "/acme", "the issuer of one enterprise, below the public one"),
    "suffix": (GITHUB + ".evil.example", "a host that begins with the issuer's"),
    "look-alike-letters": (
        GITHUB.replace("actions", "\u0430ctions"),
        "the issuer with a Cyrillic a",
    ),
    "unescaped-dot": (GITHUB.replace("token.actions", "tokenXactions"), "an x for a dot"),
    "full-width": (GITHUB.replace("com", "\uff43om"), "a letter that NFKC would make the same"),
}
CLAIMED: dict[str, tuple[Mapping[int, str], str]] = {
    "missing": (
        {arc: text for arc, text in CLAIMS.items() if arc != 14},
        "The certificate does not say the ref, which the trust root requires.",
    ),
    "none": ({}, "The certificate has none of the claims that the trust root requires."),
    "other-branch": ({**CLAIMS, 14: "refs/heads/dev"}, "The ref is another branch."),
    "tag": ({**CLAIMS, 14: "refs/tags/main"}, "The ref is a tag of the branch's name."),
    "case": ({**CLAIMS, 14: "refs/heads/MAIN"}, "The ref is in another case."),
    "look-alike-letters": (
        {**CLAIMS, 14: "refs/heads/m\u0430in"},
        "The ref has a Cyrillic a.",
    ),
    "fork": (
        {**CLAIMS, 12: REPOSITORY.replace("acme", "mallory")},
        "The source repository is a fork.",
    ),
    "repository-git": ({**CLAIMS, 12: REPOSITORY + ".git"}, "The repository ends in `.git`."),
    "caller": (
        {**CLAIMS, 18: WORKFLOW.replace("release.yml", "nightly.yml")},
        "Another workflow called the one that signed.",
    ),
    "in-the-wrong-place": (
        {**CLAIMS, 14: "refs/heads/dev", 11: "refs/heads/main"},
        "The right ref stands in another claim.",
    ),
}
WILD = {
    "two-segments": ("heads/a/b", "two segments"),
    "empty-segment": ("heads/", "nothing"),
    "no-segment": ("heads", "not even a slash"),
    "double-slash": ("heads//main", "an empty segment more"),
    "dot-dot": ("heads/..", "a way up"),
    "percent-slash": ("heads/a%2Fb", "a slash in disguise"),
    "backslash": ("heads/a\\b", "a backslash, which some take for a slash"),
    "query": ("heads/main?x=/", "a query"),
    "fragment": ("heads/main#x", "a fragment"),
    "tag": ("tags/main", "a tag where only a branch may be"),
}
PEOPLE = {
    "case": ("Alice@example.com", "a capital letter"),
    "case-of-domain": ("alice@EXAMPLE.com", "the domain in capital letters"),
    "suffix": ("alice@example.com.evil.example", "a domain that begins like it"),
    "prefix": ("malice@example.com", "a name that ends like it"),
    "plus": ("alice+x@example.com", "an address that the same mailbox may have"),
    "dot": ("al.ice@example.com", "a dot that some hosts ignore"),
    "unescaped-dot": ("alice@exampleXcom", "an x for a dot"),
    "look-alike": ("al1ce@example.com", "a 1 for an i"),
}


def cases(at: Instance) -> Iterator[Case]:
    """All of them, each beside the identity that is believed."""
    yield from _workflows(at)
    yield from _wildcards(at)
    yield from _people(at)


def _stranger(subject: str, issuer: str = GITHUB) -> str:
    return f"identity {subject} (by {issuer}) is not in the trust root"


def _workflows(at: Instance) -> Iterator[Case]:
    story = "A workflow signed: issuer, subject and all claims are those that are required."
    twin = at.good("identity-workflow", story, at.trust(claims=REQUIRED), at.document())
    yield twin

    def bad(name: str, story: str, check: str, reason: str, **leaf: Any) -> Case:
        files = {BUNDLE: packed(at.document(leaf=at.leaf(**leaf)))}
        return twin.forged(f"identity-{name}", story, check, reason, files)

    for name, (subject, what) in SUBJECTS.items():
        story = f"The certificate's subject is nearly the right one: {what}."
        yield bad(f"subject-{name}", story, SUBJECT, _stranger(subject), names=(uri(subject),))
    for name, (subject, what) in HIDDEN.items():
        story = f"The certificate's subject is nearly the right one: {what}."
        reason = "the certificate's URI is not one"
        yield bad(f"subject-{name}", story, CHECKED, reason, names=(uri(subject),))
    for name, (issuer, what) in ISSUER.items():
        story = f"The subject is right. Who vouched for it is not: {what}."
        reason = _stranger(WORKFLOW, issuer)
        yield bad(f"issuer-{name}", story, PATTERN, reason, issuer=issuer)
    for name, (claims, what) in CLAIMED.items():
        story = f"Issuer and subject are right. {what}"
        yield bad(f"claim-{name}", story, PATTERN, _stranger(WORKFLOW), claims=claims)
    yield from _ambiguous(bad)


def _ambiguous(bad: Any) -> Iterator[Case]:
    """Certificates that name the right one, and somebody else beside it."""
    hidden = {f"{ARC}.1": GITHUB.encode(), f"{ARC}.8": der_text(GITHUB + "\u200b")}
    yield bad(
        "issuer-zero-width",
        "The issuer has a character that nobody sees.",
        CHECKED,
        "the certificate's issuer is not one",
        with_issuer=False,
        raw=hidden,
    )
    two = {f"{ARC}.1": b"https://gitlab.com", f"{ARC}.8": der_text(GITHUB)}
    yield bad(
        "issuer-two",
        "The certificate names two issuers, the right one in the extension that is newer.",
        ISSUERS,
        "the certificate names two issuers",
        with_issuer=False,
        raw=two,
    )
    yield bad(
        "subject-two",
        "The certificate names two subjects, and the first is the right one.",
        ONE,
        "the certificate names 2 subjects, not one",
        names=(uri(WORKFLOW), uri(WORKFLOW.replace("acme", "mallory"))),
    )
    yield bad(
        "subject-as-an-address",
        "The right subject, in the field for e-mail addresses.",
        CHECKED,
        "the certificate's e-mail address is not one",
        names=(email(WORKFLOW),),
    )
    yield bad(
        "subject-cyrillic",
        "The owner is written with a Cyrillic letter, in bytes that no URI has.",
        SUBJECT,
        _stranger(WORKFLOW.replace("acme", "\u0430cme")),
        names=(uri(WORKFLOW.replace("acme", "\u0430cme")),),
    )


def _wildcards(at: Instance) -> Iterator[Case]:
    star = {**IDENTITY, "subject": BRANCHES}
    story = "Any branch is believed: a `*` in the trust root stands for one segment."
    twin = at.good("identity-wildcard", story, at.trust(star), at.document())
    yield twin
    release = WORKFLOW.replace("main", "release-1.2")
    files = {BUNDLE: packed(at.document(leaf=at.leaf(names=(uri(release),))))}
    yield twin.also_good("identity-wildcard-other-branch", "Another branch is one too.", files)
    for name, (ref, what) in WILD.items():
        subject = WORKFLOW.replace("heads/main", ref)
        files = {BUNDLE: packed(at.document(leaf=at.leaf(names=(uri(subject),))))}
        story = f"Where the trust root has a `*` for one segment, the certificate has {what}."
        reason = _stranger(subject)
        yield twin.forged(f"identity-wildcard-{name}", story, SUBJECT, reason, files)
    for name, subject in (
        ("half-a-segment", WORKFLOW.replace("main", "ma*")),
        ("host", WORKFLOW.replace("github.com", "*.com")),
        ("two-stars", WORKFLOW.replace("heads/main", "**")),
    ):
        yield twin.forged(
            f"identity-wildcard-{name}",
            "The trust root has a wildcard that is more than a segment: it is not read at all.",
            "attestations/stemma_attestations/identity.py::_check_wildcards",
            "* stands only",
            {TRUST: at.trust({**IDENTITY, "subject": subject})},
        )


def _people(at: Instance) -> Iterator[Case]:
    def bundle(name: x509.GeneralName) -> bytes:
        leaf = at.leaf(names=(name,), issuer=PERSON["issuer"], claims={})
        return packed(at.document(leaf=leaf))

    story = "A person signed, by an e-mail address."
    right = at.document(
        leaf=at.leaf(names=(email(PERSON["subject"]),), issuer=PERSON["issuer"], claims={})
    )
    twin = at.good("identity-person", story, at.trust(PERSON), right)
    yield twin
    for name, (subject, what) in PEOPLE.items():
        story = f"An address that is nearly the right one: {what}."
        files = {BUNDLE: bundle(email(subject))}
        reason = _stranger(subject, PERSON["issuer"])
        yield twin.forged(f"identity-person-{name}", story, SUBJECT, reason, files)
    others = {
        "as-uri": (uri("mailto:alice@example.com"), "mailto:alice@example.com", "as a URI"),
        "as-user-name": (
            x509.OtherName(ObjectIdentifier(f"{ARC}.7"), der_text("alice!example.com")),
            "alice!example.com",
            "as a user name of the domain",
        ),
    }
    for name, (general, subject, what) in others.items():
        reason = _stranger(subject, PERSON["issuer"])
        yield twin.forged(
            f"identity-person-{name}",
            f"The person is named {what}, for which nobody checked an address.",
            SUBJECT,
            reason,
            {BUNDLE: bundle(general)},
        )
