"""Where a trace starts: a reference, the bytes of a file, or what is no node of the graph."""

from __future__ import annotations

from pathlib import Path

from stemma_attestations.times import Window
from stemma_registry import aliased
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import query
from stemma_registry.directory import identify
from stemma_registry.errors import NotFound, Refused
from stemma_registry.lineage.trace import Direction, Origin
from stemma_registry.questions import commit_starts, package_starts, signer_starts, stage_starts
from stemma_registry.questions.pointers import pointed
from stemma_registry.reference import looks_like_reference, resolve
from stemma_registry.registry import Snapshot

HERE = Path()  # the repository around the current directory
_SCHEMES = (package_starts.SCHEME, stage_starts.SCHEME, signer_starts.SCHEME)


def is_origin(text: str) -> bool:
    """Whether it is a package, a stage, a signer or a range of commits."""
    return text.startswith(_SCHEMES) or is_range(text)


def is_range(text: str) -> bool:
    """Whether it is a range of commits."""
    return commit_starts.is_revision(text) and ".." in text


def start(
    view: Snapshot,
    store: Store,
    text: str,
    direction: Direction,
    window: Window,
    repository: Path = HERE,
) -> int | Origin:
    """The node of a reference, an alias or a path's bytes, or what leads to several.

    `repository` is asked what commits are in a range, and for nothing else.
    Raises NotFound, Malformed, and Refused for a window of what is no signer.
    """
    if text.startswith(signer_starts.SCHEME):
        return signer_starts.origin(view, text, window, direction)
    if window != Window():
        raise Refused(f"a window of time is of a signer (signer:...), not of {text!r:.80}")
    if text.startswith(package_starts.SCHEME):
        return package_starts.origin(view, text, direction)
    if text.startswith(stage_starts.SCHEME):
        return stage_starts.origin(view, text, direction)
    if commit_starts.is_revision(text):
        return commit_starts.start(view, text, direction, repository)
    if looks_like_reference(text):
        return aliased.start(view, store, text, direction)
    if not text:
        raise NotFound("'' is neither a reference nor a file")
    path = Path(text)
    digest = pointed(path)
    known = query.node_id(view.connection, digest) if digest is not None else None
    return known if known is not None else resolve(view, str(identify(path))).node
