"""`https://cyclonedx.org/bom`: what a model is made of, as a CycloneDX 1.6 ML-BOM.

https://cyclonedx.org/docs/1.6/json/ and the ML-BOM guide of CycloneDX. The
artifact is `metadata.component` and holds its files; its inputs and the Python
packages of its environment are components beside it. See docs/formats/ml-bom.md.

Any BOM of CycloneDX 1.6 or 1.7 can be checked and compared. The library's own
reader drops what it does not model, so documents are judged as the JSON they are.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadJSON, BadStatement, Malformed
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import mlbom_parts as parts
from stemma_attestations.predicates.mlbom_card import build_parameters, model_card
from stemma_attestations.predicates.mlbom_parts import Input, Material, Package
from stemma_attestations.predicates.mlbom_schema import check
from stemma_attestations.relations import BUILDS, KINDS
from stemma_attestations.times import parse_time

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom

__all__ = ["TYPE", "Material", "Package", "build", "check", "hashes_agree", "licences"]

TYPE = "https://cyclonedx.org/bom"
_SERIALS = uuid.uuid5(uuid.NAMESPACE_URL, TYPE)
_MAIN = "artifact"  # stands for the main component; references of packages begin with "pkg:"


def build(
    *,
    name: NameVersion,
    kind: str,
    manifest: Manifest,
    inputs: Sequence[Material],
    parameters: Mapping[str, Any],
    packages: Sequence[Package],
    created: str,
    build: str | None = None,
    licence: str | None = None,
    description: str | None = None,
    tool_version: str,
) -> dict[str, Any]:
    """The BOM of one artifact, the same for the same arguments.

    `created` is RFC 3339; `build` a build type (train, merge ...); `licence` an
    SPDX id or expression, or any text; values of `parameters` are text or JSON.
    The serial number is derived from the content. Raises BadStatement for
    arguments that no valid BOM can hold.
    """
    if kind not in KINDS:
        raise BadStatement(f"unknown kind {kind!r:.40} (one of {', '.join(KINDS)})")
    if build is not None and build not in BUILDS:
        raise BadStatement(f"unknown build type {build!r:.40} (one of {', '.join(BUILDS)})")
    if not all(isinstance(key, str) for key in parameters):
        raise BadStatement("the name of a parameter is text")
    ref = f"artifact:{manifest.digest}"
    gathered = parts.gather(inputs, kind)
    try:
        document = _skeleton(name, ref, packages, created, tool_version)
        main = document["metadata"]["component"]
        main.update(_main(kind, manifest.digest, gathered, licence, description))
        if main["type"] == parts.MODEL:
            main["modelCard"] = model_card(gathered, parameters)
        document["components"] = [
            *map(parts.input_component, gathered),
            *document.get("components", ()),
        ]
        document["dependencies"] = _dependencies(ref, gathered, document)
        document["compositions"] = [{"aggregate": "complete", "assemblies": [ref]}]
        document["formulation"] = [_formula(ref, build, gathered, parameters)]
        document["serialNumber"] = _serial(document)
    except (BadJSON, Malformed) as error:
        raise BadStatement(f"BOM: {error}") from error
    # After the serial number, because the manifest's digest in it speaks for them already.
    main["components"] = parts.files(manifest, kind)
    check(document)
    return document


def _skeleton(
    name: NameVersion, ref: str, packages: Sequence[Package], created: str, tool_version: str
) -> dict[str, Any]:
    """What the CycloneDX library models: the document, the tool and the Python packages."""
    parse_time(created)
    document: dict[str, Any] = json.loads(_modelled(tuple(packages), tool_version))
    document["metadata"]["timestamp"] = created
    main = document["metadata"]["component"]
    main.update({"bom-ref": ref, "name": name.name, "version": name.version})
    for item in document["dependencies"]:
        if item["ref"] == _MAIN:
            item["ref"] = ref
    return document


@functools.lru_cache(maxsize=4)
def _modelled(packages: tuple[Package, ...], tool_version: str) -> str:
    """The same of some main component: the library takes its time, and packages stay the same."""
    # It takes 0.15 s to import: only who writes a BOM pays for it.
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    bom = Bom(serial_number=_SERIALS, version=1)
    bom.metadata.tools.components.add(
        Component(type=ComponentType.APPLICATION, name="stemma", version=tool_version)
    )
    bom.metadata.component = Component(name=_MAIN, version=_MAIN, bom_ref=_MAIN)
    _add_packages(bom, packages)
    return str(JsonV1Dot6(bom).output_as_string())


def _add_packages(bom: Bom, packages: Sequence[Package]) -> None:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    known: dict[str, Package] = {}
    for package in sorted(set(packages)):
        try:
            purl = PackageURL.from_string(package.purl)
        except ValueError as error:
            raise BadStatement(f"package {package.name!r:.80}: {error}") from error
        ref = purl.to_string()
        if ref in known:
            raise BadStatement(f"two packages are {ref!r:.80}")
        known[ref] = package
        component = Component(
            type=ComponentType.LIBRARY,
            name=package.name,
            version=package.version,
            purl=purl,
            bom_ref=ref,
        )
        bom.components.add(component)
    if known and bom.metadata.component is not None:
        bom.register_dependency(bom.metadata.component, list(bom.components))


def _main(
    kind: str,
    digest: Digest,
    inputs: Sequence[Input],
    licence: str | None,
    description: str | None,
) -> dict[str, Any]:
    """What the skeleton's main component lacks, its files and model card excepted."""
    main = {**parts.described(kind, [digest]), "properties": [parts.prop("kind", kind)]}
    if licence is not None and licence.strip():
        main["licenses"] = [_licence_choice(licence.strip())]
    if description:
        main["description"] = description
    ancestors = [parts.ancestor(item) for item in inputs if item.is_ancestor_of(kind)]
    if ancestors:
        main["pedigree"] = {"ancestors": ancestors}
    return main


