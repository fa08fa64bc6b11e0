"""`https://spdx.dev/Document/v3`: SPDX 3 documents with the AI and Dataset profiles, read.

https://spdx.github.io/spdx-spec/v3.0.1/ , in the JSON form of its JSON-LD: `@graph` is a list
of elements, and a relationship is one of them. It is read as the JSON that it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadName, BadStatement
from stemma_attestations.named import parse, within

TYPE = "https://spdx.dev/Document/v3"
MAX_RELATIONS = 100_000
# relationshipType -> our relation, and whether `from` is the output.
_RELATIONS: Mapping[str, tuple[str, bool]] = {
    "trainedOn": ("trained-on", True),
    "testedOn": ("evaluated-on", True),
    "descendantOf": ("derived-from", True),
    "ancestorOf": ("derived-from", False),
    "generates": ("derived-from", False),
    "copiedTo": ("derived-from", False),
    "hasVariant": ("derived-from", False),
    "expandsTo": ("derived-from", False),
}
_BUILD = {"hasInput", "hasOutput"}


@dataclass(frozen=True)
class Related:
    """`output` came from `input`; `crossed` where a build had more than one output."""

    output: Digest
    relation: str
    input: Digest
    crossed: bool = False


def relations(document: Mapping[str, Any], subjects: Sequence[Digest]) -> list[Related]:
    """What the document says came from what. Raises BadStatement.

    An element that is the document's only root, and has no SHA-256 of its own, is the subject
    of the statement where that has one only.
    """
    graph = document.get("@graph")
    if not isinstance(graph, list):
        raise BadStatement("an SPDX 3 document has a @graph")
    elements = {
        str(one.get("spdxId") or one.get("@id")): one for one in graph if isinstance(one, dict)
    }
    reader = _Reader(elements, _root(elements), subjects[0] if len(subjects) == 1 else None)
    found: dict[Related, None] = {}
    builds: dict[str, tuple[list[str], list[str]]] = {}
    for source, kind, targets in _relationships(elements):
        if kind in _BUILD:
            builds.setdefault(source, ([], []))[kind == "hasOutput"].extend(targets)
            continue
        relation, forward = _RELATIONS.get(kind, ("", True))
        for target in targets if relation else ():
            ends = (source, target) if forward else (target, source)
            found.update(dict.fromkeys(reader.edge(ends, relation, False)))
        _check(found)
    for made_of, made in builds.values():
        _check(found, len(made_of) * len(made))
        for ends in ((output, item) for output in made for item in made_of):
            found.update(dict.fromkeys(reader.edge(ends, "derived-from", len(made) > 1)))
    return list(found)


def _check(found: Mapping[Related, None], more: int = 0) -> None:
    if len(found) + more > MAX_RELATIONS:
        raise BadStatement(f"an SPDX document with more than {MAX_RELATIONS} relationships")


def _relationships(
    elements: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, str, list[str]]]:
    for one in elements.values():
        kind, source, to = one.get("relationshipType"), one.get("from"), one.get("to")
        targets = to if isinstance(to, list) else [to]
        if isinstance(kind, str) and isinstance(source, str):
            yield source, kind.rpartition("/")[2], [t for t in targets if isinstance(t, str)]


def _root(elements: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The one element that the document is about, followed through its BOM."""
    roots: list[str] = []
    for kind in ("SpdxDocument", "Bom", "software_Sbom"):
        for one in elements.values():
            listed = one.get("rootElement")
            if one.get("type", one.get("@type")) == kind and isinstance(listed, list):
                roots = [root for root in listed if isinstance(root, str)]
        if len(roots) == 1 and "rootElement" not in elements.get(roots[0], {}):
            return roots[0]
    return None


@dataclass(frozen=True)
class _Reader:
    """Tells which thing an element is."""

    elements: Mapping[str, Mapping[str, Any]]
    root: str | None
    subject: Digest | None

    def edge(self, ends: tuple[str, str], relation: str, crossed: bool) -> list[Related]:
        output, item = (self.thing(end) for end in ends)
        if output is None or item is None or output == item:
            return []
        return [Related(output, relation, item, crossed)]

    def thing(self, spdx_id: str) -> Digest | None:
        element = self.elements.get(spdx_id, {})
        for one in self._inline(element.get("verifiedUsing")):
            if one.get("algorithm") == "sha256":
                try:
                    return sha256(str(one.get("hashValue")))
                except BadDigest as error:
                    raise BadStatement(f"an SPDX element: {error}") from error
        if spdx_id == self.root and self.subject is not None:
            return self.subject
        for text in self._addresses(element, spdx_id):
            try:
                return parse(text)
            except BadName:
                continue
        name = element.get("name")
        try:
            return within("name", "-", name) if isinstance(name, str) else None
        except BadName:
            return None

    def _addresses(self, element: Mapping[str, Any], spdx_id: str) -> Iterator[str]:
        values = [element.get("software_packageUrl")]
        others = self._inline(element.get("externalIdentifier"))
        values += [
            one.get("identifier")
            for one in others
            if one.get("externalIdentifierType") == "packageUrl"
        ]
        values += [element.get("software_downloadLocation"), spdx_id]
        yield from (value for value in values if isinstance(value, str))

    def _inline(self, value: object) -> Iterator[Mapping[str, Any]]:
        """Objects that stand in place, or are referred to by their id."""
        for one in value if isinstance(value, list) else ():
            found = self.elements.get(one) if isinstance(one, str) else one
            if isinstance(found, dict):
                yield found
