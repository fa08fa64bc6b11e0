"""Whether a document is CycloneDX: its official schema, and what no schema can say.

The schemas are those that `cyclonedx-python-lib` ships (package data, read once).
A schema does not see that a reference leads nowhere, nor that two parts share a
`bom-ref`. Where references stand is read out of the schema itself, so that no
place is forgotten and a newer schema brings its own.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from stemma_attestations import json_strict
from stemma_attestations.errors import BadStatement

if TYPE_CHECKING:
    import jsonschema_rs

VERSIONS = ("1.6", "1.7")
_BASE = "http://cyclonedx.org/schema/"
_PARTS = ("spdx", "jsf-0.82", "cryptography-defs")
_LOCAL = "#/definitions/"
# Definitions of the schema: text of the first two names a bom-ref of the document,
# or is a BOM-Link; text of the others may be a BOM-Link, or any address.
_REFERENCES = frozenset({"refType", "refLinkType"})
_LINKS = frozenset({"bomLink", "bomLinkDocumentType", "bomLinkElementType"})
# https://cyclonedx.org/capabilities/bomlink/
_BOM_LINK = re.compile(r"urn:cdx:([0-9a-f-]{36})/([1-9][0-9]*)(?:#(.+))?\Z", re.DOTALL)
_QUOTED = 200  # characters of a foreign complaint that are repeated


def check(document: Mapping[str, Any]) -> None:
    """Refuse what is not a CycloneDX 1.6 or 1.7 document, whole in itself.

    Raises BadStatement for another version, a violation of the official schema,
    a reference (or a BOM-Link into this document) that leads nowhere, two parts
    with one `bom-ref`, and nesting that the strict JSON parser would refuse.
    """
    version = document.get("specVersion")
    if not isinstance(version, str) or version not in VERSIONS:
        raise BadStatement(f"a BOM of CycloneDX {' or '.join(VERSIONS)}, not {version!r:.20}")
    _check_depth(document)
    validator = _validator(version)
    try:
        validator.validate(dict(document))
    except ValueError as error:  # its ValidationError, and values that are no JSON
        raise BadStatement(_complaint(error)) from error
    _check_references(document, _positions(version))


def _check_depth(document: Mapping[str, Any]) -> None:
    """The validator recurses, and a document that is deep enough ends the process."""
    level: list[Any] = [document]
    for _ in range(json_strict.MAX_DEPTH):
        below = (v.values() if isinstance(v, Mapping) else v for v in level)
        level = [item for items in below for item in items if isinstance(item, Mapping | list)]
        if not level:
            return
    raise BadStatement(f"a BOM that is nested deeper than {json_strict.MAX_DEPTH}")


def _complaint(error: ValueError) -> str:
    where = "/".join(str(part) for part in getattr(error, "instance_path", ()))
    message = getattr(error, "message", None) or str(error)
    return f"BOM: {where or 'document'}: {message:.{_QUOTED}}"


@functools.cache
def _schema(name: str) -> dict[str, Any]:
    folder = importlib.resources.files("cyclonedx.schema") / "_res"
    schema: dict[str, Any] = json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_bytes())
    return schema


@functools.cache
def _validator(version: str) -> jsonschema_rs.Validator:
    import jsonschema_rs  # 25 ms, and only a BOM needs it

    # The names that the schemas use for each other; any other would be looked up by HTTP.
    parts = [(f"{_BASE}{part}.SNAPSHOT.schema.json", _schema(part)) for part in _PARTS]
    return jsonschema_rs.Draft7Validator(
        _schema(f"bom-{version}"),
        registry=jsonschema_rs.Registry(parts),
        retriever=_no_network,
        validate_formats=True,
    )


def _no_network(uri: str) -> NoReturn:
    raise LookupError(f"{uri} is not among the schemas at hand")


@dataclass
class _Place:
    """One kind of place in a document: all schema nodes that apply there.

    `refers`: text here names a `bom-ref`; `links`: it may be a BOM-Link.
    `fields` and `items` are the places below, found when they are first met.
    """

    nodes: tuple[Mapping[str, Any], ...]
    refers: bool
    links: bool
    fields: dict[str, _Place] = field(default_factory=dict)
    items: _Place | None = None


class _Positions:
    """Where the schema lets references stand."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: Mapping[str, Any] = schema["definitions"]
        self._places: dict[frozenset[int], _Place] = {}
        self.root = self._place([schema])

    def field(self, place: _Place, key: str) -> _Place:
        """The place of a field's value."""
        found = place.fields.get(key)
        if found is None:
            below = [n["properties"][key] for n in place.nodes if key in n.get("properties", {})]
            found = place.fields[key] = self._place(below)
        return found

    def items(self, place: _Place) -> _Place:
        """The place of a list's items."""
        if place.items is None:
            below = [n["items"] for n in place.nodes if "items" in n]
            alternatives = [
                i for node in below for i in (node if isinstance(node, list) else [node])
            ]
            place.items = self._place(alternatives)
        return place.items

    def _place(self, nodes: Iterable[Mapping[str, Any]]) -> _Place:
        """One place for all of `nodes`, with what they point at and their alternatives."""
        found: dict[int, Mapping[str, Any]] = {}
        names: set[str] = set()
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if id(node) in found:
                continue
            found[id(node)] = node
            target = node.get("$ref", "")
            if target.startswith(_LOCAL):
                names.add(target.removeprefix(_LOCAL))
                stack.append(self._definitions[target.removeprefix(_LOCAL)])
            for word in ("anyOf", "oneOf", "allOf"):
                stack.extend(node.get(word, ()))
        key = frozenset(found)
        if key not in self._places:
            self._places[key] = _Place(
                nodes=tuple(found.values()),
                refers=not names.isdisjoint(_REFERENCES),
                links=not names.isdisjoint(_LINKS),
            )
        return self._places[key]


