"""The manifest: which bytes an artifact is made of.

An artifact's identity is the SHA-256 of its manifest's canonical JSON:

    {"entries":[{"path":"config.json","sha256":"<hex>","size":512},...],
     "format":"urn:stemma:manifest:v0.1"}

Entries are sorted by path (by code point, which is the order of the UTF-8
bytes). Names, kinds, times and signers are statements about it. Specified in
docs/formats/manifest.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadJSON, BadManifest, BadPath
from stemma_attestations.paths import check_paths

FORMAT = "urn:stemma:manifest:v0.1"
MAX_ENTRIES = 250_000  # the BOM that lists them still fits into a statement
MAX_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file: `path` relative, `size` in bytes, `sha256` of its bytes."""

    path: str
    size: int
    sha256: Digest


@dataclass(frozen=True)
class Manifest:
    """Sorted, checked entries. Build one with `of` or `parse`."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        """A manifest of `entries` in any order. Raises BadManifest, BadPath."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.path))
        if not ordered:
            raise BadManifest("an artifact without files has nothing to vouch for")
        if len(ordered) > MAX_ENTRIES:
            raise BadManifest(f"{len(ordered)} files, at most {MAX_ENTRIES} fit in a manifest")
        check_paths(entry.path for entry in ordered)
        for entry in ordered:
            if not 0 <= entry.size <= json_strict.MAX_INTEGER:
                raise BadManifest(f"{entry.path!r:.80}: size {entry.size} is out of range")
            if entry.sha256.algorithm != "sha256":
                raise BadManifest(f"{entry.path!r:.80}: only SHA-256 names a blob")
        manifest = cls(ordered)
        if len(manifest.raw) > MAX_BYTES:
            raise BadManifest(f"a manifest of more than {MAX_BYTES} bytes")
        return manifest

    @classmethod
    def parse(cls, raw: bytes) -> Manifest:
        """Read a manifest; only its canonical bytes are accepted. Raises BadManifest."""
        try:
            document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
            if document.get("format") != FORMAT:
                raise BadManifest(f"not a manifest of format {FORMAT}")
            entries = document.get("entries")
            if not isinstance(entries, list):
                raise BadManifest("a manifest's entries are a list")
            manifest = cls.of(_parse_entry(entry) for entry in entries)
        except (BadJSON, BadDigest, BadPath) as error:
            raise BadManifest(f"manifest: {error}") from error
        if manifest.raw != raw:
            raise BadManifest("a manifest that is not in its canonical form")
        return manifest

    @cached_property
    def raw(self) -> bytes:
        """The canonical bytes, whose SHA-256 is the identity."""
        entries = [{"path": e.path, "sha256": e.sha256.value, "size": e.size} for e in self.entries]
        return canonical.dumps({"entries": entries, "format": FORMAT})

    @cached_property
    def digest(self) -> Digest:
        """The artifact's identity."""
        return Digest.of(self.raw)

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        """The entries by their paths."""
        return {entry.path: entry for entry in self.entries}

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def oms_root(self) -> Digest:
        """The OpenSSF model-signing root: an alias, never an identity.

        SHA-256 over the files' raw SHA-256 digests in name order, component by
        component (`a/x` before `a-b`). It leaves the names out, so two layouts
        can share it.
        """
        ordered = sorted(self.entries, key=lambda entry: entry.path.split("/"))
        return oms_root(entry.sha256 for entry in ordered)


def oms_root(digests: Iterable[Digest]) -> Digest:
    """SHA-256 over raw SHA-256 digests, in the order in which they come."""
    root = hashlib.sha256()
    for digest in digests:
        root.update(bytes.fromhex(digest.value))
    return Digest("sha256", root.hexdigest())


def _parse_entry(obj: object) -> Entry:
    if not isinstance(obj, dict) or set(obj) != {"path", "sha256", "size"}:
        raise BadManifest("an entry is {path, sha256, size}")
    path, value, size = obj["path"], obj["sha256"], obj["size"]
    if not isinstance(path, str) or not isinstance(value, str):
        raise BadManifest("an entry's path and sha256 are text")
    if not isinstance(size, int) or isinstance(size, bool):
        raise BadManifest("an entry's size is an integer")
    return Entry(path, size, sha256(value))