def _licence_choice(licence: str) -> dict[str, Any]:
    from cyclonedx import spdx  # reads the list of licences when it is imported

    known = spdx.fixup_id(licence)
    if known is not None:
        return {"license": {"id": known}}
    if spdx.is_expression(licence):
        return {"expression": licence}
    return {"license": {"name": licence}}


def _dependencies(
    ref: str, inputs: Sequence[Input], document: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The skeleton's graph, and the main component's dependency on its inputs."""
    graph = {item["ref"]: dict(item) for item in document["dependencies"]}
    graph.update({item.ref: {"ref": item.ref} for item in inputs})
    needed = [*graph[ref].get("dependsOn", ()), *(i.ref for i in inputs if i.propagates)]
    if needed:
        graph[ref]["dependsOn"] = sorted(needed)
    return [graph[key] for key in sorted(graph)]


def _formula(
    ref: str, build: str | None, inputs: Sequence[Input], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """How it was made: one workflow with its inputs, its parameters and its output."""
    workflow: dict[str, Any] = {
        "bom-ref": "workflow",
        "uid": ref,
        # An import ran nothing; CycloneDX has no word for bringing bytes in.
        "taskTypes": ["other" if build == "import" else "build"],
        "outputs": [{"type": "artifact", "resource": {"ref": ref}}],
    }
    if build is not None:
        workflow["name"] = build
    given: list[dict[str, Any]] = [
        {
            "resource": {"ref": item.ref},
            "properties": [parts.prop("relation", relation) for relation in item.relations],
        }
        for item in inputs
    ]
    if parameters:
        given.append({"parameters": build_parameters(parameters)})
    if given:
        workflow["inputs"] = given
    return {"bom-ref": "formulation", "workflows": [workflow]}


def _serial(document: Mapping[str, Any]) -> str:
    """A serial number that only an equal BOM shares."""
    content = {key: value for key, value in document.items() if key != "serialNumber"}
    return f"urn:uuid:{uuid.uuid5(_SERIALS, str(Digest.of(canonical.dumps(content))))}"


def hashes_agree(document: Mapping[str, Any], manifest: Manifest) -> tuple[str, ...]:
    """Every way in which a BOM's hashes are not the manifest's, a line each; empty if none.

    The main component carries the artifact's digest; every file of the manifest is
    there once, as a component of type `file` with its SHA-256; and no component of
    that type, under the main component or beside it, is anything else.
    """
    main = _main_component(document)
    if main is None:
        return ("the BOM has no main component",)
    lines = list(_hash_lines("the artifact", main, manifest.digest))
    seen: set[str] = set()
    for component in _file_components(main.get("components"), document.get("components")):
        path = component.get("name")
        entry = manifest.by_path.get(path) if isinstance(path, str) else None
        if entry is None:
            lines.append(f"{path!r:.200}: in the BOM, not in the manifest")
            continue
        if entry.path in seen:
            lines.append(f"{entry.path}: twice in the BOM")
        seen.add(entry.path)
        lines.extend(_hash_lines(entry.path, component, entry.sha256))
    lines.extend(f"{e.path}: not in the BOM" for e in manifest.entries if e.path not in seen)
    return tuple(lines)


def _main_component(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    metadata = document.get("metadata")
    main = metadata.get("component") if isinstance(metadata, Mapping) else None
    return main if isinstance(main, Mapping) else None


def _file_components(*lists: object) -> Iterator[Mapping[str, Any]]:
    """The components of type `file` in these lists, nested ones too."""
    stack = list(reversed(lists))
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(reversed(value))
        elif isinstance(value, Mapping):
            if value.get("type") == "file":
                yield value
            stack.append(value.get("components"))


def _hash_lines(what: str, component: Mapping[str, Any], expected: Digest) -> Iterator[str]:
    hashes = component.get("hashes")
    listed = [h for h in hashes if isinstance(h, Mapping)] if isinstance(hashes, list) else []
    found = [h.get("content") for h in listed if h.get("alg") == "SHA-256"]
    if not found:
        yield f"{what}: no SHA-256 in the BOM"
    for value in found:
        if value != expected.value:
            yield f"{what}: sha256:{value!s:.12} in the BOM, {expected.short} in the manifest"


def licences(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The licences of the main component: SPDX ids, names or expressions, as they stand."""
    main = _main_component(document)
    choices = main.get("licenses") if main is not None else None
    found = []
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, Mapping):
            continue
        licence = choice.get("license")
        named = licence if isinstance(licence, Mapping) else {}
        text = choice.get("expression") or named.get("id") or named.get("name")
        if isinstance(text, str):
            found.append(text)
    return tuple(found)