@functools.cache
def _positions(version: str) -> _Positions:
    schema = dict(_schema(f"bom-{version}"))
    definitions = schema["definitions"] = dict(schema["definitions"])
    # The schema calls these two lists bom-refs in words only.
    compositions = definitions["compositions"] = dict(definitions["compositions"])
    references = {"items": {"$ref": f"{_LOCAL}refLinkType"}}
    compositions["properties"] = {
        **compositions["properties"],
        "dependencies": references,
        "vulnerabilities": references,
    }
    return _Positions(schema)


def _check_references(document: Mapping[str, Any], positions: _Positions) -> None:
    declared, used = _collect(document, positions)
    twice = [ref for ref, count in Counter(declared).items() if count > 1]
    if twice:
        raise BadStatement(f"BOM: bom-ref {twice[0]!r:.80} is there twice")
    known = frozenset(declared)
    own = (str(document.get("serialNumber", "")).removeprefix("urn:uuid:"), _version(document))
    for where, ref, must in used:
        if ref not in known and _dangles(ref, must, known, own):
            raise BadStatement(f"BOM: {where} names {ref!r:.80}, which is not in the document")


def _version(document: Mapping[str, Any]) -> str:
    return str(document.get("version", 1))


def _dangles(ref: str, must: bool, known: frozenset[str], own: tuple[str, str]) -> bool:
    """Whether `ref`, which is no `bom-ref` of the document as it stands, leads nowhere."""
    link = _BOM_LINK.match(ref)
    if link is None:
        return must
    serial, version, element = link.groups()
    inside = (serial, version) == own
    return inside and element is not None and not {element, unquote(element)} & known


def _collect(
    document: Mapping[str, Any], positions: _Positions
) -> tuple[list[str], list[tuple[str, str, bool]]]:
    """The bom-refs that are declared; and (where, text, must resolve) of each reference."""
    declared: list[str] = []
    used: list[tuple[str, str, bool]] = []
    stack: list[tuple[Any, _Place, str]] = [(document, positions.root, "document")]
    while stack:
        value, place, where = stack.pop()
        if isinstance(value, str):
            if place.refers or place.links:
                used.append((where, value, place.refers))
        elif isinstance(value, list):
            below = positions.items(place)
            stack.extend((item, below, where) for item in value)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                if key == "bom-ref" and isinstance(item, str):
                    declared.append(item)
                else:
                    stack.append((item, positions.field(place, key), key))
    return declared, used
