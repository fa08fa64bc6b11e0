"""What `verify` leaves in the ledger beside its answer: the verdict, where the thing runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stemma_cli import output
from stemma_cli.session import Session
from stemma_cli.signers import Choice

if TYPE_CHECKING:
    from stemma_attestations.predicates.deployment import Spot
    from stemma_attestations.verdict import Verdict


@dataclass(frozen=True)
class Ledger:
    """The ledger, as whoever asked for a verdict writes to it."""

    session: Session
    trust: str | None
    sign: Choice

    def record(self, verdict: Verdict, asked: bool) -> dict[str, Any]:
        """Record the verdict where that was asked for, or an old status had to do.

        A yes that was to be recorded and cannot be is none. What let an old status pass is
        recorded if it can be: the registry may be the very thing that is down. Returns
        `recorded`, the entry or None, where there was something to record.
        """
        from stemma_attestations.errors import StemmaError
        from stemma_registry.stages.recording import record_verdict

        if not asked and not (verdict.passed and verdict.let_pass):
            return {"recorded": None} if verdict.let_pass else {}
        session = self.session
        try:
            registry, signer = session.open(), session.signer(self.sign)
            done = record_verdict(registry, session.trust(self.trust), signer, verdict, session.now)
        except StemmaError as error:
            if asked and verdict.passed:
                raise
            what = "that an old status did" if verdict.passed else "the verdict"
            output.note(f"WARNING: {what} is NOT recorded in the ledger: {error}")
            return {"recorded": None}
        for warning in done.warnings:
            output.note(f"warning: {warning}")
        return {"recorded": done.entry}

    def report(self, verdict: Verdict, spot: Spot, life: timedelta) -> dict[str, Any]:
        """The deployment record that was left after a yes, or why it could not be."""
        from stemma_attestations.errors import StemmaError
        from stemma_attestations.predicates.deployment import VERIFIED, Deployment
        from stemma_cli.reports import document_of
        from stemma_registry import deploying

        session, now = self.session, self.session.now
        said = Deployment(
            spot, VERIFIED, deploying.new_instance(), now, now, now + life, verdict.entry
        )
        try:
            signer = session.signer(self.sign)
            with session.view(self.trust) as (registry, view):
                subjects = deploying.subjects_of(view, [verdict])
            left = deploying.leave(registry, session.trust(self.trust), signer, subjects, said)
        except StemmaError as error:
            return {"error": str(error)}
        return document_of(left)


def tell(more: dict[str, Any]) -> None:
    """What was left, for people."""
    if more.get("recorded") is not None:
        output.line(f"  recorded in ledger entry {more['recorded']}")
    report = more.get("report")
    if report is None:
        return
    if "error" in report:
        output.note(f"stemma: NOT REPORTED: {report['error']}")
        return
    for warning in report["warnings"]:
        output.note(f"warning: {warning}")
    output.line(f"  reported: on {report['host']}, ledger entry {report['entry']}")
