"""Writing a lock, saying whether it is still what its references name, and bringing it up."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stemma_attestations import lock as lock_file
from stemma_attestations import locked
from stemma_attestations.errors import BadLock, BadName, NotVerified
from stemma_attestations.lock import MAX_BYTES, Lock, Member
from stemma_registry import files
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.errors import AlreadyThere, NotFound, Refused
from stemma_registry.gate import Terms
from stemma_registry.reference import best_version, resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.serving.asking import Question
from stemma_registry.serving.sets import Part, judge_set


@dataclass(frozen=True)
class Made:
    """A lock that may be written, and what is worth a look beside it."""

    lock: Lock
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What became of one word: a line for each field that is another now."""

    word: str
    lines: tuple[str, ...]


def asked(texts: Sequence[str]) -> list[tuple[str | None, str]]:
    """Each REF or WORD=REF as a word, if one is said, and a reference. Raises BadLock."""
    found: list[tuple[str | None, str]] = []
    for text in texts:
        word, separator, reference = text.partition("=")
        if separator:
            found.append((lock_file.check_word(word), reference))
        else:
            found.append((None, text))
    return found


def make(
    registry: Registry,
    view: Snapshot,
    wanted: Sequence[tuple[str | None, str]],
    terms: Terms,
    progress: Progress | None = None,
) -> Made:
    """Run the gate on every reference, and lock what it let pass.

    Raises the most severe no of the gate, BadLock, NotFound.
    """
    found: dict[str, Member] = {}
    for said, text in wanted:
        member = _found(view, said, text)
        if member.word in found:
            raise BadLock(f"two members are called {member.word}: say WORD=REF")
        found[member.word] = member
    Lock.of(found.values())  # what cannot be a lock is told before gigabytes are hashed
    # The gate is asked about the name that it will be asked about when the lock is held to.
    questions = {one.word: Question(str(one.name), terms=terms) for one in found.values()}
    verdict = judge_set(registry, view, questions, progress).require()
    members = [_member(found[part.word], part) for part in verdict.parts]
    return Made(Lock.of(members), verdict.fit.warnings)


def update(
    registry: Registry,
    view: Snapshot,
    old: Lock,
    terms: Terms,
    progress: Progress | None = None,
) -> Made:
    """The lock that the references of this one make now. Raises as `make`."""
    return make(registry, view, [(one.word, one.source) for one in old.members], terms, progress)


def _member(found: Member, part: Part) -> Member:
    """What is locked of a yes. Raises NotVerified."""
    verdict = part.verdict
    if verdict is None or (verdict.artifact, verdict.name) != (found.artifact, found.name):
        raise NotVerified(f"{found.source}: it is not what was judged", verdict)
    signers = locked.expected(verdict.signers)
    if not signers:
        raise NotVerified(f"{found.source}: nobody who is believed says how it was made", verdict)
    return replace(found, signers=signers)


def _found(view: Snapshot, word: str | None, source: str) -> Member:
    """What a reference names, without its signers.

    Raises NotFound, BadName, BadLock, and NotVerified where its name means other bytes.
    """
    found = resolve(view, source)
    name = found.name
    if name is None:
        raise BadName(f"{source} says no name: a lock needs NAME:VERSION")
    bound = resolve(view, str(name))
    row = query.artifacts(view.connection, [bound.node]).get(bound.node)
    versions = query.versions_of(view.connection, [bound.node]).get(bound.node, [])
    best = best_version(view, [one for one in versions if one.name == name])
    if row is None or best is None:
        raise NotFound(f"{source} is no artifact")
    if bound.digest != found.digest:
        raise NotVerified(f"{source}: {name} names {bound.digest.short}")
    word = lock_file.word_of(name) if word is None else word
    return Member(word, source, name, best.kind, bound.digest, row.size, ())


def moved(view: Snapshot, lock: Lock) -> list[Change]:
    """The members whose references name something else by now. No file is read."""
    found = []
    for member in lock.members:
        try:
            now = replace(_found(view, member.word, member.source), signers=member.signers)
        except (NotFound, BadName, NotVerified) as error:
            found.append(Change(member.word, (str(error),)))
            continue
        if now != member:
            found.append(Change(member.word, _lines(member, now)))
    return found


def changes(old: Lock, new: Lock) -> list[Change]:
    """What another lock says otherwise, word by word."""
    before, after = old.by_word, new.by_word
    found = []
    for word in sorted({**before, **after}):
        was, now = before.get(word), after.get(word)
        if was != now:
            found.append(Change(word, _lines(was, now)))
    return found


def _lines(was: Member | None, now: Member | None) -> tuple[str, ...]:
    if now is None:
        return ("removed",)
    if was is None:
        return (f"added: {now.name} {now.artifact}",)
    before, after = _plain(was), _plain(now)
    lines = [f"{key} {before[key]} -> {after[key]}" for key in after if before[key] != after[key]]
    lines += [f"signer no longer {one}" for one in was.signers if one not in now.signers]
    lines += [f"signer now also {one}" for one in now.signers if one not in was.signers]
    return tuple(lines)


def _plain(member: Member) -> Mapping[str, str]:
    return {
        "from": member.source,
        "name": str(member.name),
        "kind": member.kind,
        "artifact": str(member.artifact),
        "size": str(member.size),
    }


def read(path: Path) -> tuple[Lock, bytes]:
    """A lock and its bytes, read once: it may be a pipe. Raises NotFound, BadLock, Unavailable."""
    raw = files.read(path, "lock", MAX_BYTES)
    try:
        return lock_file.parse(raw), raw
    except BadLock as error:
        raise BadLock(f"{path}: {error}") from error


def check_place(path: Path) -> None:
    """Raise Refused where a lock is not to be written: over a link, a device, another file.

    Raises NotFound where there is no such folder.
    """
    if not path.parent.is_dir():
        raise NotFound(f"no directory {path.parent} to write {path.name} to")
    try:
        found = os.lstat(path)
    except OSError:
        return  # that it cannot be written, if so, is told when it is tried
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is there, and no regular file: a lock is not written over it")
    raw = files.read(path, "lock", MAX_BYTES)
    if raw and lock_file.FORMAT.encode() not in raw:
        raise AlreadyThere(f"{path} is there, and no lock: it is not overwritten")


def write(path: Path, lock: Lock, before: bytes | None = None) -> None:
    """Write a lock, whole or not at all. With `before`, only over these bytes.

    Raises Refused, NotFound, Unavailable.
    """
    check_place(path)
    if before is not None and files.read(path, "lock", MAX_BYTES) != before:
        raise Refused(f"{path} was changed meanwhile; look at it, and try again")
    files.replace(path, "lock", lock.encode())
