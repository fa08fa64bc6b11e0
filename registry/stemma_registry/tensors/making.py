"""Tables of tensors: put together from what was told at a push, or read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTable
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.predicates import tensors as predicate
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.tensor_table import MAX_BYTES, TINY, Table, TensorFile
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import query, tensors
from stemma_registry.catalogue.tensors import TableRow
from stemma_registry.config import LIMITS
from stemma_registry.directory import in_parallel
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.registry import Snapshot
from stemma_registry.signing import Signer
from stemma_registry.tensors.reading import Reading, Told

SUFFIXES = (".safetensors", ".gguf")
OTHER = "it is called so, and does not begin like one"


@dataclass(frozen=True)
class Unread:
    """A file whose tensors are not known, and why."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path:.120}: its tensors have no digests: {self.why}"


@dataclass(frozen=True)
class Made:
    """A table, None where no file has tensors, and which files are not in it that should be.

    `fault` is why there is no table though files have tensors.
    """

    table: Table | None
    unread: tuple[Unread, ...] = ()
    fault: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not known, for people."""
        return (*map(str, self.unread), *([self.fault] if self.fault else ()))

    def statement(self, subject: ResourceDescriptor) -> list[Statement]:
        """The statement that says the table; none where there is no table."""
        table = self.table
        if table is None:
            return []
        said = predicate.Tensors(table.digest, len(table.files), table.tensors)
        return [Statement.build([subject], predicate.TYPE, predicate.build(said))]


NOTHING = Made(None)


def at_push(
    view: Snapshot, store: Store, signer: Signer, manifest: Manifest, heard: Mapping[Digest, Told]
) -> Made:
    """The table of what is being pushed.

    A file that was not read now, since it looked unchanged, is taken from a table that the
    signer or somebody believed said before, else read from the store; that only where its
    name says that it has tensors. Raises Unavailable.
    """
    told = {e.sha256: heard[e.sha256] for e in manifest.entries if e.sha256 in heard}
    missing = [e for e in _candidates(manifest) if e.sha256 not in told and _is_named(e)]
    recorded = _recorded(view, store, signer, missing) if missing else {}
    for entry in missing:
        if entry.sha256 in recorded:
            known = recorded[entry.sha256]
            told[entry.sha256] = Told(known.format, known.tensors)
            continue
        try:
            told[entry.sha256] = _read(store, entry)
        except (BlobMissing, Damaged) as error:  # `audit` says so too, and mends it
            told[entry.sha256] = Told(note=str(error))
    return _made(manifest, told)


def from_store(store: Store, manifest: Manifest) -> Made:
    """The table of an artifact, from every one of its bytes in the store.

    Raises BlobMissing, Damaged, Unavailable.
    """
    entries = _candidates(manifest)
    found = in_parallel(lambda entry: _read(store, entry), entries, LIMITS.readers)
    return _made(manifest, {e.sha256: told for e, told in zip(entries, found, strict=True)})


def unlisted(store: Store, manifest: Manifest, rows: Iterable[TableRow]) -> tuple[Unread, ...]:
    """Files of an artifact that have tensors by their names, and are in none of its tables.

    What has none all the same is not among them. Raises BadManifest, BadTable, BlobMissing,
    Damaged, Unavailable.
    """
    every = {row.digest: row for row in rows}.values()
    listed = {file.blob for row in every for file in load(store, row).files}
    found: list[Unread] = []
    for entry in _candidates(manifest):
        if not _is_named(entry) or entry.sha256 in listed:
            continue
        try:
            told = _read(store, entry)
        except (BlobMissing, Damaged) as error:
            told = Told(note=str(error))
        made = _made(manifest, {entry.sha256: told})
        if made.table is not None:
            found.append(Unread(entry.path, "its table does not list it"))
        found += made.unread
    return tuple(sorted(found, key=str))


def load(store: Store, row: TableRow) -> Table:
    """A table that the catalogue knows. Raises BadTable, BlobMissing, Damaged, Unavailable."""
    return Table.parse(get_bytes(store, row.digest, MAX_BYTES))


def worth(view: Snapshot, row: TableRow, asked: str | None = None) -> Assurance:
    """What a statement of a table is worth, for a question about the name `asked`."""
    fact = row.fact
    return view.trust.assurance(fact.signer, predicate.TYPE, fact.name, asked, fact.signed)


def best_first(view: Snapshot, rows: Iterable[TableRow]) -> list[TableRow]:
    """Believed before signed before claimed, the newest of each first."""
    order = list(Assurance)
    return sorted(rows, key=lambda row: (order.index(worth(view, row)), -row.fact.n))


def _candidates(manifest: Manifest) -> list[Entry]:
    """Each blob that has room for a tensor once; one that is named so comes first."""
    ordered = sorted(manifest.entries, key=lambda e: (not _is_named(e), -e.size, e.path))
    return list({entry.sha256: entry for entry in reversed(ordered) if entry.size >= TINY}.values())


def _is_named(entry: Entry) -> bool:
    return entry.path.lower().endswith(SUFFIXES)


def _read(store: Store, entry: Entry) -> Told:
    reading = Reading(entry.size)
    for chunk in store.chunks(entry.sha256):
        reading(memoryview(chunk))
        if reading.nothing:
            break  # what has no tensors is not read to its end
    return reading.told()


def _recorded(
    view: Snapshot, store: Store, signer: Signer, entries: Sequence[Entry]
) -> dict[Digest, TensorFile]:
    """What tables that will do say of the blobs."""
    wanted = {entry.sha256 for entry in entries}
    nodes = [n for d in wanted if (n := query.node_id(view.connection, d)) is not None]
    owners = {part.artifact_id for part in query.containers(view.connection, nodes)}
    rows = tensors.tables(view.connection, artifacts=owners)
    good = [
        row
        for row in rows
        if view.trust.is_same(row.fact.signer, signer) or worth(view, row) is Assurance.ATTESTED
    ]
    newest = {row.digest: row for row in sorted(good, key=lambda row: row.fact.n)}
    found: dict[Digest, TensorFile] = {}
    for row in list(newest.values())[: -LIMITS.tensor_tables - 1 : -1]:
        if wanted <= found.keys():
            break
        with suppress(BadTable, BlobMissing, Damaged):
            found.update((f.blob, f) for f in load(store, row).files if f.blob in wanted)
    return found


def _made(manifest: Manifest, told: Mapping[Digest, Told]) -> Made:
    named = {e.sha256: e.path for e in manifest.entries if _is_named(e) and e.size >= TINY}
    files, unread = [], {}
    for blob, one in told.items():
        if why := one.note or (OTHER if blob in named and not one.format else ""):
            unread[blob] = why
        elif one.tensors:
            files.append(one.file(blob))
    paths = {e.sha256: e.path for e in reversed(manifest.entries)} if unread else {}
    paths.update(named)
    missed = tuple(sorted((Unread(paths[b], why) for b, why in unread.items()), key=str))
    if not files:
        return Made(None, missed)
    try:
        return Made(Table.of(manifest.digest, files), missed)
    except BadTable as error:
        return Made(None, missed, f"no table of tensors: {error}")
