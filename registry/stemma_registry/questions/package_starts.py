"""Which artifacts were made with a package, as their BOMs say.

pkg:pypi/torch          any version
pkg:pypi/torch@2.1.0    this one; of PyPI also 2.1.0+cu118, which is built from it
pkg:pypi/torch@>=2.0,<2.3   a range (PEP 440), of PyPI only
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stemma_attestations.digest import Digest
from stemma_registry.catalogue import packages
from stemma_registry.catalogue.packages import BadPackage, Package
from stemma_registry.catalogue.rows import Fact
from stemma_registry.errors import NotFound
from stemma_registry.lineage.trace import ORIGIN, Direction, Origin, TraceEdge, ordered, word_of
from stemma_registry.questions.signer_starts import worth
from stemma_registry.registry import Snapshot

SCHEME = "pkg:"
RELATION = "packaged-with"
_RANGE = re.compile(r"[<>=!~]")
_PYPI = "pkg:pypi/"


def origin(view: Snapshot, text: str, direction: Direction) -> Origin:
    """The start of a trace from a package. Raises BadPackage, NotFound."""
    name, asked = _split(text)
    known = packages.versions(view.connection, name)
    wanted = _matching(name, asked, known)
    facts: dict[tuple[int, Package], dict[Digest, Fact]] = {}
    for one in packages.listing(view.connection, wanted):
        facts.setdefault((one.node_id, one.package), {})[one.fact.bundle] = one.fact
    if not facts:
        raise NotFound(f"no BOM lists {text}{_hint(name, known)}")
    edges = []
    for (node, package), here in facts.items():
        words = [word_of(view, fact, worth(view, fact)) for fact in here.values()]
        ends = (ORIGIN, node) if direction is Direction.DOWN else (node, ORIGIN)
        edges.append(TraceEdge(*ends, RELATION, ordered(words), path=str(package)))
    return Origin(text, "package", tuple(edges))


def _split(text: str) -> tuple[str, str]:
    """The name of a package as the catalogue has it, and the version or range behind it."""
    place = text.rfind("@")
    # A name may begin with @ (npm), and then it is none of a version.
    if place <= text.rfind("/") + 1:
        return packages.parse(text).name, ""
    name, asked = text[:place], text[place + 1 :]
    if _RANGE.match(asked):
        return packages.parse(name).name, asked
    parsed = packages.parse(text)
    return parsed.name, parsed.version


def _matching(name: str, asked: str, known: Mapping[int, Package]) -> dict[int, Package]:
    if not asked:
        return dict(known)
    if not name.startswith(_PYPI):
        if _RANGE.match(asked):
            raise BadPackage(f"ranges are understood for {_PYPI}...: write a version of {name}")
        return {i: one for i, one in known.items() if one.version == asked}
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    exact = {i: one for i, one in known.items() if one.version == asked}
    try:
        fits = SpecifierSet(asked if _RANGE.match(asked) else f"=={asked}", prereleases=True)
    except InvalidSpecifier as error:
        if _RANGE.match(asked):
            raise BadPackage(f"{asked!r:.60} is not a range of versions (>=2.0,<2.3)") from error
        return exact
    return exact | {i: one for i, one in known.items() if _fits(fits, one.version)}


def _fits(fits: object, version: str) -> bool:
    """Whether a version is in a range. One that is none may be any: it is."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    assert isinstance(fits, SpecifierSet)  # noqa: S101 - for the type checker
    try:
        return fits.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _hint(name: str, known: Mapping[int, Package]) -> str:
    if not known:
        return f"; none lists any version of {name}"
    versions = sorted({one.version for one in known.values()})
    return f"; there is {', '.join(versions[:5])}{', ...' if len(versions) > 5 else ''}"
