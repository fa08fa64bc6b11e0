"""One ledger entry as one commit: its files, its message, and what both hash to.

See docs/formats/ledger-repository.md. Nothing but the entry and the blobs that it names goes
in, so whoever renders it gets the same ids. Never change what is written here: a later format
gets another name.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stemma_attestations import gitobject, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadJSON
from stemma_attestations.gitobject import ObjectFormat
from stemma_attestations.times import parse_time
from stemma_registry.ledger.entry import Event, LedgerEntry

FORMAT = "urn:stemma:ledger-repository:v0.1"
BRANCH = "refs/heads/ledger"
CHECKPOINTS = "refs/tags/checkpoint/"
WHO = b"Stemma <ledger@stemma.invalid>"
ENTRY = "entry.json"
LISTED = 100  # of each thing, in one message
COMMITS = 1_000  # but of commits so many: that is how they are looked for
DESCRIBED = 8 * 1024  # bytes of a statement; a larger one is listed by its digest alone
_PAYLOAD = b'"payload":"'
_PLAIN = re.compile(r"[!#-~](?:[ -~]{0,298}[!-~])?\Z")
_WORD = re.compile(r"[a-z][a-z-]{0,31}\Z")
_COMMIT = re.compile(
    rb'"(?:gitCommit|commit)"[ \t\r\n]*:[ \t\r\n]*"([0-9a-f]{40}(?:[0-9a-f]{24})?)"'
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Named:
    """The blobs that an entry needs, each once, in the order in which it names them."""

    statements: tuple[Digest, ...]
    keys: tuple[Digest, ...]

    @classmethod
    def of(cls, entry: LedgerEntry) -> Named:
        """Those of all its events."""
        statements = dict.fromkeys(d for event in entry.events for d in event.bundles)
        keys = dict.fromkeys(d for event in entry.events for d in event.keys)
        return cls(tuple(statements), tuple(keys))


@dataclass(frozen=True)
class Rendered:
    """A commit without its parent: the files of its flat tree, its message and its time."""

    files: Mapping[str, bytes]
    message: bytes
    seconds: int

    def commit(self, parent: str | None, object_format: ObjectFormat) -> str:
        """The id that the commit has behind `parent`."""
        tree = b"".join(
            b"100644 %s\x00%s"
            % (name.encode(), bytes.fromhex(gitobject.identify("blob", data, object_format)))
            for name, data in sorted(self.files.items())
        )
        lines = [b"tree " + gitobject.identify("tree", tree, object_format).encode()]
        lines += [b"parent " + parent.encode()] if parent else []
        lines += [b"%s %s %d +0000" % (role, WHO, self.seconds) for role in _ROLES]
        data = b"\n".join([*lines, b"", self.message])
        return gitobject.identify("commit", data, object_format)


_ROLES = (b"author", b"committer")


def render(entry: LedgerEntry, blobs: Mapping[Digest, bytes]) -> Rendered:
    """The commit of an entry; a blob that is not among `blobs` was erased, and is left out."""
    named, files = Named.of(entry), {ENTRY: entry.raw}
    for position, digest in enumerate(named.statements):
        if digest in blobs:
            folded = fold(blobs[digest])
            name = f"statement-{position}" + (".raw" if folded is None else ".jsonl")
            files[name] = blobs[digest] if folded is None else folded
    for position, digest in enumerate(named.keys):
        if digest in blobs:
            files[f"key-{position}"] = blobs[digest]
    seconds = int((parse_time(entry.time) - _EPOCH).total_seconds())
    return Rendered(files, _message(entry, named, blobs), max(0, seconds))


def parse(entry: LedgerEntry, files: Mapping[str, bytes]) -> dict[Digest, bytes]:
    """The blobs in the files of a commit, by the names that the entry gives them.

    Nothing is checked: whether bytes have those names, and whether anything is missing or
    too much, is seen by rendering them again.
    """
    named, blobs = Named.of(entry), {}
    for position, digest in enumerate(named.statements):
        folded, raw = (files.get(f"statement-{position}.{kind}") for kind in ("jsonl", "raw"))
        if folded is not None:
            blobs[digest] = unfold(folded)
        elif raw is not None:
            blobs[digest] = raw
    for position, digest in enumerate(named.keys):
        if (key := files.get(f"key-{position}")) is not None:
            blobs[digest] = key
    return blobs


def fold(raw: bytes) -> bytes | None:
    """A bundle as two lines, the envelope without its payload and the payload as it was signed.

    None where the bytes cannot be had back from that. Payloads in base64 have next to nothing in
    common for Git's deltas, and nobody can read or search them.
    """
    start = raw.find(_PAYLOAD) + len(_PAYLOAD)
    end = raw.find(b'"', start)
    if start < len(_PAYLOAD) or end < 0 or b"\n" in raw[:start] or b"\n" in raw[end:]:
        return None
    try:
        payload = base64.b64decode(raw[start:end], validate=True)
    except (binascii.Error, ValueError):
        return None
    if base64.b64encode(payload) != raw[start:end]:
        return None
    return b"%s%s\n%s" % (raw[:start], raw[end:], payload)


def unfold(folded: bytes) -> bytes:
    """The bytes of which `fold` made two lines; of other bytes, something else."""
    rest, _, payload = folded.partition(b"\n")
    at = rest.find(_PAYLOAD) + len(_PAYLOAD)
    return rest[:at] + base64.b64encode(payload) + rest[at:]


def _message(entry: LedgerEntry, named: Named, blobs: Mapping[Digest, bytes]) -> bytes:
    """A line for people, and trailers for `git log --grep`.

    They repeat what the statements say, whoever signed them. No text of theirs begins a line.
    """
    said = {digest: _Said.of(blobs.get(digest)) for digest in named.statements}
    more = len(entry.events) - 1
    title = _title(entry.events[0], said) + (f" (and {more} more events)" if more else "")
    lines = [title, "", f"Entry: {entry.n}", f"Digest: {entry.digest}"]
    for event in entry.events[:LISTED]:
        lines.append(f"Event: {quoted(event.type)}")
        lines += _listed("Artifact", map(str, event.artifacts))
        lines += _listed("Name", _names(event, said))
        lines += _listed("Statement", _kinds(event, said))
        lines += _listed("Git-Commit", _commits(event, said), COMMITS)
        lines += _listed("Blob", map(str, event.blobs))
    if len(entry.events) > LISTED:
        lines.append(f"More-Events: {len(entry.events) - LISTED}")
    gone = [str(d) for d in (*named.statements, *named.keys) if d not in blobs]
    lines += _listed("Left-Out", gone)
    lines += [] if entry.n else [f"Format: {FORMAT}"]
    return "\n".join([*lines, ""]).encode("ascii")


@dataclass(frozen=True)
class _Said:
    """What a statement is about, before any verification."""

    predicate_type: str = ""
    names: tuple[str, ...] = ()
    action: str = ""
    commits: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: bytes | None) -> _Said:
        folded = fold(raw) if raw is not None else None
        payload = folded.partition(b"\n")[2] if folded is not None else b""
        # Not from the parsed document: a record of 10,000 tags is to be found, too, and is long.
        commits = tuple(dict.fromkeys(name.decode() for name in _COMMIT.findall(payload)))
        if not 0 < len(payload) <= DESCRIBED:
            return cls(commits=commits)
        try:
            document = json_strict.load_object(payload)
        except BadJSON:
            return cls(commits=commits)
        kind, predicate = document.get("predicateType"), document.get("predicate")
        action = predicate.get("action") if isinstance(predicate, dict) else None
        word = action if isinstance(action, str) and _WORD.match(action) else ""
        says = kind if isinstance(kind, str) else ""
        return cls(says, tuple(_subjects(document)), word, commits)


def _subjects(document: Mapping[str, Any]) -> Iterator[str]:
    subjects = document.get("subject")
    for subject in subjects if isinstance(subjects, list) else ():
        name = subject.get("name") if isinstance(subject, dict) else None
        if isinstance(name, str) and name:
            yield name


def _names(event: Event, said: Mapping[Digest, _Said]) -> Iterable[str]:
    names = dict.fromkeys(name for digest in event.bundles for name in said[digest].names)
    return (quoted(name) for name in names)


def _kinds(event: Event, said: Mapping[Digest, _Said]) -> Iterable[str]:
    """What kinds of statement there are: their digests are in the entry, and take room."""
    kinds = dict.fromkeys(said[digest].predicate_type for digest in event.bundles)
    return (quoted(kind) for kind in kinds if kind)


def _commits(event: Event, said: Mapping[Digest, _Said]) -> Iterable[str]:
    """The Git commits that the statements are about, or that they build on."""
    return dict.fromkeys(name for digest in event.bundles for name in said[digest].commits)


def _title(event: Event, said: Mapping[Digest, _Said]) -> str:
    actions = (said[digest].action for digest in event.bundles)
    word = next((action for action in actions if action), event.type)
    about = [*_names(event, said)]
    about = about or [f"commit {name[:12]}" for name in _commits(event, said)]
    about = about or [digest.value[:12] for digest in (*event.artifacts, *event.blobs)]
    more = f" and {len(about) - 1} more" if len(about) > 1 else ""
    return f"{quoted(word)} {about[0]}{more}" if about else quoted(word)


def _listed(key: str, values: Iterable[str], most: int = LISTED) -> list[str]:
    every = list(values)
    shown = [f"{key}: {value}" for value in every[:most]]
    return [*shown, f"More-{key}s: {len(every) - most}"] if len(every) > most else shown


def quoted(text: str) -> str:
    """`text` where it is printable ASCII, else as a JSON string of ASCII: one line at any rate."""
    return text if _PLAIN.match(text) else json.dumps(text[:300], ensure_ascii=True)
