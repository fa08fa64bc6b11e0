"""From a question to a directory that others read: an init container, a release on a disk."""

from __future__ import annotations

from pathlib import Path

from stemma_attestations.errors import Malformed
from stemma_registry.blobs.streams import Progress
from stemma_registry.directory import materialise
from stemma_registry.serving.asking import Approved, Place, Question, approve, check_standing


def pull_verified(
    place: Place, question: Question, target: Path, progress: Progress | None = None
) -> Approved:
    """Write what a reference names into the new directory `target`, if the verdict is a yes.

    Verdict and bytes are of one snapshot, every byte is hashed again while it is written, and
    `target` has its name only when that is done and nothing was stopped meanwhile.
    Raises Malformed, NotVerified and its kin, NotFound, AlreadyThere, Damaged, Unavailable.
    """
    if question.directory is not None:
        raise Malformed(f"{question.subject!r:.200} is no reference")
    with place.view() as (registry, view):
        (approved,) = approve(registry, view, [question], progress)

        def ask_again() -> None:  # copying may have taken long
            with place.view() as (now, seen):
                check_standing(now, seen, approved)

        materialise(registry.store, approved.manifest, target, progress, ask_again)
    return approved
