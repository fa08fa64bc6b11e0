"""OpenSSF model signatures of directories: one written, one checked.

The file `model.sig` travels with a model. It is not in the registry, and the
gate does not ask it; the statement in it is specified in docs/formats/oms.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from stemma_attestations.bundle import MAX_BYTES
from stemma_attestations.errors import BadPath, Malformed, SignatureRefused
from stemma_attestations.manifest import Manifest
from stemma_attestations.predicates import signature
from stemma_attestations.predicates.signature import ModelSignature
from stemma_registry import files
from stemma_registry.blobs.streams import Progress
from stemma_registry.directory import Tree, manifest_of, observe, scan
from stemma_registry.errors import AlreadyThere
from stemma_registry.foreign.oms_signers import Believe, Believed, Seal


@dataclass(frozen=True)
class Written:
    """A signature that was written, what it is over, and who made it (for people)."""

    manifest: Manifest
    ignored: tuple[str, ...]
    signer: str


@dataclass(frozen=True)
class Checked:
    """A signature that verifies, and how the directory differs from it (none: it does not)."""

    signed: ModelSignature
    differences: tuple[str, ...]
    passed_over: tuple[str, ...]
    by: Believed


def sign(
    root: Path, out: Path, ignore: Sequence[str], seal: Seal, progress: Progress | None = None
) -> Written:
    """Sign every file of a directory but those below `ignore`, and write the signature to `out`.

    Raises AlreadyThere, BadPath, BadTree, NotFound, Refused, SignatureRefused, Unavailable.
    """
    if os.path.lexists(out):
        raise AlreadyThere(f"{out} exists, and a signature is not overwritten")
    inside = _inside(root, out)
    ignored = tuple(_plain(path) for path in ignore) + ((inside,) if inside else ())
    tree = _without(scan(root), lambda path: signature.covers(ignored, path) is not None)
    manifest = manifest_of(root, observe(tree, progress))
    statement = signature.build(manifest, root.resolve().name or "model", ignored)
    raw, by = seal(statement)
    files.write_new(out, "signature", raw)
    return Written(manifest, ignored, by)


def verify(
    root: Path, path: Path, believe: Believe, ignore: Sequence[str], progress: Progress | None
) -> Checked:
    """Hold a directory against the signature in the file `path`. Every file counts.

    What the signature ignores is passed over only where `ignore` agrees; the
    signature itself always is. Raises BadPath, BadTree, NotFound,
    SignatureRefused, Unavailable.
    """
    said = tuple(_plain(one) for one in ignore)
    signed, by = _read(path, believe)
    inside = _inside(root, path)
    left: list[str] = []

    def leave(found: str) -> bool:
        if found == inside and found not in signed.files:
            return True
        if signature.passed_over(signed, said, found):
            left.append(found)
            return True
        return False

    observed = observe(_without(scan(root), leave), progress)
    lines = signature.differences(
        signed, {e.path: e.sha256 for e in observed.entries}, dict(observed.oddities), said
    )
    return Checked(signed, lines, tuple(sorted(left)), by)


def _read(path: Path, believe: Believe) -> tuple[ModelSignature, Believed]:
    by = believe(files.read(path, "signature", MAX_BYTES))
    try:
        return signature.parse(by.statement), by
    except Malformed as error:
        raise SignatureRefused(f"not a model signature: {error}") from error


def _plain(path: str) -> str:
    """A path to ignore as it is written into a signature. Raises BadPath."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or not path.isprintable():
        raise BadPath(f"cannot ignore {path!r:.80} (name a path inside the directory)")
    return "/".join(parts)


def _inside(root: Path, path: Path) -> str | None:
    """The path of a file relative to the directory, if it is in there."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return None


def _without(tree: Tree, leave: Callable[[str], bool]) -> Tree:
    return replace(
        tree,
        files=tuple(file for file in tree.files if not leave(file.path)),
        oddities=tuple(odd for odd in tree.oddities if not leave(odd[0])),
    )
