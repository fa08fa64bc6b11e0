"""What a commit of a policy repository offers, read whole before anything of it counts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from stemma_attestations import gitobject, policy_file, policy_rego, quarantine_request
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.policy import Policy, RegoRule
from stemma_attestations.predicates.policy_sync import MAX_REQUESTS
from stemma_attestations.quarantine_request import QuarantineRequest
from stemma_attestations.trust import TrustRoot
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import policy_source
from stemma_registry.errors import NotFound, Refused
from stemma_registry.gitrepo.repository import Repository

POLICY, TRUST, REQUESTS = "policy.yaml", "trust.yaml", "quarantine"
_FILES = (gitobject.BLOB, gitobject.EXECUTABLE, "100664")
_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.yaml\Z")


@dataclass(frozen=True)
class Request:
    """A file below `quarantine/`: where it is, its bytes and what they say."""

    path: str
    raw: bytes
    says: QuarantineRequest

    @property
    def digest(self) -> Digest:
        """SHA-256 of the file."""
        return Digest.of(self.raw)


@dataclass(frozen=True)
class Offered:
    """What was found below `path`. `modules` are the policy's Rego files, by digest."""

    commit: str
    tree: str
    path: str
    policy: Policy | None
    policy_raw: bytes | None
    modules: Mapping[Digest, bytes]
    trust: TrustRoot | None
    trust_raw: bytes | None
    requests: tuple[Request, ...]

    @property
    def policy_path(self) -> str:
        """Where the policy is in the repository."""
        return _join(self.path, POLICY)

    @property
    def blobs(self) -> list[bytes]:
        """Every file that is kept."""
        files = [self.policy_raw, self.trust_raw, *self.modules.values()]
        return [raw for raw in (*files, *(one.raw for one in self.requests)) if raw is not None]


def read(repo: Repository, commit: str, path: str) -> Offered:
    """Read a commit. Raises NotFound, Malformed with the file's name, Refused, Damaged."""
    folder = _Folder(repo, commit, path.strip("/"))
    policy_raw, trust_raw = folder.file(POLICY), folder.file(TRUST)
    requests = folder.requests()
    if policy_raw is None and trust_raw is None and not requests:
        where = folder.path or "its root"
        raise NotFound(
            f"commit {commit[:12]} has no {POLICY}, {TRUST} or {REQUESTS}/*.yaml in {where}; "
            "name their folder with --path"
        )
    policy, modules = folder.policy(policy_raw) if policy_raw is not None else (None, {})
    return Offered(
        commit,
        repo.commit(commit).tree,
        folder.path,
        policy,
        policy_raw,
        modules,
        folder.trust(trust_raw) if trust_raw is not None else None,
        trust_raw,
        tuple(requests),
    )


@dataclass(frozen=True)
class _Folder:
    repo: Repository
    commit: str
    path: str

    def file(self, name: str, most: int = MAX_BYTES) -> bytes | None:
        """A file's bytes; None where there is none. Raises Refused for a link."""
        where = _join(self.path, name)
        try:
            mode, found = self.repo.at(self.commit, where)
        except NotFound:
            return None
        return self._blob(where, mode, found, most)

    def _blob(self, where: str, mode: str, found: str, most: int) -> bytes:
        if mode not in _FILES:
            raise Refused(f"{where!r:.200} of commit {self.commit[:12]} is not a regular file")
        return self.repo.blob(found, most)

    def policy(self, raw: bytes) -> tuple[Policy, dict[Digest, bytes]]:
        """The policy with its modules."""
        modules: dict[Digest, bytes] = {}

        def module(rego: RegoRule) -> bytes:
            found = self.file(str(rego.file), policy_rego.MAX_MODULE_BYTES)
            if found is None:
                raise NotFound(f"commit {self.commit[:12]} has no {rego.file!r:.200}")
            modules[Digest.of(found)] = found
            return found

        def whole() -> Policy:
            return policy_source.modules_from(policy_file.parse(raw, POLICY), module)

        return self.parsed(POLICY, whole), modules

    def trust(self, raw: bytes) -> TrustRoot:
        """The trust root."""
        return self.parsed(TRUST, lambda: TrustRoot.parse(raw))

    def requests(self) -> list[Request]:
        """Every request. What lies among them and is none stops all: somebody thinks it holds."""
        where = _join(self.path, REQUESTS)
        try:
            mode, found = self.repo.at(self.commit, where)
        except NotFound:
            return []
        if mode != gitobject.TREE:
            raise Refused(f"{where!r:.200} of commit {self.commit[:12]} is not a folder")
        entries = [e for e in self.repo.tree(found) if not _is_remark(e.name, e.mode)]
        if len(entries) > MAX_REQUESTS:
            raise Refused(f"{where} holds more than {MAX_REQUESTS} requests")
        return [self._request(where, entry) for entry in entries]

    def _request(self, where: str, entry: gitobject.TreeEntry) -> Request:
        name = os.fsdecode(entry.name).encode(errors="surrogateescape").decode(errors="replace")
        path = f"{where}/{name}"
        if entry.mode not in _FILES or not _NAME.match(name):
            raise Refused(
                f"{path!r:.300} is no request: they are regular files, directly in {REQUESTS}/, "
                "and called NAME.yaml (letters, digits, . _ -)"
            )
        raw = self._blob(path, entry.mode, entry.id, quarantine_request.MAX_BYTES)
        return Request(path, raw, self.parsed(path, lambda: quarantine_request.parse(raw)))

    def parsed(self, name: str, parse: Callable[[], _T]) -> _T:
        """What `parse` gives; a mistake is told with the file that has it."""
        try:
            return parse()
        except Malformed as error:
            raise type(error)(f"{name} of commit {self.commit[:12]}: {error}") from error


def _is_remark(name: bytes, mode: str) -> bool:
    """What people put beside requests and nobody takes for one."""
    return mode in _FILES and (name.lower().endswith(b".md") or name == b".gitkeep")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
