"""A scan as evidence: a signed test result about the artifact whose blobs were looked at."""

from __future__ import annotations

from datetime import datetime

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_attestations.predicates import test_result
from stemma_attestations.trust import TrustRoot
from stemma_registry import gate
from stemma_registry.foreign.attest import Attested, attest
from stemma_registry.formats import scan
from stemma_registry.formats.report import Report
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry, Snapshot, snapshot
from stemma_registry.signing import Signer


def look(registry: Registry, view: Snapshot, text: str) -> tuple[Report, Digest]:
    """Look at what a reference names: the report, and which artifact it is about.

    Raises NotFound, Undecided.
    """
    found = resolve(view, text)
    manifest = gate.load_manifest(registry, view, found)
    return scan.of_artifact(registry.store, manifest), found.digest


def look_and_say(
    registry: Registry, trust: TrustRoot, signer: Signer, text: str, now: datetime
) -> tuple[Report, Attested]:
    """Look at what a reference names, and sign the result, whatever it is.

    Raises what `attest` raises.
    """
    with snapshot(registry, trust, now) as view:
        report, digest = look(registry, view, text)
    said = (text, test_result.TYPE, canonical.dumps(report.predicate()))
    return report, attest(registry, trust, signer, said, now, expected=digest)
