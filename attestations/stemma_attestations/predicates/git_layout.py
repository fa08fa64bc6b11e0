"""`urn:stemma:git-layout:v0.1`: which files of an artifact are LFS pointers where it is committed.

See docs/formats/git-layout.md. It says how a tree is computed, never which: whoever reads it
computes the tree from the manifest's digests, so that a wrong layout has another tree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.errors import BadStatement

TYPE = "urn:stemma:git-layout:v0.1"
MAX_PATHS = 10_000
MAX_BYTES = 1024 * 1024  # of all paths together


@dataclass(frozen=True)
class Layout:
    """`listed` are the only pointers, or (not `pointers`) the only files that are none.

    `executable` are those of mode 100755.
    """

    listed: frozenset[str]
    pointers: bool = True
    executable: frozenset[str] = frozenset()

    def is_pointer(self, path: str) -> bool:
        """Whether a file is a pointer."""
        return (path in self.listed) is self.pointers

    @property
    def fits(self) -> bool:
        """Whether a statement has room for it."""
        paths = [*self.listed, *self.executable]
        return len(paths) <= MAX_PATHS and sum(len(p.encode()) for p in paths) <= MAX_BYTES


def of(
    pointers: Collection[str], plain: Collection[str], executable: Collection[str] = ()
) -> Layout | None:
    """The layout that lists the fewer of two; None where it goes without saying.

    A file of no bytes is neither. That all are pointers, or none, everybody tries.
    """
    if not executable and (not pointers or not plain):
        return None
    few = len(pointers) <= len(plain)
    return Layout(frozenset(pointers if few else plain), few, frozenset(executable))


def build(layout: Layout) -> dict[str, Any]:
    """The predicate, the same for the same layout. Raises BadStatement."""
    if not layout.fits:
        raise BadStatement(f"a layout lists at most {MAX_PATHS} paths, of {MAX_BYTES} bytes")
    document: dict[str, Any] = {"pointers" if layout.pointers else "plain": sorted(layout.listed)}
    if layout.executable:
        document["executable"] = sorted(layout.executable)
    return document


def parse(predicate: Mapping[str, Any]) -> Layout:
    """Read the predicate. Raises BadStatement."""
    kinds = [kind for kind in ("pointers", "plain") if kind in predicate]
    if len(kinds) != 1:
        raise BadStatement("a layout lists `pointers` or `plain`")
    listed, executable = predicate[kinds[0]], predicate.get("executable", [])
    layout = Layout(_paths(listed), kinds[0] == "pointers", _paths(executable))
    if not layout.fits:
        raise BadStatement(f"a layout lists at most {MAX_PATHS} paths, of {MAX_BYTES} bytes")
    return layout


def _paths(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not _are_texts(value):
        raise BadStatement("paths of a layout are a list of texts")
    return frozenset(value)


def _are_texts(items: Iterable[object]) -> bool:
    return all(isinstance(item, str) for item in items)
