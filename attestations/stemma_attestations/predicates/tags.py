"""`urn:stemma:tags:v0.1`: which Git tags were seen in a repository, and what came of each.

See docs/formats/tags.md. The first subject is the document that holds the refs and the tag
objects as Git has them, the second the repository: the SHA-256 of its name. Whoever signs
has read them, and says who had signed them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadStatement
from stemma_attestations.gitobject import DIGITS
from stemma_attestations.statement import ResourceDescriptor, Statement, text

TYPE = "urn:stemma:tags:v0.1"
MAX_TAGS = 10_000
BOUND, AGREES, RETIRED = "bound", "agrees", "retired"
PROMOTED, ROLLED_BACK, PASSED = "promoted", "rolled-back", "passed"
CLAIMED = "claimed"
OUTCOMES = (BOUND, AGREES, RETIRED, PROMOTED, ROLLED_BACK, PASSED, CLAIMED)


@dataclass(frozen=True)
class Seen:
    """One tag: `id` of what the ref named, `commit` that it leads to, `time` its tagger's.

    `signer` is the id of who signed it, `principal` what the trust root calls them: None for
    a claim. `artifact` is what it was about, where something came of it.
    """

    tag: str
    id: str
    commit: str
    outcome: str
    time: int | None = None
    signer: str | None = None
    principal: str | None = None
    artifact: Digest | None = None


@dataclass(frozen=True)
class Record:
    """What a whole statement says."""

    repository: str
    document: Digest
    tags: tuple[Seen, ...]


def repository_digest(repository: str) -> Digest:
    """What stands for a repository among subjects: the SHA-256 of its name."""
    return Digest.of(f"{TYPE} {repository}".encode())


def build(repository: str, document: Digest, seen: Iterable[Seen]) -> Statement:
    """The statement. Raises BadStatement."""
    tags = sorted(seen, key=lambda one: one.tag)
    if not 1 <= len(tags) <= MAX_TAGS:
        raise BadStatement(f"a record is of 1 to {MAX_TAGS} tags")
    subjects = [
        ResourceDescriptor(digests=(document,)),
        ResourceDescriptor(digests=(repository_digest(repository),)),
    ]
    says = {"repository": repository, "tags": [_json(one) for one in tags]}
    return Statement.build(subjects, TYPE, says)


def parse(statement: Statement) -> Record:
    """Read a statement. Raises BadStatement."""
    repository, tags = text(statement.predicate, "repository"), statement.predicate.get("tags")
    if not repository or not isinstance(tags, list) or not 1 <= len(tags) <= MAX_TAGS:
        raise BadStatement(f"a record has a repository and 1 to {MAX_TAGS} tags")
    own = repository_digest(repository)
    if len(statement.subjects) != 2 or statement.subjects[1].digest("sha256") != own:
        raise BadStatement("the subjects of a record are its document and its repository")
    document = statement.subjects[0].digest("sha256")
    if document is None:
        raise BadStatement("a document is named by its sha256")
    return Record(repository, document, tuple(_seen(one) for one in tags))


def _json(one: Seen) -> dict[str, Any]:
    document: dict[str, Any] = {
        "tag": one.tag,
        "id": one.id,
        "commit": one.commit,
        "outcome": one.outcome,
    }
    if one.time is not None:
        document["time"] = one.time
    if one.signer is not None:
        document["signedBy"] = {"id": one.signer, "principal": one.principal}
    if one.artifact is not None:
        document["artifact"] = str(one.artifact)
    return document


def _seen(obj: object) -> Seen:
    if not isinstance(obj, dict):
        raise BadStatement("each of `tags` is an object")
    tag, name, commit = text(obj, "tag"), text(obj, "id"), text(obj, "commit")
    outcome, time, by = text(obj, "outcome"), obj.get("time"), obj.get("signedBy")
    if not tag or not outcome or not _is_id(name) or not _is_id(commit):
        raise BadStatement("a tag has tag, id, commit and outcome")
    if time is not None and type(time) is not int:
        raise BadStatement("the time of a tag is in whole seconds")
    if by is not None and (not isinstance(by, dict) or not text(by, "id")):
        raise BadStatement("signedBy has an id")
    artifact = text(obj, "artifact")
    try:
        digest = None if artifact is None else Digest.parse(artifact)
    except BadDigest as error:
        raise BadStatement(f"the artifact of a tag: {error}") from error
    signer, principal = (text(by, "id"), text(by, "principal")) if by else (None, None)
    return Seen(tag, name or "", commit or "", outcome, time, signer, principal, digest)


def _is_id(name: str | None) -> bool:
    return name is not None and len(name) in DIGITS.values() and not name.strip("0123456789abcdef")
