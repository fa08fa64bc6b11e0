"""`urn:stemma:git-signature:v0.1`: where the raw bytes of signed Git objects are kept.

See docs/formats/git-signature.md. The subjects are commits. Whoever signs the statement is
not believed about anything: the objects carry their own signatures, which are verified again
by whoever reads them, and name the commit themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest, parse_digest_set
from stemma_attestations.errors import BadDigest, BadStatement
from stemma_attestations.statement import ResourceDescriptor, Statement, text

TYPE = "urn:stemma:git-signature:v0.1"
KINDS = ("commit", "tag")
MAX_OBJECTS = 1_000


@dataclass(frozen=True, order=True)
class GitObject:
    """A signed object: the commit it is about, its kind, and the blob with its raw bytes."""

    commit: Digest
    kind: str
    blob: Digest


def build(objects: Iterable[GitObject]) -> Statement:
    """The statement, the same for the same objects. Raises BadStatement."""
    ordered = sorted(set(objects))
    if not 1 <= len(ordered) <= MAX_OBJECTS:
        raise BadStatement(f"{len(ordered)} Git objects, 1 to {MAX_OBJECTS} go into a statement")
    subjects = [ResourceDescriptor(digests=(c,)) for c in dict.fromkeys(o.commit for o in ordered)]
    said = [
        {"kind": one.kind, "commit": one.commit.value, "digest": {"sha256": one.blob.value}}
        for one in ordered
    ]
    return Statement.build(subjects, TYPE, {"objects": said})


def parse(predicate: Mapping[str, Any]) -> tuple[GitObject, ...]:
    """Read the predicate. Raises BadStatement."""
    objects = predicate.get("objects")
    if not isinstance(objects, list) or not 1 <= len(objects) <= MAX_OBJECTS:
        raise BadStatement(f"`objects` is a list of 1 to {MAX_OBJECTS} Git objects")
    return tuple(map(_object, objects))


def _object(obj: object) -> GitObject:
    if not isinstance(obj, dict):
        raise BadStatement("a Git object is an object of kind, commit and digest")
    kind, commit = text(obj, "kind"), text(obj, "commit")
    try:
        found = {digest.algorithm: digest for digest in parse_digest_set(obj.get("digest"))}
        if kind not in KINDS or commit is None:
            raise BadStatement("a Git object has a commit, and is a commit or a tag")
        return GitObject(Digest("gitCommit", commit), kind, found["sha256"])
    except (BadDigest, KeyError) as error:
        raise BadStatement("a Git object is named by the SHA-256 of its raw bytes") from error
