"""SLSA provenance v1 for machine-learning builds.

https://slsa.dev/spec/v1.1/provenance ; our build types are specified in
docs/formats/provenance.md. Any SLSA provenance can be parsed; what only our
build types carry (kind, relations) is then missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from stemma_attestations import canonical
from stemma_attestations.digest import NODES, Digest, parse_digest_set
from stemma_attestations.errors import BadDigest, BadStatement
from stemma_attestations.relations import BUILDS, KINDS, RELATIONS
from stemma_attestations.statement import ResourceDescriptor, text

TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPES: Mapping[str, str] = {build: f"urn:stemma:build:{build}:v0.1" for build in BUILDS}


class Input(NamedTuple):
    """One thing an output was made from: `name` is NAME:VERSION where it has one."""

    relation: str
    digest: Digest
    name: str | None = None


@dataclass(frozen=True)
class GitSource:
    """The Git state a build ran from.

    `dirty` says that tracked files differed from the commit; `diff` is then the
    SHA-256 of the difference. `remote` carries no credentials.
    """

    commit: str
    tree: str
    branch: str | None = None
    remote: str | None = None
    dirty: bool = False
    diff: Digest | None = None


@dataclass(frozen=True)
class Provenance:
    """A parsed view; `raw` is the predicate as it was read."""

    build_type: str
    kind: str | None
    materials: tuple[ResourceDescriptor, ...]
    source: GitSource | None
    builder: str
    started: str | None
    finished: str | None
    parameters: Mapping[str, Any]
    raw: Mapping[str, Any]

    @property
    def build(self) -> str | None:
        """`train`, `filter` ... where the build type is one of ours."""
        return next((b for b, uri in BUILD_TYPES.items() if uri == self.build_type), None)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Materials with a digest that can be a node, the Git commit among them."""
        found = []
        for material in self.materials:
            digest = material.first(*NODES)
            if digest is not None:
                found.append(Input(relation_of(material, digest), digest, material.name))
        return tuple(found)

    @property
    def commits(self) -> tuple[str, ...]:
        """Every Git commit among the materials, whatever its part was."""
        found = (material.digest("gitCommit") for material in self.materials)
        return tuple(dict.fromkeys(digest.value for digest in found if digest is not None))

    @cached_property
    def definition(self) -> Digest:
        """What was built, without when: equal for a repeated push, different for any other."""
        return Digest.of(canonical.dumps(self.raw["buildDefinition"]))


def build(
    *,
    build: str,
    kind: str,
    inputs: Sequence[Input],
    parameters: Mapping[str, str],
    source: GitSource | None,
    builder: str,
    started: str,
    finished: str,
) -> dict[str, Any]:
    """The predicate of one build. Times are RFC 3339. Raises BadStatement."""
    if build not in BUILD_TYPES:
        raise BadStatement(f"unknown build type {build!r:.40} (one of {', '.join(BUILDS)})")
    if kind not in KINDS:
        raise BadStatement(f"unknown kind {kind!r:.40} (one of {', '.join(KINDS)})")
    for item in inputs:
        check_input(item)
    dependencies = [_dependency(item) for item in sorted(set(inputs), key=_order)]
    if source is not None:
        dependencies.append(_source_dependency(source))
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPES[build],
            "externalParameters": {"kind": kind, "parameters": dict(parameters)},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": builder},
            "metadata": {"startedOn": started, "finishedOn": finished},
        },
    }


def check_input(item: Input) -> None:
    """Refuse an input that readers would not take for a node. Raises BadStatement."""
    if item.relation not in RELATIONS:
        raise BadStatement(f"unknown relation {item.relation!r:.40}")
    if item.digest.algorithm not in NODES:
        names = ", ".join(NODES)
        raise BadStatement(f"an input is named by one of {names}, not {item.digest.algorithm}")


def parse(predicate: Mapping[str, Any]) -> Provenance:
    """Read any SLSA provenance v1. Raises BadStatement."""
    definition = _object(predicate, "buildDefinition")
    build_type = text(definition, "buildType")
    if not build_type:
        raise BadStatement("provenance has a buildType")
    details = _object(predicate, "runDetails")
    builder = text(_object(details, "builder"), "id")
    if not builder:
        raise BadStatement("provenance names its builder")
    dependencies = definition.get("resolvedDependencies", [])
    if not isinstance(dependencies, list):
        raise BadStatement("resolvedDependencies is a list")
    materials = tuple(ResourceDescriptor.parse(item) for item in dependencies)
    external = _object(definition, "externalParameters")
    metadata = details.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise BadStatement("runDetails.metadata is an object")
    ours = build_type in BUILD_TYPES.values()
    parameters = external.get("parameters", {}) if ours else external
    if not isinstance(parameters, dict):
        raise BadStatement("externalParameters.parameters is an object")
    return Provenance(
        build_type=build_type,
        kind=text(external, "kind") if ours else None,
        materials=materials,
        source=_source(materials),
        builder=builder,
        started=text(metadata, "startedOn"),
        finished=text(metadata, "finishedOn"),
        parameters=parameters,
        raw=predicate,
    )


def _order(item: Input) -> tuple[str, str, str]:
    return (item.relation, str(item.digest), item.name or "")


def _dependency(item: Input) -> dict[str, Any]:
    return ResourceDescriptor(
        name=item.name, digests=(item.digest,), annotations={"relation": item.relation}
    ).to_json()


def _source_dependency(source: GitSource) -> dict[str, Any]:
    digest = {"gitCommit": source.commit, "gitTree": source.tree}
    annotations: dict[str, Any] = {"relation": "built-from", "dirty": source.dirty}
    if source.branch:
        annotations["branch"] = source.branch
    if source.diff:
        annotations["diff"] = {source.diff.algorithm: source.diff.value}
    dependency: dict[str, Any] = {"digest": digest, "annotations": annotations}
    if source.remote:
        dependency["uri"] = f"git+{source.remote}"
    return dependency


def _source(materials: Sequence[ResourceDescriptor]) -> GitSource | None:
    """The Git state among the materials: the one whose cleanness is said, if any is.

    Where several are, a dirty one speaks for all. A commit that is only an
    input (it has a relation and no state) is none.
    """
    commits = [m for m in materials if m.digest("gitCommit") is not None]
    said = [_git_source(m) for m in commits if "dirty" in m.annotations]
    if not said:
        said = [_git_source(m) for m in commits if "relation" not in m.annotations]
    return next((source for source in said if source.dirty), said[0] if said else None)


def _git_source(material: ResourceDescriptor) -> GitSource:
    commit, tree = material.digest("gitCommit"), material.digest("gitTree")
    notes = material.annotations
    try:
        diff = parse_digest_set(notes.get("diff", {}))
    except BadDigest as error:
        raise BadStatement(f"the digest of the uncommitted changes: {error}") from error
    return GitSource(
        commit=commit.value if commit else "",
        tree=tree.value if tree else "",
        branch=text(notes, "branch"),
        remote=material.uri.removeprefix("git+") if material.uri else None,
        dirty=notes.get("dirty") is not False,  # not said is not clean
        diff=diff[0] if diff else None,
    )


def relation_of(material: ResourceDescriptor, digest: Digest) -> str:
    """The relation that a material has, or most likely has where it is of another's builder."""
    relation = material.annotations.get("relation")
    if isinstance(relation, str) and relation in RELATIONS:
        return relation
    return "built-from" if digest.algorithm == "gitCommit" else "derived-from"


def _object(obj: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = obj.get(key)
    if not isinstance(value, dict):
        raise BadStatement(f"provenance has an object {key}")
    return value
