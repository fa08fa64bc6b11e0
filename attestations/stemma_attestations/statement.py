"""in-toto Statement v1 and its resource descriptors.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
A statement is written once; its bytes are what is signed, stored and parsed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest, digests_match, parse_digest_set, sha256s
from stemma_attestations.errors import BadDigest, BadJSON, BadStatement

TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_SUBJECTS = 100_000
MAX_BYTES = 64 * 1024 * 1024  # a BOM of some 300,000 files
COLUMNS = 4  # things that are alike from which reading them column by column is faster


@dataclass(frozen=True)
class ResourceDescriptor:
    """One thing a statement speaks of: any of a name, a URI, and digests.

    `raw` is the object as it was read, unknown fields included.
    """

    name: str | None = None
    uri: str | None = None
    digests: tuple[Digest, ...] = ()
    annotations: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, obj: object) -> ResourceDescriptor:
        """Read a resource descriptor. Raises BadStatement."""
        if not isinstance(obj, dict):
            raise BadStatement("a resource descriptor is an object")
        annotations = obj.get("annotations", {})
        if not isinstance(annotations, dict):
            raise BadStatement("a resource descriptor's annotations are an object")
        try:
            digests = parse_digest_set(obj.get("digest", {}))
        except BadDigest as error:
            raise BadStatement(f"resource descriptor: {error}") from error
        return cls(text(obj, "name"), text(obj, "uri"), digests, annotations, obj)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, without empty fields."""
        document: dict[str, Any] = dict(self.raw)
        if self.name is not None:
            document["name"] = self.name
        if self.uri is not None:
            document["uri"] = self.uri
        if self.digests:
            unknown = self.raw.get("digest", {})
            document["digest"] = {**unknown, **{d.algorithm: d.value for d in self.digests}}
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document

    def digest(self, algorithm: str = "sha256") -> Digest | None:
        """The digest of that algorithm, if there is one."""
        for found in self.digests:
            if found.algorithm == algorithm:
                return found
        return None

    def first(self, *algorithms: str) -> Digest | None:
        """The digest of the first of these algorithms that there is one of."""
        if len(self.digests) == 1:  # nearly all have one
            return self.digests[0] if self.digests[0].algorithm in algorithms else None
        for algorithm in algorithms:
            if (found := self.digest(algorithm)) is not None:
                return found
        return None


@dataclass(frozen=True)
class Statement:
    """A parsed view beside the bytes that were (or will be) signed."""

    raw: bytes
    subjects: tuple[ResourceDescriptor, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    @classmethod
    def build(
        cls,
        subjects: Sequence[ResourceDescriptor],
        predicate_type: str,
        predicate: Mapping[str, Any],
    ) -> Statement:
        """Write a statement as canonical JSON. Raises BadStatement."""
        document = {
            "_type": TYPE,
            "subject": [subject.to_json() for subject in subjects],
            "predicateType": predicate_type,
            "predicate": dict(predicate),
        }
        try:
            return cls.parse(canonical.dumps(document))
        except BadJSON as error:
            raise BadStatement(f"statement: {error}") from error

    @classmethod
    def parse(cls, raw: bytes) -> Statement:
        """Read a statement strictly. Raises BadStatement."""
        try:
            document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
        except BadJSON as error:
            raise BadStatement(f"statement: {error}") from error
        if document.get("_type") != TYPE:
            raise BadStatement(f"not an in-toto Statement v1 (its _type is not {TYPE})")
        predicate_type = document.get("predicateType")
        if not isinstance(predicate_type, str) or not predicate_type:
            raise BadStatement("a statement has a predicateType")
        # Protobuf's JSON writes what is missing as null, and PyPI's attestations do.
        predicate = {} if document.get("predicate") is None else document["predicate"]
        if not isinstance(predicate, dict):
            raise BadStatement("a statement's predicate is an object")
        return cls(raw, _parse_subjects(document.get("subject")), predicate_type, predicate)

    @property
    def digest(self) -> Digest:
        """SHA-256 of the statement's bytes: the same in whatever bundle it is wrapped."""
        return Digest.of(self.raw)

    def subjects_about(self, digest: Digest) -> tuple[ResourceDescriptor, ...]:
        """The subjects that name the bytes of `digest`."""
        return tuple(s for s in self.subjects if digests_match(s.digests, [digest]))


def _parse_subjects(obj: object) -> tuple[ResourceDescriptor, ...]:
    if not isinstance(obj, list) or not obj:
        raise BadStatement("a statement has at least one subject")
    if len(obj) > MAX_SUBJECTS:
        raise BadStatement(f"{len(obj)} subjects, at most {MAX_SUBJECTS} are read")
    if len(obj) >= COLUMNS and (plain := _plain_subjects(obj)) is not None:
        return plain
    subjects = tuple(ResourceDescriptor.parse(item) for item in obj)
    if not all(subject.digests for subject in subjects):
        raise BadStatement("every subject of a statement has a digest")
    return subjects


def _plain_subjects(items: list[Any]) -> tuple[ResourceDescriptor, ...] | None:
    """Subjects with a name and a SHA-256 each and nothing else, column by column: the most are.

    None where one is not, also where one is wrong.
    """
    try:
        names = [item["name"] for item in items]
        sets = [item["digest"] for item in items]
        values = [digest["sha256"] for digest in sets]
        types = set(map(type, (*items, *sets))), set(map(type, (*names, *values)))
        if types != ({dict}, {str}) or {*map(len, items)} != {2} or {*map(len, sets)} != {1}:
            return None
        digests = sha256s(values)
    except (KeyError, TypeError, BadDigest):
        return None
    found = []
    for item, name, value in zip(items, names, values, strict=True):
        # What a frozen class does for each field takes longer than all of this.
        one = object.__new__(ResourceDescriptor)
        fields = {"name": name, "uri": None, "digests": (digests[value],), "raw": item}
        vars(one).update(fields, annotations={})
        found.append(one)
    return tuple(found)


def text(obj: Mapping[str, Any], key: str) -> str | None:
    """`obj[key]`, which is text or missing. Raises BadStatement."""
    value = obj.get(key)
    if value is not None and not isinstance(value, str):
        raise BadStatement(f"{key} is not text")
    return value
