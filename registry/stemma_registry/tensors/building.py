"""Saying which tensors an artifact has that was pushed without a table of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.predicates import tensors as predicate
from stemma_attestations.tensor_table import Table
from stemma_attestations.trust import TrustRoot, described
from stemma_registry import gate
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import tensors
from stemma_registry.errors import NotFound
from stemma_registry.foreign import attached
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, record, settle
from stemma_registry.registry import snapshot as take
from stemma_registry.signing import Signer
from stemma_registry.tensors import making


@dataclass(frozen=True)
class Built:
    """What was read; `entry` is None where the signer had said it before."""

    found: Resolved
    table: Table
    entry: int | None
    warnings: tuple[str, ...]


def build(registry: Registry, trust: TrustRoot, signer: Signer, text: str, now: datetime) -> Built:
    """Read an artifact from the store, and say which tensors it has, in an entry of its own.

    Raises NotFound for what has none, BlobMissing, Damaged, LedgerBroken, Unavailable.
    """
    uploads = Uploads.begin(registry.store, registry.catalogue)
    with take(registry, trust, now) as view:
        found = resolve(view, text)
        manifest = gate.load_manifest(registry, view, found)
        subject, name = attached.subject_of(view, found)
    made = making.from_store(registry.store, manifest)
    table = made.table
    if table is None:
        why = "; ".join(made.notes) or "no file of it is safetensors or GGUF"
        raise NotFound(f"{found.label} has no tensors to take digests of: {why}")

    def is_said() -> bool:
        with take(registry, trust, now) as view:
            rows = tensors.tables(view.connection, artifacts=[found.node])
            return any(
                row.digest == table.digest
                and row.fact.about in (None, str(name))
                and view.trust.is_same(row.fact.signer, signer)
                for row in rows
            )

    entry, warnings = None, list(made.notes)
    if not is_said():
        (statement,) = made.statement(subject)
        event = Event(
            PUSH,
            bundles=(uploads.put(signer.sign(statement).raw),),
            keys=(*map(uploads.put, signer.keys), uploads.put(table.raw)),
        )
        entry = record(registry, trust, signer, now, lambda: [] if is_said() else [event], uploads)
    if entry is None:
        settle(registry)  # that it is there is a promise, too
    if not trust.lets(signer, predicate.TYPE, name.name if name else None, now):
        who = described(signer)
        warnings.append(f"the trust root does not let {who} say this about {name or text}")
    return Built(found, table, entry, tuple(warnings))
