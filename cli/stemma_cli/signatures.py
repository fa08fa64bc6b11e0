"""`audit --signatures`: what was verified again, and what another trust root would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stemma_cli import output
from stemma_cli.session import Session, progress

if TYPE_CHECKING:
    from stemma_attestations.digest import Digest
    from stemma_registry.care.audit import Report
    from stemma_registry.care.signature_audit import Verified
    from stemma_registry.trust.change import Affected, Change, Side

_KINDS = ("statements", "edges", "names")


@dataclass(frozen=True)
class Again:
    """What was found, to be shown. `verified` is None where nothing could be verified."""

    verified: Verified | None
    trust: Digest
    limit: int

    def document(self) -> dict[str, Any] | None:
        """For `--json`."""
        found = self.verified
        if found is None:
            return None
        return {
            "statements": found.statements,
            "unsigned": found.unsigned,
            "differences": found.differences,
            "trust": str(self.trust),
            "change": _change(found.change) if found.change else None,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        found = self.verified
        if found is None:
            return
        unsigned = f", {found.unsigned} of them with no signature that verifies"
        again = f"{output.count(found.statements, 'statement')} verified again"
        yield f"{again}{unsigned if found.unsigned else ''}"
        if found.change is not None:
            yield from _lines(found.change, self.trust, self.limit)


def run(session: Session, report: Report, other: str | None, limit: int) -> Again:
    """Verify, and add what is wrong with the catalogue to the report."""
    from stemma_attestations.errors import StemmaError
    from stemma_registry.care.audit import UNREADABLE, Finding
    from stemma_registry.care.signature_audit import Question, verify
    from stemma_registry.registry import open_store

    trust, then = session.trust(), session.trust(other) if other is not None else None
    store = open_store(session.location, session.home, cached=False)
    try:
        with progress("verifying", "entries") as advance:
            question = Question(trust, session.now, then, limit)
            found = verify(session.open(), store, question, advance)
    except StemmaError as error:
        text = f"they could not be verified again: {error}"
        report.findings.append(Finding(UNREADABLE, "signatures", text))
        return Again(None, trust.digest, limit)
    report.findings += found.findings
    return Again(found, trust.digest, limit)


def _change(change: Change) -> dict[str, Any]:
    return {
        "trust": str(change.trust),
        "signers": [_signer(one) for one in change.signers.values()],
        "artifacts": _side(change.artifacts),
        "quarantines": _side(change.quarantines),
    }


def _signer(one: Affected) -> dict[str, Any]:
    return {
        "signer": one.signer,
        "lost": {kind: one.lost[kind] for kind in _KINDS},
        "gained": {kind: one.gained[kind] for kind in _KINDS},
        "listed": [
            {
                "what": moved.what,
                "about": moved.about,
                "before": moved.before,
                "after": moved.after,
                "bundle": str(moved.bundle),
            }
            for moved in one.listed
        ],
    }


def _side(side: Side) -> dict[str, Any]:
    listed = [{"is": what, "about": about} for what, about in side.listed]
    return {"lost": side.lost, "gained": side.gained, "listed": listed}


def _lines(change: Change, trust: Digest, limit: int) -> Iterator[str]:
    yield f"under the trust root {change.trust.short} instead of {trust.short}:"
    nothing = True
    for one in change.signers.values():
        nothing = False
        yield f"  {one.signer}"
        for counts, text in ((one.lost, "attested -> signed"), (one.gained, "signed -> attested")):
            if counts:
                yield f"    {text}: {_counted(counts)}"
        for moved in one.listed:
            yield f"      {'-' if moved.before == 'attested' else '+'} {moved.about}"
        yield from _more(sum(one.lost.values()) + sum(one.gained.values()), limit, 6)
    for side, lost, gained in (
        (change.artifacts, "no longer believed", "believed anew"),
        (change.quarantines, "no longer in force", "in force anew"),
    ):
        what = "artifacts" if side is change.artifacts else "quarantines"
        for count, text in ((side.lost, lost), (side.gained, gained)):
            if count:
                nothing = False
                yield f"  {_times(count, what)} {text}"
        for is_, about in side.listed:
            yield f"      {'-' if is_ == 'lost' else '+'} {about}"
        yield from _more(side.lost + side.gained, limit, 6)
    if nothing:
        yield "  nothing changes"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(_times(counts[kind], kind) for kind in _KINDS if counts[kind])


def _times(count: int, things: str) -> str:
    return f"{count} {things if count != 1 else things.removesuffix('s')}"


def _more(count: int, limit: int, indent: int) -> Iterator[str]:
    if count > limit:
        yield f"{' ' * indent}... and {count - limit} more (--limit)"
