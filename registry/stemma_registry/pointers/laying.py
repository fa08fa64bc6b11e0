"""Say how an artifact that is known is committed: one statement, for it was published before."""

from __future__ import annotations

from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import git_layout
from stemma_attestations.predicates.git_layout import Layout
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry import layouts
from stemma_registry.care.uploads import Uploads
from stemma_registry.foreign import attached
from stemma_registry.foreign.attest import signed_event
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry, record, snapshot
from stemma_registry.signing import Signer


def say(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    artifact: Digest,
    layout: Layout | None,
    now: datetime,
) -> int | None:
    """The entry that says it; None where that goes without saying, or the signer said it.

    Raises LedgerBroken, Unavailable.
    """
    if layout is None or not layout.fits:
        return None
    with snapshot(registry, trust, now) as view:
        found = resolve(view, str(artifact))
        subject, _ = attached.subject_of(view, found)
        if layouts.is_said(view, registry.store, found.node, layout, signer):
            return None
    uploads = Uploads.begin(registry.store, registry.catalogue)
    statement = Statement.build([subject], git_layout.TYPE, git_layout.build(layout))
    event = signed_event(uploads, signer, statement)
    return record(registry, trust, signer, now, lambda: [event], uploads)
