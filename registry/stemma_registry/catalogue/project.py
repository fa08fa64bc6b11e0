"""Projection: from ledger entries to rows, one entry in one transaction.

What a statement says becomes rows; a statement that cannot be read becomes a
row that says so (no signer) and makes no edge, so that garbage in the ledger
blocks nobody. A blob that is *missing or damaged* stops the projection: what it
said is not known, and nothing can be decided without it.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from functools import partial

from sqlalchemy import Connection, update
from sqlalchemy import Table as SqlTable

from stemma_attestations import edges as said_edges
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import NODES, Digest
from stemma_attestations.errors import (
    BadBundle,
    BadKey,
    BadStatement,
    Malformed,
    SignatureRefused,
)
from stemma_attestations.guarding import guarded
from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import split_name
from stemma_attestations.predicates import (
    deployment,
    mlbom,
    provenance,
    record_index,
    stage,
    status,
    waiver,
)
from stemma_attestations.statement import Statement
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import (
    acts,
    aliases,
    bulk,
    collection,
    dated_facts,
    deployed,
    halts,
    keyless_facts,
    linked,
    made,
    packages,
    record_facts,
    said,
    stages,
    tensors,
)
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.held import NONE_HELD, Held
from stemma_registry.catalogue.keyless_facts import Proven
from stemma_registry.catalogue.nodes import Nodes
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, LedgerBroken
from stemma_registry.ledger.entry import KNOWN, Event, LedgerEntry

_ARTIFACT = ("id", "size", "files", "n")
_FILE = ("artifact_id", "path", "blob_id", "size")
_STATEMENT = ("id", "bundle", "predicate_type", "signer", "root", "signed", "n", "time")
_VERSION = ("id", "name", "version", "kind", "definition", "artifact_id", "statement_id")
_KEEP = "INSERT INTO kept (blob) VALUES (:blob) ON CONFLICT DO NOTHING"
_EARLY = (
    "SELECT id, bundle FROM statement WHERE predicate_type = :kind "
    "AND id IN (SELECT statement_id FROM subject WHERE node_id = :node) ORDER BY id"
)


@dataclass
class Projector:
    """Writes the rows of one entry on one connection (inside its transaction)."""

    connection: Connection
    store: Store
    held: Held = NONE_HELD
    known: InitVar[Nodes | None] = None  # that there are
    nodes: Nodes = field(init=False)
    artifacts: set[int] = field(default_factory=set)  # those that were met

    def __post_init__(self, known: Nodes | None) -> None:
        self.nodes = known or Nodes.still(None, self.connection, None)

    def project(self, entry: LedgerEntry) -> None:
        """Insert everything the entry says. Raises LedgerBroken."""
        for event in entry.events:
            if event.type not in KNOWN:
                continue  # not critical, or it would not have been read
            keys = self._keys(event, entry)
            for digest in event.artifacts:
                self._artifact(digest, entry)
            there = said.known(self.connection, event.bundles)
            for digest in dict.fromkeys(event.bundles):
                if digest in there:
                    self._again(digest, there[digest], keys, entry)
                else:
                    self._bundle(digest, keys, entry)
            for digest in event.keys:
                self._keep(digest)
            if len({key.id for key in keys.values()}) < len(event.keys):
                tensors.project(
                    self.connection, event, self.nodes.one, partial(self._blob, entry=entry)
                )
            collection.project(self.connection, event, entry)

    def _keep(self, digest: Digest) -> None:
        """Note a blob that is referred to and has no row elsewhere."""
        if digest.value in self.nodes.kept:
            return
        bulk.run(self.connection, _KEEP, blob=bytes.fromhex(digest.value))
        if len(self.nodes.kept) < LIMITS.nodes_met:
            self.nodes.kept.add(digest.value)

    def _blob(self, digest: Digest, entry: LedgerEntry) -> bytes:
        try:
            return get_bytes(self.store, digest, LIMITS.manifest_bytes)
        except (BlobMissing, Damaged) as error:
            raise LedgerBroken(
                f"ledger entry {entry.n} refers to a blob that is not there or damaged "
                f"({digest}); run `stemma audit`"
            ) from error

    def _keys(self, event: Event, entry: LedgerEntry) -> dict[str, PublicKey]:
        keys: dict[str, PublicKey] = {}
        for digest in event.keys:
            try:
                key = PublicKey.parse(self._blob(digest, entry))
            except BadKey:
                continue  # its bundles then have no signer
            keys.update(dict.fromkeys(key.hints, key))
        return keys

    def _artifact(self, digest: Digest, entry: LedgerEntry) -> None:
        known = self.nodes.there(digest)
        if known is not None and self._is_artifact(known):
            return
        try:
            manifest = Manifest.parse(self._blob(digest, entry))
        except Malformed:
            self._keep(digest)
            self.nodes.one(digest)
            return  # not a manifest: the node stays, nothing can be served from it
        before = self.nodes.new
        blobs = self.nodes.of([item.sha256 for item in manifest.entries])
        new = self.nodes.new - before == len(set(blobs))
        # Behind its files, whose ids say what cannot be one (see `made`).
        node = self.nodes.one(digest)
        whole = (node, manifest.size, len(manifest.entries), entry.n)
        bulk.write(self.connection, t.artifact, _ARTIFACT, [whole])
        files = [
            (node, item.path, blob, item.size)
            for item, blob in zip(manifest.entries, blobs, strict=True)
        ]
        bulk.write(self.connection, t.manifest_entry, _FILE, files)
        self.artifacts.add(node)
        made.of_artifact(self.connection, node, blobs, self.nodes, new=new)
        halts.of_artifact(self.connection, node)
        if known is not None:
            self._named_before(node, entry)
        read = partial(self._blob, entry=entry)
        aliases.of_artifact(self.connection, node, manifest, self.nodes.there, read)

    def _named_before(self, node: int, entry: LedgerEntry) -> None:
        """Bind names by statements that came before the artifact: whoever brought them early.

        One bundle at a time, and each once for each of its subjects, however often it is said.
        """
        kind = t.CODES[provenance.TYPE]
        for row, bundle in bulk.ask(self.connection, _EARLY, node=node, kind=kind):
            raw = self._blob(Digest("sha256", bundle.hex()), entry)
            try:
                statement = Bundle.parse(raw).statement()
                view = provenance.parse(statement.predicate)
            except (BadBundle, BadStatement):
                continue  # it said nothing then either
            self._bind(row, statement, view, {node})

    def _bundle(self, digest: Digest, keys: dict[str, PublicKey], entry: LedgerEntry) -> None:
        raw = self._blob(digest, entry)
        who: dict[str, object] = {"signer": None}
        statement, verified, proven = None, None, Proven()
        try:
            bundle = Bundle.parse(raw)
            key = keys.get(bundle.hint)
            if bundle.certificate is not None or key is None:
                statement = bundle.statement()
            else:
                statement, good = _said(bundle, key)
                if good:
                    who = {"signer": key.id, "root": dated_facts.mark(bundle)}
                    verified = bundle, key.id
            if bundle.certificate is not None:
                proven = keyless_facts.prove(raw, self.held.roots)
                who = keyless_facts.columns(self.connection, proven)
        except (BadBundle, BadStatement, SignatureRefused):
            who = {"signer": None}
        link = linked.read(raw) if statement is None else None
        if link is not None:
            who = {"signer": linked.signer(link, keys)}
        none = linked.TYPE if link else ""
        kind = statement.predicate_type if statement else none
        by = (who["signer"], who.get("root"), who.get("signed"))
        row = self._id(t.statement)
        rows = [(row, digest.value, kind, *by, entry.n, entry.time)]
        bulk.write(self.connection, t.statement, _STATEMENT, rows)
        if verified is not None:
            if who["root"] is not None:  # it says something about its time
                times = dated_facts.prove(*verified, self.held.roots)
                dated_facts.record(self.connection, row, times)
        else:
            keyless_facts.record(self.connection, row, proven)
        if statement is not None:
            said.write_subjects(self.connection, row, statement, self.nodes)
            self._says(row, statement)
        elif link is not None:
            said.write_edges(self.connection, row, linked.edges(link), self.nodes)

    def _again(
        self, digest: Digest, there: said.Known, keys: dict[str, PublicKey], entry: LedgerEntry
    ) -> None:
        """A bundle that has its row. Whoever came first without its key withholds nothing."""
        row, signed = there
        if signed or not keys:
            return
        try:
            bundle = Bundle.parse(self._blob(digest, entry))
            key = keys.get(bundle.hint)
            if key is not None:
                bundle.verify(key)
                change = update(t.statement).where(t.statement.c.id == row)
                values = {"signer": key.id, "root": dated_facts.mark(bundle), "heard": entry.n}
                self.connection.execute(change.values(values))
                times = dated_facts.prove(bundle, key.id, self.held.roots)
                dated_facts.record(self.connection, row, times)
        except BadBundle:
            self._sign_link(row, digest, keys, entry)
        except SignatureRefused:
            pass

    def _sign_link(
        self, row: int, digest: Digest, keys: dict[str, PublicKey], entry: LedgerEntry
    ) -> None:
        link = linked.read(self._blob(digest, entry))
        by = linked.signer(link, keys) if link else None
        if by is not None:
            change = update(t.statement).where(t.statement.c.id == row)
            self.connection.execute(change.values(signer=by, heard=entry.n))

    def _says(self, row: int, statement: Statement) -> None:
        """Rows for what the predicate says; none for a predicate that breaks its schema."""
        if statement.predicate_type == status.TYPE:
            acts.project_status(self.connection, row, statement)
            return
        try:
            if statement.predicate_type == provenance.TYPE:
                self._provenance(row, statement)
                return
            said.write_edges(self.connection, row, said_edges.of(statement), self.nodes)
            if statement.predicate_type == deployment.TYPE:
                deployed.project(self.connection, row, deployment.check(statement))
            elif statement.predicate_type == waiver.TYPE:
                acts.project_waiver(self.connection, row, waiver.parse(statement.predicate))
            elif statement.predicate_type == stage.TYPE:
                at = stage.parse(statement)
                stages.project(self.connection, row, statement, at, self.nodes.one(at.artifact))
            elif statement.predicate_type in aliases.TYPES:
                aliases.of_statement(self.connection, row, statement, self.nodes.one)
            elif statement.predicate_type == mlbom.TYPE:
                self._bom(row, statement)
            elif statement.predicate_type == record_index.TYPE:
                record_facts.project(self.connection, row, statement.predicate)
        except BadStatement:
            return

    def _bom(self, row: int, statement: Statement) -> None:
        known = self.nodes.environments
        if packages.project(self.connection, row, statement.predicate, known):
            about = [one for s in statement.subjects if (one := s.first(*NODES))]
            made.of_files(self.connection, self.nodes.of(about), self.nodes)

    def _provenance(self, row: int, statement: Statement) -> None:
        view = guarded(partial(provenance.parse, statement.predicate), BadStatement)
        said.write_edges(self.connection, row, said_edges.of_build(statement, view), self.nodes)
        outputs = [d for s in statement.subjects if (d := s.digest("sha256"))]
        nodes = set(self.nodes.of(outputs))
        self._bind(row, statement, view, {n for n in nodes if self._is_artifact(n)})

    def _bind(
        self, row: int, statement: Statement, view: provenance.Provenance, artifacts: set[int]
    ) -> None:
        """The names that a statement gives to these artifacts."""
        if view.kind is None:
            return
        for subject in statement.subjects:
            name, digest = split_name(subject.name), subject.digest("sha256")
            if name is None or digest is None:
                continue
            node = self.nodes.one(digest)
            if node not in artifacts:
                continue
            said_of = (*name, view.kind, view.definition.value, node, row)
            bulk.write(self.connection, t.version, _VERSION, [(self._id(t.version), *said_of)])

    def _is_artifact(self, node: int) -> bool:
        if node not in self.artifacts:
            if not bulk.ask(self.connection, "SELECT 1 FROM artifact WHERE id = :id", id=node):
                return False
            self.artifacts.add(node)
        return True

    def _id(self, table: SqlTable) -> int:
        (given,) = bulk.ids(self.connection, table, 1, self.nodes.given)
        return given


def _said(bundle: Bundle, key: PublicKey) -> tuple[Statement, bool]:
    """What a bundle says, read once, and whether the key made its signature.

    Raises BadBundle, BadStatement.
    """
    try:
        return bundle.verify(key), True
    except SignatureRefused:
        return bundle.statement(), False
