"""Who a Fulcio certificate names, and patterns of whom a trust root believes.

https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md

An identity is taken from a certificate in one way only, and compared byte for
byte: no case folding, no Unicode normalisation, no regular expressions. A
certificate that could be read in two ways is no identity at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemma_attestations.errors import BadBundle, BadTrustRoot

if TYPE_CHECKING:
    from cryptography import x509

MAX_TEXT = 2048  # characters of a subject, an issuer or a claim
MAX_CERTIFICATE = 64 * 1024
_ARC = "1.3.6.1.4.1.57264.1."
_ISSUER_V1, _USERNAME, _ISSUER_V2 = _ARC + "1", _ARC + "7", _ARC + "8"
# Last arc of the extension -> the claim's name here.
_CLAIMS = {
    9: "build_signer_uri",
    10: "build_signer_digest",
    11: "runner_environment",
    12: "source_repository_uri",
    13: "source_repository_digest",
    14: "source_repository_ref",
    15: "source_repository_identifier",
    16: "source_repository_owner_uri",
    17: "source_repository_owner_identifier",
    18: "build_config_uri",
    19: "build_config_digest",
    20: "build_trigger",
    21: "run_invocation_uri",
    22: "source_repository_visibility_at_signing",
}
CLAIM_NAMES = frozenset(_CLAIMS.values())

# Controls, bidi and zero width, line ends, and what has nothing to see.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# What a `*` may stand for: RFC 3986's pchar without percent-encoding, which could hide a slash.
_WILD = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+\Z")
# scheme://authority/path, the path without a query or a fragment behind it.
_URI = re.compile(
    r"(?P<fixed>[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+)/(?P<path>[^?#]*)(?P<rest>.*)\Z", re.DOTALL
)


@dataclass(frozen=True)
class Identity:
    """Somebody a certificate authority vouched for.

    `subject` is an e-mail address, a URI, or `name!domain`: no text is two of these.
    `claims` are sorted pairs of a name from CLAIM_NAMES and a value.
    """

    issuer: str
    subject: str
    claims: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_certificate(cls, der: bytes) -> Identity:
        """Read a leaf certificate, *before* anybody has checked it. Raises BadBundle."""
        if len(der) > MAX_CERTIFICATE:
            raise BadBundle(f"a certificate of more than {MAX_CERTIFICATE} bytes")
        from cryptography import x509  # lazily: most questions meet no certificate

        try:
            extensions = x509.load_der_x509_certificate(der).extensions
            names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
            values = {e.oid.dotted_string: e.value for e in extensions}
        except x509.ExtensionNotFound as error:
            raise BadBundle("the certificate names nobody (no subject alternative name)") from error
        except Exception as error:  # the library's errors have no common root
            raise BadBundle("not an X.509 certificate that can be read") from error
        raw = {
            oid: v.value for oid, v in values.items() if isinstance(v, x509.UnrecognizedExtension)
        }
        return cls(_issuer(raw), _subject(names), tuple(sorted(_claims(raw))))

    def __str__(self) -> str:
        return f"{self.subject} (by {self.issuer})"


def _subject(names: list[x509.GeneralName]) -> str:
    from cryptography import x509

    if len(names) != 1:
        raise BadBundle(f"the certificate names {len(names)} subjects, not one")
    name = names[0]
    if isinstance(name, x509.RFC822Name):
        good = "@" in name.value and not _SCHEME.match(name.value)
        return _checked(name.value, "e-mail address", good)
    if isinstance(name, x509.UniformResourceIdentifier):
        return _checked(name.value, "URI", _SCHEME.match(name.value) is not None)
    if isinstance(name, x509.OtherName) and name.type_id.dotted_string == _USERNAME:
        text = _der_text(name.value, "user name")
        return _checked(text, "user name", "!" in text and "@" not in text and ":" not in text)
    raise BadBundle("the certificate's subject is no e-mail address, URI or user name")


def _issuer(raw: dict[str, bytes]) -> str:
    v1, v2 = raw.get(_ISSUER_V1), raw.get(_ISSUER_V2)
    if v1 is None and v2 is None:
        raise BadBundle("the certificate does not say who issued the identity")
    texts = set()
    if v1 is not None:  # the bytes themselves
        texts.add(_checked(_utf8(v1, "issuer"), "issuer"))
    if v2 is not None:
        texts.add(_checked(_der_text(v2, "issuer"), "issuer"))
    if len(texts) != 1:
        raise BadBundle("the certificate names two issuers")
    return texts.pop()


def _claims(raw: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    for arc, name in _CLAIMS.items():
        value = raw.get(f"{_ARC}{arc}")
        if value is not None:
            yield name, _checked(_der_text(value, name), name)


def _der_text(data: bytes, what: str) -> str:
    """One DER UTF8String and nothing behind it, in its one spelling."""
    if len(data) < 2 or data[0] != 0x0C:
        raise BadBundle(f"the certificate's {what} is not a UTF8String")
    length, start = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        start += size
        encoded = data[2:start]
        length = int.from_bytes(encoded, "big")
        if not 1 <= size <= 4 or len(encoded) != size or encoded[0] == 0 or length < 0x80:
            raise BadBundle(f"the certificate's {what} has a length that is not DER")
    if len(data) != start + length:
        raise BadBundle(f"the certificate's {what} has bytes missing or to spare")
    return _utf8(data[start:], what)


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBundle(f"the certificate's {what} is not UTF-8") from error


def _checked(text: str, what: str, good: bool = True) -> str:
    if not good or not _presentable(text):
        raise BadBundle(f"the certificate's {what} is not one: {text!a:.80}")
    return text


def _presentable(text: str) -> bool:
    """Whether a person who reads the text sees all of it, in order."""
    shown = all(unicodedata.category(c) not in _HIDDEN for c in text)
    return bool(text) and len(text) <= MAX_TEXT and shown and text == text.strip()


@dataclass(frozen=True)
class IdentityPattern:
    """Whom a trust root believes: all three must hold.

    `issuer` and each of `claims` are compared exactly; claims that are not listed do
    not matter. `subject` is compared exactly too, but where it is a URI a whole segment
    of its path may be `*`, which stands for exactly one segment, never an empty one. An
    `@` is a character as any other: in `.../build.yml@refs/heads/*` the `*` is a branch.
    Raises BadTrustRoot.
    """

    issuer: str
    subject: str
    claims: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would not mean what it looks like."""
        for what, text in (("issuer", self.issuer), ("subject", self.subject), *self.claims):
            if not isinstance(text, str) or not _presentable(text):
                raise BadTrustRoot(f"an identity's {what} is not text that can be compared")
        if any("*" in text for text in (self.issuer, *(value for _, value in self.claims))):
            raise BadTrustRoot("issuers and claims have no wildcards")
        names = [name for name, _ in self.claims]
        unknown = sorted(set(names) - CLAIM_NAMES)
        if unknown:
            raise BadTrustRoot(f"no certificate has a claim {unknown[0]!r:.60}")
        if len(set(names)) != len(names):
            raise BadTrustRoot("a claim is listed twice")
        _check_wildcards(self.subject)

    def matches(self, identity: Identity) -> bool:
        """Whether the pattern covers the identity."""
        return self.mismatch(identity) is None

    def mismatch(self, identity: Identity) -> str | None:
        """Why the pattern does not cover the identity, or None where it does."""
        if identity.issuer != self.issuer:
            return f"its issuer is {identity.issuer!a:.200}, not {self.issuer!a:.200}"
        if not _subject_matches(self.subject, identity.subject):
            return f"its subject is {identity.subject!a:.200}, not {self.subject!a:.200}"
        held = dict(identity.claims)
        for name, value in self.claims:
            if held.get(name) != value:
                return f"its {name} is {held.get(name)!a:.200}, not {value!a:.200}"
        return None


def _check_wildcards(subject: str) -> None:
    if "*" not in subject:
        return
    uri = _URI.match(subject)
    if uri is None or "*" in uri["fixed"] or "*" in uri["rest"]:
        raise BadTrustRoot(f"* stands only in the path of a URI: {subject!a:.120}")
    if any("*" in segment and segment != "*" for segment in uri["path"].split("/")):
        raise BadTrustRoot(f"* stands only for a whole segment: {subject!a:.120}")


def _subject_matches(pattern: str, subject: str) -> bool:
    if "*" not in pattern:
        return pattern == subject
    wanted, found = _URI.match(pattern), _URI.match(subject)
    if wanted is None or found is None:
        return False
    if (wanted["fixed"], wanted["rest"]) != (found["fixed"], found["rest"]):
        return False
    asked, given = wanted["path"].split("/"), found["path"].split("/")
    return len(asked) == len(given) and all(
        a == g or (a == "*" and _is_segment(g)) for a, g in zip(asked, given, strict=True)
    )


def _is_segment(text: str) -> bool:
    """Whether `*` may stand for it: a name, and not a way to another place."""
    return _WILD.match(text) is not None and text not in {".", ".."}
