"""What a CycloneDX ML-BOM says that its main component came from: datasets and ancestors.

https://cyclonedx.org/docs/1.6/json/ : `modelCard.modelParameters.datasets` and
`pedigree.ancestors`. What lies beside the main component (packages, files) is what it is
made of or runs with, and no ancestor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadName, BadStatement
from stemma_attestations.named import parse, within
from stemma_attestations.predicates.provenance import Input
from stemma_attestations.relations import RELATIONS

TYPE = "https://cyclonedx.org/bom"
MAX_INPUTS = 100_000
_OURS = "stemma:kind"


def inputs(document: Mapping[str, Any]) -> list[Input]:
    """The inputs of the main component. Raises BadStatement for what is no BOM.

    A BOM of ours has none: `stemma push` signs a lineage statement with it, which is exact.
    """
    if document.get("bomFormat") != "CycloneDX":
        raise BadStatement("a BOM has bomFormat CycloneDX")
    main = _object(_object(document, "metadata"), "component")
    if any(name == _OURS for name, _ in _properties(main)):
        return []
    known = {
        one["bom-ref"]: one for one in _components(document) if isinstance(one.get("bom-ref"), str)
    }
    found: dict[Input, None] = {}
    card = _object(_object(main, "modelCard"), "modelParameters")
    for item in _list(card, "datasets"):
        data = known.get(str(item.get("ref")), {}) if "ref" in item else item
        _add(found, data, "trained-on")
    for item in _list(_object(main, "pedigree"), "ancestors"):
        _add(found, item, "derived-from")
    return list(found)


def _add(found: dict[Input, None], item: Mapping[str, Any], relation: str) -> None:
    said = [v for n, v in _properties(item) if n == "stemma:relation" and v in RELATIONS]
    thing = _thing(item)
    if thing is not None:
        for one in said or [relation]:
            found.setdefault(Input(one, thing))
    if len(found) > MAX_INPUTS:
        raise BadStatement(f"a BOM with more than {MAX_INPUTS} inputs")


def _thing(item: Mapping[str, Any]) -> Digest | None:
    """A component or data by its SHA-256, its package URL, its address, or its name."""
    for one in _list(item, "hashes"):
        if one.get("alg") == "SHA-256":
            try:
                return sha256(str(one.get("content")))
            except BadDigest as error:
                raise BadStatement(f"a component of the BOM: {error}") from error
    for text in _addresses(item):
        try:
            return parse(text)
        except BadName:
            continue
    name, group = item.get("name"), item.get("group") or item.get("publisher")
    if not isinstance(name, str):
        return None
    version = f"@{item['version']}" if isinstance(item.get("version"), str) else ""
    scope = group if isinstance(group, str) else "-"
    try:
        return within("name", scope, f"{name}{version}")
    except BadName:
        return None


def _addresses(item: Mapping[str, Any]) -> Iterator[str]:
    """What may name it for everybody, best first."""
    contents = _object(item, "contents")
    values = [item.get("purl"), contents.get("url")]
    for kind in ("distribution", "source-distribution", "vcs", "website"):
        values += [
            one.get("url") for one in _list(item, "externalReferences") if one.get("type") == kind
        ]
    yield from (value for value in values if isinstance(value, str))


def _components(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    stack = list(_list(document, "components"))
    stack += list(_list(_object(_object(document, "metadata"), "component"), "components"))
    while stack:
        item = stack.pop()
        yield item
        stack.extend(_list(item, "components"))


def _properties(item: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(str(one.get("name")), one.get("value")) for one in _list(item, "properties")]


def _object(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def _list(item: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = item.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
