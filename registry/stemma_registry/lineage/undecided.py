"""Why nothing can be decided, whatever is asked about."""

from __future__ import annotations

from stemma_attestations.predicates import status
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import statuses
from stemma_registry.catalogue.acts import UNKNOWN
from stemma_registry.registry import Snapshot


def everywhere(snapshot: Snapshot) -> str | None:
    """Why; None where nothing is in the way.

    Somebody may have stopped it and cannot be verified here, or there is a believed
    status that this version does not understand.
    """
    if snapshot.doubt is not None:
        return snapshot.doubt
    for row in statuses.statuses(snapshot.connection, UNKNOWN):
        said = row.fact
        about = said.signer, status.TYPE, said.name, None, said.signed
        if snapshot.trust.assurance(*about) is Assurance.ATTESTED:
            return (
                f"status statement {said.bundle.short} is of a kind that this version does "
                "not understand; a newer stemma is needed"
            )
    return None
