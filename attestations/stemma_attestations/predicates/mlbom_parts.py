"""The components of an ML-BOM: files, inputs and packages, in the words of CycloneDX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import LENGTHS, Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import subject_name
from stemma_attestations.relations import KINDS, RELATIONS, propagates

MODEL = "machine-learning-model"
# Kind -> component type. An artifact is a directory, so it is never a `file`.
COMPONENT_TYPES: Mapping[str, str] = {
    "model": MODEL,
    "adapter": MODEL,
    "dataset": "data",
    "evaluation": "data",
    "prompt": "data",
    "config": "data",
    "tokenizer": "library",
    "code": "library",
}
# What CycloneDX calls the data, for the kinds that are `data`.
DATA_TYPES: Mapping[str, str] = {
    "dataset": "dataset",
    "evaluation": "dataset",
    "prompt": "definition",
    "config": "configuration",
}
HASHES: Mapping[str, str] = {
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
    "sha1": "SHA-1",
    "md5": "MD5",
}
# What an input most likely is, by its relation, where nobody said. Of the other
# relations (merged, derived, converted) an input is what its output is.
_IMPLIED: Mapping[str, str] = {
    "trained-on": "dataset",
    "evaluated-on": "dataset",
    "filtered-from": "dataset",
    "sampled-from": "dataset",
    "fine-tuned-from": "model",
    "adapter-of": "model",
    "quantized-from": "model",
    "distilled-from": "model",
    "synthesized-by": "model",
    "tokenized-by": "tokenizer",
    "built-from": "code",
}
# Relations by which a component derives from one of its own type: its pedigree.
_DESCENT = frozenset(RELATIONS) - {
    "trained-on",
    "evaluated-on",
    "synthesized-by",
    "tokenized-by",
    "built-from",
}


@dataclass(frozen=True, order=True)
class Package:
    """A Python package of the environment; `purl` as in pkg:pypi/torch@2.9.0."""

    name: str
    version: str
    purl: str


@dataclass(frozen=True)
class Material:
    """Something the artifact was made from.

    `name` is NAME:VERSION where it has one, `kind` the kind it was pushed as,
    where that is known; `digests` are all of the same bytes (or one commit).
    """

    relation: str
    name: str | None
    digests: tuple[Digest, ...]
    kind: str | None


@dataclass(frozen=True)
class Input:
    """The materials that are one thing, met under one or more relations.

    `ref` is its bom-ref; `stated` whether its kind was said, not implied.
    """

    ref: str
    name: str | None
    digests: tuple[Digest, ...]
    relations: tuple[str, ...]
    kind: str
    stated: bool

    @property
    def is_data(self) -> bool:
        """Whether a model card names it among its datasets."""
        return DATA_TYPES.get(self.kind) == "dataset"

    @property
    def propagates(self) -> bool:
        """Whether the output depends on it; it does not on what it was only evaluated on."""
        return any(propagates(relation) for relation in self.relations)

    def is_ancestor_of(self, kind: str) -> bool:
        """Whether it belongs to the pedigree of an output of that kind."""
        alike = COMPONENT_TYPES[self.kind] == COMPONENT_TYPES[kind]
        return alike and not _DESCENT.isdisjoint(self.relations)


def gather(materials: Iterable[Material], kind: str) -> list[Input]:
    """The inputs of an output of `kind`: one for each name and digest, sorted.

    Raises BadStatement for a material without a digest, or of an unknown relation.
    """
    groups: dict[str, list[Material]] = {}
    for item in materials:
        if item.relation not in RELATIONS:
            raise BadStatement(f"unknown relation {item.relation!r:.40}")
        if not item.digests:
            raise BadStatement(f"the input {item.name or item.relation!r:.80} has no digest")
        groups.setdefault(_input_ref(item), []).append(item)
    return [_input(ref, groups[ref], kind) for ref in sorted(groups)]


def _input_ref(item: Material) -> str:
    known = list(LENGTHS)
    first = min(item.digests, key=lambda d: (known.index(d.algorithm), d.value))
    return f"input:{item.name}@{first}" if item.name else f"input:{first}"


def _input(ref: str, group: Sequence[Material], kind: str) -> Input:
    relations = tuple(sorted({item.relation for item in group}))
    stated = sorted({item.kind for item in group if item.kind in KINDS})
    return Input(
        ref=ref,
        name=group[0].name or None,
        digests=tuple(sorted({digest for item in group for digest in item.digests})),
        relations=relations,
        kind=stated[0] if stated else _IMPLIED.get(relations[0], kind),
        stated=bool(stated),
    )


def prop(name: str, value: str) -> dict[str, str]:
    """One CycloneDX property; ours are in the namespace `stemma:`."""
    return {"name": f"stemma:{name}", "value": value}


def described(kind: str, digests: Iterable[Digest]) -> dict[str, Any]:
    """Type, hashes and data type of an artifact of that kind."""
    found: dict[str, Any] = {"type": COMPONENT_TYPES[kind]}
    hashes = [
        {"alg": HASHES[d.algorithm], "content": d.value} for d in digests if d.algorithm in HASHES
    ]
    if hashes:
        found["hashes"] = hashes
    if kind in DATA_TYPES:
        found["data"] = [{"type": DATA_TYPES[kind]}]
    return found


def input_component(item: Input) -> dict[str, Any]:
    """An input, to stand beside the main component."""
    properties = [prop("relation", relation) for relation in item.relations]
    if item.stated:
        properties.append(prop("kind", item.kind))
    # CycloneDX has no word for a Git commit.
    properties.extend(prop("digest", str(d)) for d in item.digests if d.algorithm not in HASHES)
    return {"bom-ref": item.ref, **_named(item), "properties": properties}


def ancestor(item: Input) -> dict[str, Any]:
    """An input in a pedigree: the same component, without a second bom-ref."""
    return {**_named(item), "properties": [prop("relation", r) for r in item.relations]}


def _named(item: Input) -> dict[str, Any]:
    name = subject_name(item.name)
    named = {"name": item.name or item.digests[0].short}
    if name is not None:
        named = {"name": name.name, "version": name.version}
    return {**described(item.kind, item.digests), **named}


def files(manifest: Manifest, kind: str) -> list[dict[str, Any]]:
    """The manifest's files as components: name is the path.

    They have no bom-ref: nothing refers to them, and there may be many.
    """
    return [_file(entry, kind) for entry in manifest.entries]


def _file(entry: Entry, kind: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "file",
        "name": entry.path,
        "hashes": [{"alg": "SHA-256", "content": entry.sha256.value}],
    }
    role = file_role(entry.path, kind)
    if role is not None:
        component["properties"] = [prop("role", role)]
    return component


_TOKENIZER = re.compile(
    r"(?:tokenizer(?:_config)?\.json|tokenizer\.model(?:\.v\d+)?|vocab\.(?:json|txt|bpe)|merges\.txt"
    r"|special_tokens_map\.json|added_tokens\.json|spiece\.model|sentencepiece(?:\.bpe)?\.model"
    r"|[^.]+\.tiktoken)\Z"
)
_DOCUMENT = re.compile(r"(?:readme|licen[cs]e|notice|copying|changelog|model_card)(?:[._-].*)?\Z")
_CONFIG = re.compile(
    r"(?:.*\.(?:ya?ml|toml|ini|cfg)|(?:.*[._-])?(?:config|params|hparams|args|index)\.json)\Z"
)
_SUFFIXES: Mapping[str, str] = {
    **dict.fromkeys(("md", "rst", "pdf"), "documentation"),
    **dict.fromkeys(("py", "ipynb", "sh", "cu", "c", "cc", "cpp", "h", "rs", "js", "r"), "code"),
    **dict.fromkeys(("safetensors", "gguf", "ggml", "pt", "pth", "ckpt", "onnx"), "weights"),
    **dict.fromkeys(("h5", "hdf5", "keras", "tflite", "pb", "msgpack"), "weights"),
    **dict.fromkeys(("jsonl", "ndjson", "csv", "tsv", "parquet", "arrow", "tfrecord"), "data"),
}
# Formats that hold weights in a model, and records elsewhere.
_ARRAYS = frozenset({"bin", "npz", "npy", "pkl", "pickle", "joblib"})


def file_role(path: str, kind: str) -> str | None:
    """What a file is for, where its name tells.

    One of weights, tokenizer, config, data, documentation, code; `kind` is the
    artifact's. A hint for readers: nothing is decided by it.
    """
    name = path.rpartition("/")[2].lower()
    for pattern, role in (
        (_TOKENIZER, "tokenizer"),
        (_DOCUMENT, "documentation"),
        (_CONFIG, "config"),
    ):
        if pattern.match(name):
            return role
    suffix = name.rpartition(".")[2]
    if suffix in _ARRAYS:
        return "weights" if COMPONENT_TYPES[kind] == MODEL else "data"
    return _SUFFIXES.get(suffix)
