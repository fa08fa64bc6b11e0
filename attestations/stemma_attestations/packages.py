"""Packages, as package URLs name them, and which versions are meant.

pkg:pypi/torch          any version
pkg:pypi/torch@2.1.0    this one; of PyPI also 2.1.0+cu118, which is built from it
pkg:pypi/torch@>=2.0,<2.3   a range (PEP 440), of PyPI only

A version that cannot be read may be any, so it is meant by each range of PyPI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

SCHEME = "pkg:"
_PYPI = "pkg:pypi/"
_RANGE = re.compile(r"[<>=!~]")
_RUNS = re.compile(r"[-_.]+")


class BadPackage(Malformed):
    """Not a package URL (https://github.com/package-url/purl-spec)."""


@dataclass(frozen=True, order=True)
class Package:
    """One version of a package. `name` is a package URL without version: `pkg:pypi/torch`."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name

    @property
    def key(self) -> str:
        """The SHA-256 of the name, hex."""
        return key_of(self.name)


@dataclass(frozen=True)
class Wanted:
    """Some versions of a package: `versions` is a version or a range; empty: any."""

    name: str
    versions: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.versions}" if self.versions else self.name

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """As people write it. Raises BadPackage."""
        place = text.rfind("@")
        # A name may begin with @ (npm), and then it is none of a version.
        if place <= text.rfind("/") + 1:
            return cls(parse(text).name)
        name, asked = text[:place], text[place + 1 :]
        if _RANGE.match(asked):
            return cls.of(parse(name).name, asked)
        parsed = parse(text)
        return cls.of(parsed.name, parsed.version)

    @classmethod
    def of(cls, name: str, versions: str) -> Wanted:
        """As it is kept: the name in its one form. Raises BadPackage."""
        if parse(name) != Package(name, ""):
            raise BadPackage(f"{name!r:.80} is not how {parse(name).name:.80} is written")
        found = cls(name, versions)
        if _RANGE.match(versions):
            if not name.startswith(_PYPI):
                raise BadPackage(f"ranges are understood for {_PYPI}...: write a version of {name}")
            found._range()
        return found

    def fits(self, version: str) -> bool:
        """Whether that version is meant."""
        if not self.versions or version == self.versions:
            return True
        if not self.name.startswith(_PYPI):
            return False
        from packaging.version import InvalidVersion, Version  # lazily: few commands need it

        meant = self._range()
        if meant is None:
            return False
        try:
            return meant.contains(Version(version), prereleases=True)
        except InvalidVersion:
            return True

    def _range(self) -> SpecifierSet | None:
        """The versions as a range; None for one that PEP 440 does not know. Raises BadPackage."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        is_range = _RANGE.match(self.versions)
        try:
            return SpecifierSet(self.versions if is_range else f"=={self.versions}")
        except InvalidSpecifier as error:
            if is_range:
                told = f"{self.versions!r:.60} is not a range of versions (>=2.0,<2.3)"
                raise BadPackage(told) from error
            return None


def key_of(name: str) -> str:
    """How a package is found by its name."""
    return Digest.of(name.encode()).value


def parse(text: str) -> Package:
    """A package URL, without its qualifiers. Raises BadPackage."""
    from packageurl import PackageURL  # lazily: few commands need it

    try:
        purl = PackageURL.from_string(text)
        name, version = purl.name, purl.version or ""
        if purl.type == "pypi":
            name = _RUNS.sub("-", name).lower()  # PEP 503: one thing is one name
        plain = PackageURL(type=purl.type, namespace=purl.namespace, name=name)
        # NUL may be written as %00, and no database takes it.
        return Package(plain.to_string(), version.replace("\0", "\N{REPLACEMENT CHARACTER}"))
    except ValueError as error:
        raise BadPackage(f"{text!r:.80} is not a package URL (pkg:pypi/torch@2.1.0)") from error
