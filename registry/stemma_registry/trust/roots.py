"""The Sigstore trusted roots of this machine, each named by its digest.

A trusted root says which authorities, logs and timestamp services make up an
instance. Having one here believes nobody: a trust root lists identities, and
pins the trusted root that each must verify under by its SHA-256.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadJSON, BadTrustRoot, Malformed
from stemma_attestations.trusted_root import TrustedRoot
from stemma_registry import files
from stemma_registry.errors import Damaged, NotFound, Unavailable
from stemma_registry.trust import public_good

MAX_BYTES = 8 * 1024 * 1024
_NAME = re.compile(r"[0-9a-f]{64}\.json\Z")


@dataclass(frozen=True)
class TrustedRoots:
    """Those in a folder, and the public instance's, which comes with the program."""

    folder: Path

    def digests(self) -> list[Digest]:
        """Which there are, in order. Raises Unavailable."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise Unavailable(f"cannot list {self.folder}: {error.strerror}") from error
        found = {sha256(name.removesuffix(".json")) for name in names if _NAME.match(name)}
        return sorted({*found, public_good.TRUSTED_ROOT})

    def read(self, digest: Digest) -> bytes:
        """One of them. Raises NotFound, Damaged, Unavailable."""
        if digest == public_good.TRUSTED_ROOT:
            return public_good.trusted_root()
        path = self._path(digest)
        try:
            raw = files.read(path, "trusted root", MAX_BYTES)
        except NotFound as error:
            raise NotFound(
                f"the Sigstore trusted root {digest.short} is not on this machine "
                "(`stemma trust root add FILE`)"
            ) from error
        except Malformed as error:
            raise Damaged(str(error)) from error
        if Digest.of(raw) != digest:
            raise Damaged(f"{path} is not the trusted root that it is named after: add it again")
        return raw

    def present(self, wanted: Iterator[Digest] | tuple[Digest, ...]) -> Mapping[Digest, bytes]:
        """Those of the wanted that are there and whole."""
        found = {}
        for digest in wanted:
            try:
                found[digest] = self.read(digest)
            except (NotFound, Damaged):
                continue
        return found

    def all(self) -> Mapping[Digest, bytes]:
        """Those that are whole."""
        return self.present(tuple(self.digests()))

    def add(self, raw: bytes) -> Digest:
        """Keep one: a trusted root, or the trust configuration of an instance that holds one.

        Returns its digest. Raises BadTrustRoot, Unavailable.
        """
        data = extract(raw)
        digest = Digest.of(data)
        if digest == public_good.TRUSTED_ROOT:
            return digest
        files.replace(self._path(digest), "trusted root", data)
        return digest

    def _path(self, digest: Digest) -> Path:
        return self.folder / f"{digest.value}.json"


def extract(raw: bytes) -> bytes:
    """The trusted root in a file, in canonical JSON: one spelling, so one digest.

    The public instance's stays as it is published. Raises BadTrustRoot.
    """
    if Digest.of(raw) == public_good.TRUSTED_ROOT:
        return raw
    try:
        document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
    except BadJSON as error:
        raise BadTrustRoot(f"not a Sigstore trusted root: {error}") from error
    inner = document.get("trustedRoot", document)
    if not isinstance(inner, dict):
        raise BadTrustRoot("the trust configuration holds no trusted root")
    data = canonical.dumps(inner)
    TrustedRoot.parse(data)
    return data
