"""What this machine has taken from a policy repository: `$STEMMA_HOME/synced/`.

    current.json        repository, commit, path, and the digests of policy and trust root
    sha256-HEX          the policy, its Rego modules and the trust root, each by its digest

A verdict reads the policy from here, needs no Git and no registry for it, and cites the commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files
from stemma_registry.config import Home
from stemma_registry.errors import Damaged, NotFound, Unavailable

FORMAT = "urn:stemma:synced-policy:v0.1"
_MOST = 64 * 1024


@dataclass(frozen=True)
class Adopted:
    """From where, and which. `repository` is None for one without a name."""

    repository: str | None
    commit: str
    path: str
    policy: Digest | None
    trust: Digest | None

    @property
    def label(self) -> str:
        """For people."""
        where = f"{self.repository or 'a repository without a name'}"
        return f"{where}{f' ({self.path})' if self.path else ''}"

    @property
    def source(self) -> dict[str, str]:
        """What a verdict cites."""
        path = f"{self.path}/policy.yaml" if self.path else "policy.yaml"
        return {"gitCommit": self.commit, "path": path, "repository": self.repository or "unnamed"}


def read(home: Home) -> Adopted | None:
    """What was taken last; None where nothing was. Raises Damaged, Unavailable."""
    path = home.synced / "current.json"
    try:
        raw = files.read(path, "record of the synced policy", _MOST)
    except NotFound:
        return None
    try:
        said = json_strict.load_object(raw)
        if said.get("format") != FORMAT:
            raise Damaged(f"{path} is of a format that is not known")
        return Adopted(said["repository"], str(said["commit"]), str(said["path"]), *_digests(said))
    except (Malformed, KeyError, TypeError, ValueError) as error:
        raise Damaged(
            f"{path} cannot be read ({error}); remove the folder, and sync the policy again"
        ) from error


def _digests(said: dict[str, object]) -> list[Digest | None]:
    found = (said["policy"], said["trust"])
    return [None if value is None else Digest.parse(str(value)) for value in found]


def blob(home: Home, digest: Digest) -> bytes:
    """A file that was taken. Raises Damaged where it is not what it was, Unavailable."""
    path = home.synced / f"sha256-{digest.value}"
    try:
        raw = files.read(path, "file of the synced policy", MAX_BYTES)
    except NotFound as error:
        raise Unavailable(f"{path} is gone; sync the policy again") from error
    if Digest.of(raw) != digest:
        raise Damaged(f"{path} was changed; remove the folder, and sync the policy again")
    return raw


def write(home: Home, adopted: Adopted, blobs: Iterable[bytes]) -> None:
    """Take it: from now on verdicts use it. Raises Unavailable."""
    try:
        files.make_directory(home.synced)
    except OSError as error:
        raise Unavailable(f"cannot write {home.synced}: {error.strerror}") from error
    for raw in blobs:
        files.replace(home.synced / f"sha256-{Digest.of(raw).value}", "synced policy", raw)
    document = {
        "format": FORMAT,
        "repository": adopted.repository,
        "commit": adopted.commit,
        "path": adopted.path,
        "policy": None if adopted.policy is None else str(adopted.policy),
        "trust": None if adopted.trust is None else str(adopted.trust),
    }
    files.replace(home.synced / "current.json", "synced policy", canonical.dumps(document))
