"""Which artifacts were made with a package, as their BOMs say (`pkg:pypi/torch@2.1.0`)."""

from __future__ import annotations

from collections.abc import Mapping

from stemma_attestations.digest import Digest
from stemma_attestations.packages import SCHEME, Package, Wanted
from stemma_registry.catalogue import packages
from stemma_registry.catalogue.rows import Fact
from stemma_registry.errors import NotFound
from stemma_registry.lineage.trace import ORIGIN, Direction, Origin, TraceEdge
from stemma_registry.lineage.words import ordered, word_of
from stemma_registry.questions.signer_starts import worth
from stemma_registry.registry import Snapshot

__all__ = ["RELATION", "SCHEME", "origin"]

RELATION = "packaged-with"


def origin(view: Snapshot, text: str, direction: Direction) -> Origin:
    """The start of a trace from a package. Raises BadPackage, NotFound."""
    asked = Wanted.parse(text)
    known = packages.versions(view.connection, asked.name)
    wanted = {number: one for number, one in known.items() if asked.fits(one.version)}
    facts: dict[tuple[int, Package], dict[Digest, Fact]] = {}
    for one in packages.listing(view.connection, wanted):
        facts.setdefault((one.node_id, one.package), {})[one.fact.bundle] = one.fact
    if not facts:
        raise NotFound(f"no BOM lists {text}{_hint(asked.name, known)}")
    edges = []
    for (node, package), here in facts.items():
        words = [word_of(view, fact, worth(view, fact)) for fact in here.values()]
        ends = (ORIGIN, node) if direction is Direction.DOWN else (node, ORIGIN)
        edges.append(TraceEdge(*ends, RELATION, ordered(words), path=str(package)))
    return Origin(text, "package", tuple(edges))


def _hint(name: str, known: Mapping[int, Package]) -> str:
    if not known:
        return f"; none lists any version of {name}"
    versions = sorted({one.version for one in known.values()})
    return f"; there is {', '.join(versions[:5])}{', ...' if len(versions) > 5 else ''}"
