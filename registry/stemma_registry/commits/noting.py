"""Statements about commits, written into a repository as notes: `stemma export notes`.

A note is JSON Lines: what stood in it first, as it was, then each bundle that was not there,
in the order of their digests. Written by `git fast-import`, on top of the commit that was read:
where somebody else wrote in between, Git refuses, and nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stemma_attestations import json_strict
from stemma_attestations.bundle import Bundle
from stemma_attestations.errors import BadBundle, BadJSON, BadStatement
from stemma_attestations.predicates import git_signature
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import commits as known_commits
from stemma_registry.commits import offered
from stemma_registry.commits.offered import Offer
from stemma_registry.commits.taking import spoken
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.registry import Registry, Snapshot

REF = "refs/notes/stemma"
_WHO = "Stemma <stemma@localhost>"


@dataclass(frozen=True)
class Written:
    """What was written: `commit` is the new one of the notes, None where all was there."""

    ref: str
    notes: Mapping[str, int]  # commit -> how many bundles were added
    there: int
    commit: str | None


def write(
    registry: Registry, view: Snapshot, repository: Repository, revision: str | None, ref: str = REF
) -> Written:
    """Write what the registry has about a commit, a range, or all of them, as notes below `ref`.

    Raises NotFound, Refused where the reference was changed meanwhile, Unavailable.
    """
    if not ref.startswith(offered.NOTES):
        raise Refused(f"{ref!r:.80} is no reference of notes ({offered.NOTES}...)")
    program.run(repository.directory, "check-ref-format", ref)
    offer = Offer.of(repository, revision, known_commits.everyone(view.connection))
    nodes = known_commits.among(view.connection, offer.commits)
    old = next((one.id for one in repository.refs(ref) if one.name == ref), None)
    existing = {c: f.id for c, f in offered.notes(repository, ref)} if old else {}
    changed, counts, there = dict[str, bytes](), dict[str, int](), 0
    for commit, lines in sorted(_lines(registry, view, nodes)):
        before = b""
        if commit in existing:
            before = repository.blob(existing[commit], LIMITS.git_note_bytes)
        known = {line.removesuffix(b"\r") for line in before.split(b"\n")}
        new = [line for line in lines if line not in known]
        there += len(lines) - len(new)
        if new:
            start = before if not before or before.endswith(b"\n") else before + b"\n"
            changed[commit] = start + b"".join(line + b"\n" for line in new)
            counts[commit] = len(new)
    if not changed:
        return Written(ref, {}, there, None)
    _import(repository, ref, old, changed, int(view.now.timestamp()))
    return Written(ref, counts, there, repository.resolve(ref))


def _lines(
    registry: Registry, view: Snapshot, nodes: Mapping[str, int]
) -> Iterator[tuple[str, list[bytes]]]:
    """The bundles about each commit, one a line, in the order of their digests."""
    for commit, node in nodes.items():
        # Not where its own signed object is kept: the repository has that.
        own = (fact for fact in spoken(view, node) if fact.predicate_type != git_signature.TYPE)
        facts = {fact.bundle for fact in own}
        lines = []
        for bundle in sorted(facts):
            try:
                raw = get_bytes(registry.store, bundle, LIMITS.git_note_bytes)
                lines.append(_line(raw))
            except (BadBundle, BadStatement, BadJSON, Damaged, BlobMissing):
                continue  # too large for a note, or nothing that a reader could use
        if lines:
            yield commit, lines


def _line(raw: bytes) -> bytes:
    """A bundle as one line: as it is where it is one. Raises BadBundle, BadStatement, BadJSON."""
    Bundle.parse(raw).statement()
    if b"\n" not in raw and b"\r" not in raw:
        return raw
    document = json_strict.load_object(raw)
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()


def _import(
    repository: Repository, ref: str, old: str | None, notes: Mapping[str, bytes], time: int
) -> None:
    """One commit with these notes on top of `old`. Raises Refused where `old` is no longer it."""
    message = b"Notes added by 'stemma export notes'\n"
    parts: list[bytes] = [
        f"commit {ref}\ncommitter {_WHO} {time} +0000\ndata {len(message)}\n".encode(),
        message,
    ]
    if old is not None:
        parts.append(f"from {old}\n".encode())
    for commit, note in sorted(notes.items()):
        parts += [f"N inline {commit}\ndata {len(note)}\n".encode(), note, b"\n"]
    parts.append(b"done\n")
    # Without --force a reference that does not lead to `old` any more is left as it is.
    try:
        program.run(repository.directory, "fast-import", "--quiet", "--done", stdin=b"".join(parts))
    except Refused as error:
        raise Refused(f"{ref} was not changed ({error}); run it again") from error
