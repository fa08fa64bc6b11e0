"""A record index in the ledger: a signed statement in an entry of its own.

The push was committed before: whatever goes wrong here leaves a dataset without an index,
and `stemma index` makes it later.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement, StemmaError
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import record_index
from stemma_attestations.predicates.record_index import RecordIndex, Shard
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import Assurance, TrustRoot, described
from stemma_registry import gate
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.blobs.streams import Progress
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query, record_facts
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.foreign import attached
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.records import canonical, comparing, keys
from stemma_registry.records.building import Builder, Built, Wish, candidates
from stemma_registry.records.children import Children, NoExtra, children
from stemma_registry.records.comparing import Compared, Sought
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot, record, settle, snapshot
from stemma_registry.signing import Signer

KEYED, PUBLIC, OFF = "keyed", "public", "off"
MODES = (KEYED, PUBLIC, OFF)


@dataclass(frozen=True)
class Indexed:
    """What became of the index of one dataset: `entry` is None where all of it was there.

    `skipped` are paths with the reason why they have none, `note` why there is none at all.
    """

    artifact: Digest
    name: NameVersion | None
    fields: tuple[str, ...] | None
    near: bool = False
    key: str | None = None
    statement: Digest | None = None
    entry: int | None = None
    files: int = 0
    records: int = 0
    unread: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    note: str | None = None


def wish(
    registry: Registry,
    trust: TrustRoot,
    now: datetime,
    mode: str,
    fields: Iterable[str] | None,
    near: bool = False,
) -> Wish:
    """How to index, with the home's key or none; `near`: for near matches of these fields.

    Raises Refused where others have a key that is not here, LedgerBroken, Unavailable.
    """
    key = keys.NO_KEY
    if mode != PUBLIC:
        if not registry.home.record_key.exists():
            with snapshot(registry, trust, now) as view:
                _refuse_second(registry, view)
        key = keys.for_writing(registry.home)
    if fields is None:
        if near:
            raise Refused("near matches are of fields: name those that hold the text")
        return Wish(key)
    named = tuple(sorted({canonical.normal(name) for name in fields}))
    if not named or len(named) > record_index.MAX_FIELDS:
        raise Refused(f"1 to {record_index.MAX_FIELDS} fields make an index of fields")
    return Wish(key, named, near)


def _refuse_second(registry: Registry, view: Snapshot) -> None:
    """A second secret would find nothing of what others have indexed with theirs."""
    for facts in record_facts.by_node(view.connection).values():
        for fact in facts:
            said = read(registry, fact) if worth(view, fact) is Assurance.ATTESTED else None
            if said is not None and said.key != keys.PUBLIC:
                raise Refused(
                    f"records here are indexed with the record key {said.key}, which this home "
                    "does not have: copy its record.key, and `stemma key record --add FILE`"
                )


def after_push(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    subject: tuple[Digest, NameVersion],
    how: tuple[str, Sequence[Sequence[str]], Sequence[Sequence[str]]],
    now: datetime,
    progress: Progress | None = None,
) -> list[Indexed]:
    """Index what was just pushed: whole records, and sets of fields. Never raises StemmaError.

    `how` is a mode, those sets, and the sets for near matches.
    """
    (artifact, name), (mode, more, near), found = subject, how, []
    if mode == OFF:
        return []
    sets = [(None, False), *((one, False) for one in more), *((one, True) for one in near)]
    for fields, is_near in sets:
        try:
            wanted = wish(registry, trust, now, mode, fields, is_near)
            found.append(index(registry, trust, signer, str(name), wanted, now, progress))
        except (StemmaError, OSError) as error:
            named = None if fields is None else tuple(fields)
            found.append(Indexed(artifact, name, named, near=is_near, note=str(error)))
        if found[-1].note:
            break
    return found


def index(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    text: str,
    wanted: Wish,
    now: datetime,
    progress: Progress | None = None,
    readers: Children | None = None,
) -> Indexed:
    """Build the record index of a dataset and append it; nothing where it is there.

    `readers` are processes that are there already, for many in a row. What cannot be indexed is
    said in `note`. Raises NotFound, Refused, Undecided, LedgerBroken, Unavailable.
    """
    uploads = Uploads.begin(registry.store, registry.catalogue)
    with snapshot(registry, trust, now) as view:
        found = resolve(view, text)
        manifest = gate.load_manifest(registry, view, found)
        subject, name = attached.subject_of(view, found)
        known = _known(registry, view, found, name, signer, wanted)
    nothing = Indexed(found.digest, name, wanted.fields, near=wanted.near)
    files = candidates(manifest)
    if not files:
        return _noted(nothing, "none of its files has records that are known by its name")
    if len(files) > LIMITS.record_files:
        return _noted(nothing, f"more than {LIMITS.record_files} files; the limit is a named one")
    try:
        with (
            contextlib.nullcontext(readers) if readers else children() as some,
            tempfile.TemporaryDirectory(prefix="stemma-records-") as scratch,
        ):
            builder = Builder(registry.store, Path(scratch), some, wanted, progress)
            built = builder.build(manifest, {b: s for b, s in known.items() if b in files})
            paths = {blob: entry.path for blob, (_, entry) in files.items()}
            skipped = tuple((paths[one.blob], one.reason) for one in built.skipped)
            if not built.shards:
                return _noted(nothing, "no file of it could be indexed", skipped)
            entry, statement, more = _said_and_appended(
                registry, trust, signer, (found, subject, wanted), uploads, built, now
            )
    except NoExtra as error:
        return _noted(nothing, str(error))
    warnings = list(more)
    if not trust.lets(signer, record_index.TYPE, name.name if name else None, now):
        warnings.append(f"the trust root does not let {described(signer)} index {name or text}")
    return Indexed(
        found.digest,
        name,
        wanted.fields,
        wanted.near,
        wanted.key.id,
        statement.digest,
        entry,
        len(built.shards),
        sum(shard.records for shard in built.shards),
        sum(shard.unread for shard in built.shards),
        skipped,
        tuple(warnings),
    )


def missing(view: Snapshot) -> list[str]:
    """The NAME:VERSION of every dataset of which nobody who is believed has an index."""
    facts = record_facts.by_node(view.connection)
    found = set()
    for row in query.all_versions(view.connection, "dataset"):
        some = facts.get(row.artifact_id, [])
        if not any(worth(view, fact, row.name.name) is Assurance.ATTESTED for fact in some):
            found.add(str(row.name))
    return sorted(found)


def worth(view: Snapshot, fact: Fact, asked: str | None = None) -> Assurance:
    """What a statement is worth, about the name it is about and the one that is asked about."""
    return view.trust.assurance(fact.signer, fact.predicate_type, fact.name, asked, fact.signed)


def read(registry: Registry, fact: Fact) -> RecordIndex | None:
    """What an index statement says, None where it cannot be read. Raises Unavailable."""
    try:
        raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
        return record_index.parse(Bundle.parse(raw).statement().predicate)
    except (BadBundle, BadStatement, BlobMissing, Damaged):
        return None


def _noted(nothing: Indexed, note: str, skipped: tuple[tuple[str, str], ...] = ()) -> Indexed:
    return dataclasses.replace(nothing, skipped=skipped, note=note)


def _known(
    registry: Registry,
    view: Snapshot,
    found: Resolved,
    name: NameVersion | None,
    signer: Signer,
    wanted: Wish,
) -> dict[Digest, Shard]:
    """The files that are indexed already, here or in another version, on a believed word."""
    nodes = {found.node}
    if name is not None:
        nodes |= {row.artifact_id for row in query.versions_named(view.connection, name.name)}
    facts = query.facts_of(view.connection, nodes, record_index.TYPE)
    shards: dict[Digest, Shard] = {}
    for fact in (fact for some in facts.values() for fact in some):
        ours = view.trust.is_same(fact.signer, signer)
        asked = name.name if name else None
        if not ours and worth(view, fact, asked) is not Assurance.ATTESTED:
            continue
        said = read(registry, fact)
        if said is None or (said.canonical, said.key) != (wanted.canonical, wanted.key.id):
            continue
        if said.fields == wanted.fields:
            for shard in said.shards:
                blobs = [blob for run in shard.runs for blob in (run.filter, run.hashes)]
                if all(registry.store.size(blob) is not None for blob in blobs):
                    shards.setdefault(shard.blob, shard)
    return shards


def _said(wanted: Wish, built: Built) -> tuple[RecordIndex, Manifest]:
    """The predicate, and the artifact whose files the index is."""
    entries = {}
    for shard in built.shards:
        for number, run in enumerate(shard.runs):
            for kind, blob in (("filter", run.filter), ("hashes", run.hashes)):
                path = f"{shard.blob.value}/{number}.{kind}"
                entries[path] = Entry(path, built.sizes[blob], blob)
    manifest = Manifest.of(entries.values())
    said = RecordIndex(
        wanted.canonical,
        wanted.key.id,
        wanted.fields,
        manifest.digest,
        tuple(built.shards),
        tuple(built.skipped),
    )
    return said, manifest


@dataclass(frozen=True)
class _Word:
    """What is said about an index beside those records that are stopped, and how they met."""

    sought: list[Sought]
    statement: Statement
    result: Compared


def _said_and_appended(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    what: tuple[Resolved, ResourceDescriptor, Wish],
    uploads: Uploads,
    built: Built,
    now: datetime,
) -> tuple[int | None, Statement, tuple[str, ...]]:
    """Say what the index is and which records that are stopped it has: at its place in the ledger.

    Whoever stops some before that place has not looked into it, so those are looked for, however
    many arrive while it is being written; who stops some after it does look into it.
    """
    found, subject, wanted = what
    said, manifest = _said(wanted, built)
    uploads.also(set(built.blobs), lambda lost: built.again(registry.store, lost))
    signed: dict[Digest, Event] = {}

    def compared(sought: list[Sought]) -> _Word:
        result = comparing.compare(registry.store, built.shards, sought)
        whole = dataclasses.replace(said, compared=result.compared, meets=result.meets)
        statement = Statement.build([subject], record_index.TYPE, record_index.build(whole))
        return _Word(sought, statement, result)

    def event(statement: Statement) -> Event:
        if statement.digest not in signed:  # once: somebody may have to log in for it
            signed[statement.digest] = Event(
                PUSH,
                artifacts=(uploads.put(manifest.raw),),
                bundles=(uploads.put(signer.sign(statement).raw),),
                keys=tuple(uploads.put(key) for key in signer.keys),
            )
        return signed[statement.digest]

    with snapshot(registry, trust, now) as view:
        sought = comparing.sought(view, wanted)
    word = compared(sought)

    def decide() -> list[Event]:
        nonlocal word
        with snapshot(registry, trust, now) as view:
            sought = comparing.sought(view, wanted)
            facts = query.facts_of(view.connection, [found.node], record_index.TYPE)
        if word.sought != sought:
            word = compared(sought)
        ours = (f for f in facts.get(found.node, []) if view.trust.is_same(f.signer, signer))
        there = any(_is_same(registry, fact, word.statement) for fact in ours)
        return [] if there else [event(word.statement)]

    entry = record(registry, trust, signer, now, decide, uploads) if decide() else None
    if entry is None:
        settle(registry)  # that it is there is a promise, too
    return entry, word.statement, word.result.warnings


def _is_same(registry: Registry, fact: Fact, statement: Statement) -> bool:
    raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
    try:
        return Bundle.parse(raw).envelope.payload == statement.raw
    except BadBundle:
        return False
