"""Which artifacts were made with a package (`pkg:pypi/torch@2.1.0`).

As their BOMs say, and as provenance and pedigrees do that name it by its package URL: for those
it is a thing of that name, from which edges lead on (see `stemma_attestations.named`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from stemma_attestations.digest import Digest
from stemma_attestations.packages import SCHEME, BadPackage, Package, Wanted, parse
from stemma_registry.catalogue import nodes, packages
from stemma_registry.catalogue.rows import Fact
from stemma_registry.errors import NotFound
from stemma_registry.lineage.trace import ORIGIN, Direction, Origin, TraceEdge
from stemma_registry.lineage.words import ordered, word_of
from stemma_registry.questions.signer_starts import worth
from stemma_registry.registry import Snapshot

__all__ = ["RELATION", "SCHEME", "origin", "things"]

RELATION = "packaged-with"
# Repositories of the Hub are kept under the name that is shorter.
_HUB, _HUB_PACKAGE = "hf:", "pkg:huggingface/"


def origin(view: Snapshot, text: str, direction: Direction) -> Origin:
    """The start of a trace from a package. Raises BadPackage, NotFound."""
    asked = Wanted.parse(text)
    known = packages.versions(view.connection, asked.name)
    wanted = {number: one for number, one in known.items() if asked.fits(one.version)}
    facts: dict[tuple[int, Package], dict[Digest, Fact]] = {}
    for one in packages.listing(view.connection, wanted):
        facts.setdefault((one.node_id, one.package), {})[one.fact.bundle] = one.fact
    called = things(view, asked)
    if not facts and not called:
        raise NotFound(f"no BOM lists {text}{_hint(asked.name, known)}")
    edges = []
    for (node, package), here in facts.items():
        words = [word_of(view, fact, worth(view, fact)) for fact in here.values()]
        ends = (ORIGIN, node) if direction is Direction.DOWN else (node, ORIGIN)
        edges.append(TraceEdge(*ends, RELATION, ordered(words), path=str(package)))
    for node, name in called:
        ends = (ORIGIN, node) if direction is Direction.DOWN else (node, ORIGIN)
        edges.append(TraceEdge(*ends, RELATION, path=name))
    return Origin(text, "package", tuple(edges))


def things(view: Snapshot, asked: Wanted) -> list[tuple[int, str]]:
    """What statements call by such a package URL, and know nothing else of."""
    kept, written = "", ""
    if asked.name.startswith(_HUB_PACKAGE):
        kept, written = _HUB, _HUB_PACKAGE
    found = []
    for node, text in nodes.called(view.connection, kept + asked.name.removeprefix(written)):
        with suppress(BadPackage):
            package = parse(written + text.removeprefix(kept))
            if package.name == asked.name and asked.fits(package.version):
                found.append((node, text))
    return found


def _hint(name: str, known: Mapping[int, Package]) -> str:
    if not known:
        return f"; none lists any version of {name}"
    versions = sorted({one.version for one in known.values()})
    return f"; there is {', '.join(versions[:5])}{', ...' if len(versions) > 5 else ''}"
