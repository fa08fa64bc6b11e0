"""`urn:stemma:policy-sync:v0.1`: which commit of a policy repository was taken, and what from it.

See docs/formats/policy-sync.md. The first subject is the commit, the second stands for the
repository and the folder in it. Whoever signs has held the commit's signatures against the trust
root of that time; `voices` name what was held, so that anybody can do so again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadName, BadStatement, Malformed
from stemma_attestations.gitobject import DIGITS
from stemma_attestations.names import check_name
from stemma_attestations.statement import ResourceDescriptor, Statement, text
from stemma_attestations.times import format_time, parse_time

TYPE = "urn:stemma:policy-sync:v0.1"
# What a signature of a commit or a tag says: that this is the policy. Grants name it.
POLICY = "urn:stemma:policy:v0.1"
COMMIT, TAG = "commit", "tag"
MAX_REQUESTS = 1_000
MAX_VOICES = 100


@dataclass(frozen=True)
class Voice:
    """A signed object of Git: the SHA-256 of its bytes, and the id of who signed."""

    kind: str
    object: Digest
    signer: str


@dataclass(frozen=True)
class Requested:
    """A request, and the statement that it became."""

    path: str
    digest: Digest
    quarantine: Digest


@dataclass(frozen=True)
class PolicySync:
    """One. `repository` is its NAME (None for one without), `path` the folder, `""` for all of it.

    `policy` and `trust` are the SHA-256 of those files, None where the commit has none.
    """

    repository: str | None
    url: str | None
    commit: str
    tree: str
    path: str
    issued: datetime
    policy: Digest | None
    trust: Digest | None
    voices: tuple[Voice, ...]
    requests: tuple[Requested, ...]


def place_digest(repository: str | None, path: str) -> Digest:
    """What stands for a folder of a repository among subjects."""
    return Digest.of(f"{TYPE} {repository or ''} {path}".encode())


def build(said: PolicySync) -> Statement:
    """The statement. Raises BadStatement."""
    name = f"{said.repository}:{said.commit}" if said.repository else None
    subjects = [
        ResourceDescriptor(name=name, digests=(Digest("gitCommit", said.commit),)),
        ResourceDescriptor(name=name, digests=(place_digest(said.repository, said.path),)),
    ]
    predicate: dict[str, Any] = {
        "commit": said.commit,
        "tree": said.tree,
        "path": said.path,
        "issuedAt": format_time(said.issued),
        "voices": [
            {"kind": v.kind, "object": {"sha256": v.object.value}, "signer": v.signer}
            for v in said.voices
        ],
        "requests": [
            {
                "path": r.path,
                "file": {"sha256": r.digest.value},
                "quarantine": {"sha256": r.quarantine.value},
            }
            for r in sorted(said.requests, key=lambda one: one.path)
        ],
    }
    files = {
        field: {"sha256": digest.value} if digest is not None else None
        for field, digest in (("policy", said.policy), ("trust", said.trust))
    }
    more = {"repository": said.repository, "url": said.url, **files}
    predicate.update((field, value) for field, value in more.items() if value is not None)
    statement = Statement.build(subjects, TYPE, predicate)
    parse(statement)
    return statement


def parse(statement: Statement) -> PolicySync:
    """Read a statement. Raises BadStatement."""
    says = statement.predicate
    commit, tree = text(says, "commit"), text(says, "tree")
    path, issued = text(says, "path"), text(says, "issuedAt")
    if not _is_id(commit) or not _is_id(tree) or path is None or not issued:
        raise BadStatement("a policy sync has commit, tree, path and issuedAt")
    repository = text(says, "repository")
    try:
        found = PolicySync(
            repository=None if repository is None else check_name(repository),
            url=text(says, "url"),
            commit=str(commit),
            tree=str(tree),
            path=path,
            issued=parse_time(issued),
            policy=_file(says.get("policy")),
            trust=_file(says.get("trust")),
            voices=tuple(_voice(one) for one in _list(says.get("voices"), MAX_VOICES)),
            requests=tuple(_requested(one) for one in _list(says.get("requests"), MAX_REQUESTS)),
        )
    except (Malformed, BadName) as error:
        raise BadStatement(f"policy sync: {error}") from error
    if not found.voices:
        raise BadStatement("a policy sync names the signatures that it rests on")
    place = place_digest(found.repository, found.path)
    subjects = statement.subjects
    if (
        len(subjects) != 2
        or subjects[0].digest("gitCommit") != Digest("gitCommit", found.commit)
        or subjects[1].digest("sha256") != place
    ):
        raise BadStatement("the subjects of a policy sync are its commit and its repository")
    return found


def _list(value: object, most: int) -> Iterable[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise BadStatement(f"a list of at most {most} is expected")
    return value


def _file(value: object) -> Digest | None:
    return None if value is None else _sha256(value)


def _sha256(value: object) -> Digest:
    if not isinstance(value, dict) or not isinstance(value.get("sha256"), str):
        raise BadDigest("a file is named by {sha256}")
    return sha256(value["sha256"])


def _voice(obj: object) -> Voice:
    if not isinstance(obj, dict):
        raise BadStatement("each of `voices` is an object")
    kind, signer = text(obj, "kind"), text(obj, "signer")
    if kind not in (COMMIT, TAG) or not signer:
        raise BadStatement("a voice is of a commit or a tag, and has a signer")
    return Voice(kind, _sha256(obj.get("object")), signer)


def _requested(obj: object) -> Requested:
    if not isinstance(obj, dict):
        raise BadStatement("each of `requests` is an object")
    path = text(obj, "path")
    if not path:
        raise BadStatement("a request has a path")
    return Requested(path, _sha256(obj.get("file")), _sha256(obj.get("quarantine")))


def _is_id(name: str | None) -> bool:
    return name is not None and len(name) in DIGITS.values() and not name.strip("0123456789abcdef")
