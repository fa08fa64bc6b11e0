"""Erasing the bytes of a file for ever, and leaving a tombstone that says why.

For personal data, mostly. The artifact keeps its identity, its statements and
its place in the lineage: only the content of one file is gone. Manifests,
statements and keys cannot be erased: without them nobody could decide anything
about what descends from them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.predicates import status as predicate
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import Assurance, described
from stemma_registry.care import leases, record_runs
from stemma_registry.care.collect import Collector, Deletion, delete_named, wait_for
from stemma_registry.catalogue import collection, query
from stemma_registry.catalogue.collection import COLLECTING, leaving
from stemma_registry.errors import NotFound, Refused, Unavailable
from stemma_registry.ledger.entry import ERASE, Event
from stemma_registry.lineage.erased import tombstones
from stemma_registry.reference import resolve, worth
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Use:
    """A file that has the bytes. `name` is None where no believed name is bound to its artifact."""

    artifact: Digest
    path: str
    name: str | None


@dataclass(frozen=True)
class Preview:
    """What erasing a blob would take away. `size` is None where its bytes are not there.

    `runs` are blobs of the record index of it, which go too: they say what was in it.
    """

    blob: Digest
    size: int | None
    uses: tuple[Use, ...]
    erased: str | None
    runs: tuple[Digest, ...] = ()


@dataclass(frozen=True)
class Erased:
    """The tombstone's statement, the entry that made it visible, and what was deleted."""

    statement: Digest
    deletion: Deletion


def preview(
    registry: Registry, view: Snapshot, text: str, path: str | None, signer: Signer
) -> Preview:
    """What erasing a blob would do: `text` names it, or with `path` an artifact that has it.

    Raises NotFound, and Refused for what may not be erased, at all or by this signer.
    """
    if signer.certified is not None:  # an audit knows tombstones without the catalogue
        raise Refused("an erasure is signed with a key: --sign key:FILE")
    blob = _blob(view, text, path)
    _check_kind(view, blob)
    uses = _uses(view, blob)
    for name in sorted({use.name.rpartition(":")[0] for use in uses if use.name} or {""}):
        if not view.trust.lets(signer, predicate.TYPE, name or None, view.now):
            raise Refused(
                f"the trust root does not let {described(signer)} erase what "
                f"{name or 'has no name'} needs: nobody would believe it, and the loss would "
                "be taken for damage"
            )
    stone = tombstones(view).get(blob)
    done = stone.text if stone and stone.believed else None
    runs = record_runs.runs_of(registry, view, blob)
    left = tuple(run for run in runs if registry.store.size(run) is not None)
    return Preview(blob, registry.store.size(blob), tuple(uses), done, left)


def erase(collector: Collector, seen: Preview, reason: str) -> Erased:
    """Sign the tombstone, append it, and delete the bytes from the store.

    The entry is the commit point; a deletion that is cut off behind it is
    finished by the next `collect`, or by erasing again: then, as long as a lease
    is waited for. Raises Refused, LedgerBroken, Unavailable.
    """
    if not reason.strip():
        raise Refused("a reason is required: it is all that will be left of the bytes")
    if seen.erased is not None and seen.size is None and not seen.runs:
        raise Refused(f"nothing is left of {seen.blob.short}: {seen.erased}")
    statement = Statement.build(
        _subjects(seen),
        predicate.TYPE,
        predicate.build_erasure(reason.strip(), format_time(collector.now), secrets.token_hex(16)),
    )
    uploads = collector.uploads()
    event = Event(
        ERASE,
        bundles=(uploads.put(collector.signer.sign(statement).raw),),
        keys=tuple(uploads.put(key) for key in collector.signer.keys),
        blobs=(seen.blob, *seen.runs),
    )

    over = _wait_for_others(collector, event.blobs)

    def choose(view: Snapshot) -> Event:
        for blob in event.blobs:
            _check_kind(view, blob)  # at its place in the ledger
        for row in leaving(view.connection, event.blobs).values():
            if row.state == COLLECTING and row.n not in over:
                raise Unavailable(f"{row.blob.short} is being deleted by somebody else; try again")
        return event

    return Erased(statement.digest, delete_named(collector, choose, uploads))


def _wait_for_others(collector: Collector, blobs: Sequence[Digest]) -> frozenset[int]:
    """Until nobody can be deleting the blobs on account of an earlier entry."""
    with collector.view() as view:
        rows = leaving(view.connection, blobs).values()
    busy = {row.n for row in rows if row.state == COLLECTING}
    return wait_for(collector, busy, leases.elapsed()) if busy else frozenset()


def _blob(view: Snapshot, text: str, path: str | None) -> Digest:
    found = resolve(view, text)
    if path is None:
        if found.name is not None:
            raise Refused(f"{found.label} is an artifact: say which of its files with --path")
        return found.digest
    for part in query.parts(view.connection, [found.node]):
        if part.path == path:
            return query.digests(view.connection, [part.blob_id])[part.blob_id]
    raise NotFound(f"{found.label} has no file {path!r:.200}")


def _check_kind(view: Snapshot, blob: Digest) -> None:
    """Raise Refused, or NotFound, for what is not the content of files alone."""
    if blob.algorithm == "sha256" and collection.erasable(view.connection, blob):
        return
    if blob.algorithm != "sha256" or collection.unreferenced(view.connection, [blob]):
        raise NotFound(f"{blob.short} is not the content of a file (for what is left: `stemma gc`)")
    raise Refused(
        f"{blob.short} is a manifest, a statement or a key: without it nothing could be decided "
        "about what descends from it; only contents of files are erased"
    )


def _uses(view: Snapshot, blob: Digest) -> list[Use]:
    node = query.node_id(view.connection, blob)
    parts = query.containers(view.connection, [node] if node is not None else [])
    owners = [part.artifact_id for part in parts]
    digests = query.digests(view.connection, owners)
    versions = query.versions_of(view.connection, owners)
    uses: list[Use] = []
    for part in parts:
        rows = versions.get(part.artifact_id, [])
        # A name that nobody believes must not keep those who are believed from erasing.
        names: set[str | None] = {
            str(row.name) for row in rows if worth(view, row) is Assurance.ATTESTED
        }
        uses += [Use(digests[part.artifact_id], part.path, name) for name in names or {None}]
    return sorted(uses, key=lambda use: (use.name or "", use.path, use.artifact))


def _subjects(seen: Preview) -> Sequence[ResourceDescriptor]:
    """The blob under every name by which it is needed: each is a claim to be authorised for."""
    named = {use.name: use.path for use in reversed(seen.uses)}
    return [
        ResourceDescriptor(name=name, digests=(sha256(blob.value),), annotations={"path": path})
        for blob in (seen.blob, *seen.runs)
        for name, path in sorted(named.items(), key=lambda item: item[0] or "")
    ]
