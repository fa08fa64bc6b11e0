"""Which models share tensors with one, by share of bytes, and whether anybody declared it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTable, Undecided
from stemma_attestations.names import NameVersion
from stemma_attestations.trust import Assurance
from stemma_registry import gate
from stemma_registry.catalogue import query, tensors
from stemma_registry.catalogue.tensors import Shared, TableRow
from stemma_registry.errors import BlobMissing, Damaged, NotFound
from stemma_registry.lineage.hops import signer_label
from stemma_registry.reference import Resolved, best_version, resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.tensors import making
from stemma_registry.tensors.declared import Declared, Kin
from stemma_registry.tensors.making import Unread
from stemma_registry.tensors.sharing import sharers


@dataclass(frozen=True)
class Match:
    """An artifact that shares `size` bytes of tensors, and on whose word.

    `of_mine` and `of_theirs` are the shares of all bytes of tensors, 0 to 1. `declared` says
    what it is to the one that was asked about; None: nobody said that they have to do with
    each other.
    """

    digest: Digest
    label: str
    name: NameVersion | None
    tensors: int
    size: int
    of_mine: float
    of_theirs: float
    assurance: Assurance
    signer: str
    declared: Declared | None


@dataclass(frozen=True)
class Gaps:
    """Which files have tensors that are not known (nothing where all are), and what to say."""

    unread: tuple[Unread, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, unread: tuple[Unread, ...], *notes: str) -> Gaps:
        """Of these files, and for these reasons."""
        return cls(unread, (*map(str, unread), *notes))

    @property
    def complete(self) -> bool:
        """Whether every tensor is known."""
        return not self.notes


@dataclass(frozen=True)
class Similar:
    """What was asked about, and what shares tensors with it, most bytes first.

    `assurance` is what its own table is worth; None where its bytes were read now. `size` are
    the bytes of its tensors that tell something, `more` is how many matches are not listed.
    `gaps` say what of its tensors is not known, so that something may share them unseen.
    """

    found: Resolved
    assurance: Assurance | None
    tensors: int
    size: int
    matches: tuple[Match, ...]
    more: int
    gaps: Gaps


@dataclass(frozen=True)
class Held:
    """The tensors of an artifact that any table has, and how many it has in all."""

    ids: Mapping[int, int]
    tensors: int
    size: int
    assurance: Assurance | None
    gaps: Gaps

    @classmethod
    def of_bytes(cls, registry: Registry, view: Snapshot, found: Resolved) -> Held:
        """By every byte of it in the store. Raises NotFound, Undecided, BlobMissing, Damaged."""
        manifest = gate.load_manifest(registry, view, found)
        made = making.from_store(registry.store, manifest)
        table, fault = made.table, made.fault
        if table is None and not made.notes:
            fault = "no file of it is safetensors or GGUF"
        gaps = Gaps.of(made.unread, *([fault] if fault else ()))
        telling = table.telling if table is not None else {}
        ids = {n: pair[1] for n, pair in tensors.present(view.connection, telling).items()}
        return cls(ids, len(telling), sum(telling.values()), None, gaps)


def similar(registry: Registry, view: Snapshot, text: str, limit: int) -> Similar:
    """What shares tensors with a reference.

    By the tables that are believed of it, else by any, else by its bytes. Raises NotFound,
    Undecided where more than `LIMITS.similar` artifacts share some.
    """
    found = resolve(view, text)
    held = _held(registry, view, found)
    matches = sharers(view, held.ids, found.node)
    best = sorted(matches, key=lambda match: (-match[1].size, match[0].fact.n, match[0].id))
    kin = Kin(view, registry.store, (found.node, found.name.name if found.name else None))
    shown = [_match(view, held, kin, row, shared) for row, shared in best[:limit]]
    more = len(best) - len(shown)
    known = found, held.assurance, held.tensors, held.size
    return Similar(*known, tuple(shown), more, held.gaps)


def _held(registry: Registry, view: Snapshot, found: Resolved) -> Held:
    rows = tensors.tables(view.connection, artifacts=[found.node])
    asked = found.name.name if found.name else None
    for wanted in (Assurance.ATTESTED, Assurance.SIGNED, Assurance.CLAIMED):
        good = {row.id for row in rows if making.worth(view, row, asked) is wanted}
        if good:
            ids = tensors.rows_of(view.connection, good)
            gaps = _gaps(registry, view, found, [row for row in rows if row.id in good])
            return Held(ids, len(ids), sum(ids.values()), wanted, gaps)
    if not query.artifacts(view.connection, [found.node]):
        raise NotFound(f"{found.label} is not an artifact")
    return Held.of_bytes(registry, view, found)


def _gaps(registry: Registry, view: Snapshot, found: Resolved, rows: Sequence[TableRow]) -> Gaps:
    """What none of its tables lists, though it should."""
    try:
        manifest = gate.load_manifest(registry, view, found)
        return Gaps.of(making.unlisted(registry.store, manifest, rows))
    except (BadTable, BlobMissing, Damaged, NotFound, Undecided) as error:
        return Gaps.of((), f"whether its tables list all its tensors is not known: {error}")


def _match(view: Snapshot, held: Held, kin: Kin, row: TableRow, shared: Shared) -> Match:
    digest = query.digests(view.connection, [row.artifact_id])[row.artifact_id]
    versions = query.versions_of(view.connection, [row.artifact_id]).get(row.artifact_id, [])
    best = best_version(view, versions)
    name = best.name if best else None
    common = held.ids.keys() & tensors.rows_of(view.connection, [row.id]).keys()
    state = (row.artifact_id, name.name if name else None)
    return Match(
        digest=digest,
        label=str(name) if name else digest.short,
        name=name,
        tensors=shared.tensors,
        size=shared.size,
        of_mine=shared.size / held.size,
        of_theirs=shared.size / row.size,
        assurance=making.worth(view, row),
        signer=signer_label(view, row.fact.signer),
        declared=kin.of(state, common, Assurance.CLAIMED),
    )
