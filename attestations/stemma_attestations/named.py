"""Things that are known by a name, and not by their bytes.

    hf:ORG/NAME@REVISION       a repository of the Hugging Face Hub; hf:datasets/ORG/NAME
    pkg:TYPE/NAME@VERSION      a package URL (https://github.com/package-url/purl-spec)
    oci:HOST/NAME:TAG          an image or artifact of an OCI registry
    SCHEME://...               anything else that has a URI
    path:SCOPE/PATH            a file of somebody's project
    name:SCOPE/NAME            a name in somebody's namespace

Whatever names bytes by their SHA-256 is those bytes, and no name: `oci:HOST/NAME@sha256:...`,
a package URL with a `checksum`. The key of any other is the SHA-256 of its text, so that it
has its place where digests have theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadName
from stemma_attestations.guarding import guarded

SCHEMES = ("hf", "purl", "oci", "uri", "path", "name")
MAX_TEXT = 2_048
_HF_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HF = re.compile(
    rf"(?P<kind>datasets/|spaces/)?(?P<id>{_HF_NAME}(?:/{_HF_NAME})?)"
    r"(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/+-]*))?\Z"
)
_HF_URL = re.compile(
    rf"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<id>(?:datasets/|spaces/)?{_HF_NAME}"
    rf"(?:/{_HF_NAME})?)(?:/(?:tree|blob|resolve)/(?P<revision>[A-Za-z0-9._-]+)(?:/.*)?)?/?\Z"
)
_OCI = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._:-]*(?:/[a-z0-9][a-z0-9._-]*)+|[a-z0-9][a-z0-9._-]*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SECRET = re.compile(
    r"^x-(?:amz|goog|ms)-|sig|token|secret|password|credential|accesskey|expires|^s[etpvr]$",
    re.IGNORECASE,
)
# The type of package URLs that name what `hf:` names.
_HF_PURL = "huggingface"


@dataclass(frozen=True, slots=True)
class Named(Digest):
    """A thing by its name: `algorithm` is a scheme, `value` the SHA-256 of the text, in hex."""

    text: str = ""

    def __post_init__(self) -> None:
        own = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()
        if self.algorithm not in SCHEMES or self.value != own:
            raise BadDigest(f"no name of a thing: {self.text!r:.80}")
        check_text(self.text)

    @classmethod
    def make(cls, scheme: str, text: str) -> Named:
        """A thing of which the whole text is known. Raises BadName."""
        check_text(text)
        return cls(scheme, hashlib.sha256(text.encode()).hexdigest(), text)

    def __str__(self) -> str:
        return self.text

    @property
    def short(self) -> str:
        """For people: the text, which is short enough for most."""
        return self.text if len(self.text) <= 100 else f"{self.text[:97]}..."

    # Nodes are put in order, whatever their keys are.
    def _key(self, other: Digest) -> tuple[tuple[str, str], tuple[str, str]]:
        return (self.algorithm, self.value), (other.algorithm, other.value)

    def __lt__(self, other: Digest) -> bool:
        mine, theirs = self._key(other)
        return mine < theirs

    def __le__(self, other: Digest) -> bool:
        mine, theirs = self._key(other)
        return mine <= theirs

    def __gt__(self, other: Digest) -> bool:
        mine, theirs = self._key(other)
        return mine > theirs

    def __ge__(self, other: Digest) -> bool:
        mine, theirs = self._key(other)
        return mine >= theirs

    @property
    def is_fixed(self) -> bool:
        """Whether the name cannot come to mean other bytes: a revision that is a commit."""
        return self.algorithm == "hf" and bool(_COMMIT.match(self.text.rpartition("@")[2]))


def is_name_only(thing: Digest) -> bool:
    """Whether nothing but a name is known, which may mean other bytes tomorrow."""
    return isinstance(thing, Named) and not thing.is_fixed


def check_text(text: str) -> str:
    """Refuse what no name is: control characters, none or too much. Raises BadName."""
    if not text or len(text) > MAX_TEXT:
        raise BadName(f"the name of a thing has 1 to {MAX_TEXT} characters")
    if not text.isprintable() or text != text.strip():
        raise BadName(f"the name of a thing is printable: {text!r:.80}")
    return text


def looks_named(text: str) -> bool:
    """Whether `text` has the form of the name of a thing; NAME:VERSION may have it too."""
    head, colon, _ = text.partition(":")
    return bool(colon) and (head in _READERS or "://" in text)


def parse(text: str) -> Digest:
    """The thing that a text names: its digest where the text holds it, else a Named.

    Raises BadName.
    """
    check_text(text)
    head, _, rest = text.partition(":")
    reader = _READERS.get(head)
    if reader is not None and not rest.startswith("//"):
        return reader(rest)
    return _uri(text)


def hugging_face(text: str, kind: str = "", revision: str | None = None) -> Digest:
    """A repository of the Hub by its id (`kind`: `datasets/`, `spaces/`). Raises BadName."""
    at = f"@{revision}" if revision and revision != "main" else ""
    return _hf(f"{'' if text.startswith(kind) else kind}{text}{at}")


def within(scheme: str, scope: str, name: str) -> Named:
    """A `path` or a `name` that means something in a scope only. Raises BadName."""
    return Named.make(scheme, f"{scheme}:{scope.strip().strip('/')}/{name.strip().lstrip('/')}")


def _hf(rest: str) -> Digest:
    match = _HF.match(rest)
    if match is None or rest in ("datasets", "spaces"):
        raise BadName(f"not hf:ORG/NAME@REVISION: {rest!r:.80}")
    revision = match["revision"]
    at = f"@{revision}" if revision and revision != "main" else ""
    return Named.make("hf", f"hf:{match['kind'] or ''}{match['id']}{at}")


def _purl(rest: str) -> Digest:
    return guarded(lambda: _package(f"pkg:{rest}"), BadName)


def _package(text: str) -> Digest:
    from packageurl import PackageURL

    try:
        package = PackageURL.from_string(text)
    except ValueError as error:
        raise BadName(f"not a package URL: {text!r:.80}") from error
    checksum = package.qualifiers.get("checksum", "") if package.qualifiers else ""
    sums = [one for one in str(checksum).split(",") if one.startswith("sha256:")]
    try:
        if sums and not package.subpath:
            return sha256(sums[0].removeprefix("sha256:"))
        if package.type == "oci" and str(package.version or "").startswith("sha256:"):
            return Digest.parse(str(package.version))
    except BadDigest as error:
        raise BadName(f"{text!r:.80}: {error}") from error
    if package.type == _HF_PURL:
        name = "/".join(part for part in (package.namespace, package.name) if part)
        return hugging_face(name, revision=package.version)
    return Named.make("purl", package.to_string())


def _oci(rest: str) -> Digest:
    match = _OCI.match(rest)
    if match is None:
        raise BadName(f"not oci:HOST/NAME:TAG or oci:HOST/NAME@sha256:HEX: {rest!r:.80}")
    if match["digest"]:
        return Digest.parse(match["digest"])
    return Named.make("oci", f"oci:{match['name']}:{match['tag'] or 'latest'}")


def _uri(text: str) -> Digest:
    match = _HF_URL.match(text)
    if match is not None:
        return hugging_face(match["id"], revision=match["revision"])
    if text.startswith("hf://"):
        return _hf(text.removeprefix("hf://").rstrip("/"))
    if not _URI.match(text):
        raise BadName(f"not a name that is known here: {text!r:.80}")
    scheme, _, rest = text.partition("://")
    place = _without_secrets(rest)
    if not place:
        raise BadName(f"a URL that names nothing: {text!r:.80}")
    return Named.make("uri", f"{scheme.lower()}://{place}")


def _without_secrets(rest: str) -> str:
    """Who may read it is no part of what it is, and is nobody's business."""
    place, mark, query = rest.partition("#")[0].partition("?")
    host, slash, path = place.partition("/")
    kept = [one for one in query.split("&") if one and not _SECRET.search(one.partition("=")[0])]
    return f"{host.rpartition('@')[2]}{slash}{path}{mark if kept else ''}{'&'.join(kept)}"


def _scoped(scheme: str) -> Callable[[str], Digest]:
    def read(rest: str) -> Digest:
        if "/" not in rest:
            raise BadName(f"not {scheme}:SCOPE/NAME: {rest!r:.80}")
        return Named.make(scheme, f"{scheme}:{rest}")

    return read


_READERS: Mapping[str, Callable[[str], Digest]] = {
    "hf": _hf,
    "pkg": _purl,
    "oci": _oci,
    "path": _scoped("path"),
    "name": _scoped("name"),
}
