"""What is asked before something is served, and what is asked again while it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from stemma_attestations.errors import NotVerified, Quarantined, Undecided
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.verdict import Verdict
from stemma_attestations.verify import explain
from stemma_registry import freshness, gate, policy_source
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS, Home
from stemma_registry.gate import TERMS, Terms
from stemma_registry.lineage import status
from stemma_registry.reference import looks_like_reference
from stemma_registry.registry import Registry, Snapshot, open_registry, snapshot
from stemma_registry.trust import source as trust_source


@dataclass(frozen=True)
class Place:
    """Who is asked, by whom, and whose word counts: a registry, a home, a trust root."""

    location: str
    home: Home
    trust: str | None = None

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        registry: str | None = None,
        home: Path | None = None,
        trust: str | None = None,
    ) -> Place:
        """What is not said comes from where the command line has it."""
        base = Home.of(environ)
        base = replace(base, path=home.absolute()) if home is not None else base
        return cls(registry or environ.get("STEMMA_REGISTRY") or str(base.registry), base, trust)

    def terms(self, policy: str | None = None, stage: str | None = None) -> Terms:
        """What a verdict holds an artifact to: that policy, else the one the home names.

        Raises NotFound, BadSettings, BadPolicy.
        """
        return Terms(policy_source.chosen(policy, self.home), stage)

    @contextlib.contextmanager
    def view(self) -> Iterator[tuple[Registry, Snapshot]]:
        """The registry at its head, under the trust root as it is now.

        Raises NotFound, Unavailable, LedgerBroken, BadTrustRoot.
        """
        registry = open_registry(self.location, self.home)
        with contextlib.closing(registry):
            if self.trust is not None:
                trust = trust_source.Source.parse(self.trust).load(lambda: registry.store)
            else:
                trust = trust_source.of_home(self.home, lambda: registry.store)
            with snapshot(registry, trust, datetime.now(UTC)) as view:
                yield registry, view


@dataclass(frozen=True)
class Question:
    """What is to be judged, as for `verify`: a reference, or a directory and what it should be."""

    subject: str
    expected: NameVersion | None = None
    terms: Terms = TERMS

    @property
    def directory(self) -> Path | None:
        """The directory that is judged, if it is one."""
        if self.expected is None and looks_like_reference(self.subject):
            return None
        return Path(self.subject)


@dataclass(frozen=True)
class Approved:
    """A yes: the verdict, the files it covers, and where their bytes are to be had."""

    question: Question
    verdict: Verdict
    manifest: Manifest


def judge(
    registry: Registry, view: Snapshot, question: Question, progress: Progress | None
) -> Verdict:
    """The gate's verdict. The only place in this room that asks for one. Raises as the gate."""
    root = question.directory
    if root is None:
        return gate.verify_reference(registry, view, question.subject, progress, question.terms)
    return gate.verify_directory(registry, view, root, question.expected, progress, question.terms)


def approve(
    registry: Registry,
    view: Snapshot,
    questions: Sequence[Question],
    progress: Progress | None = None,
) -> list[Approved]:
    """Every question's yes, in one snapshot; one no is a no to all. Raises as the gate."""
    found = []
    for question in questions:
        verdict = judge(registry, view, question, progress).require()
        if verdict.artifact is None:
            raise NotVerified(f"{question.subject}: there is no artifact to serve", verdict)
        raw = get_bytes(registry.store, verdict.artifact, LIMITS.manifest_bytes)
        found.append(Approved(question, verdict, Manifest.parse(raw)))
    return found


def check_standing(registry: Registry, view: Snapshot, approved: Approved) -> None:
    """Ask the status step again, how new it is included, without reading a file.

    Raises Quarantined for what is stopped by now, and Undecided where that cannot be told.
    """
    subject, verdict = approved.question.subject, approved.verdict
    node = query.node_id(view.connection, approved.manifest.digest)
    if node is None:
        raise Undecided(f"{subject}: the registry does not know it any more")
    if not view.trust.signers:
        raise Undecided(f"{subject}: the trust root believes nobody any more")
    upstream = status.view(view, node, verdict.name)
    for stop in upstream.stops:
        raise Quarantined(f"{subject}: {'; '.join(map(str.strip, explain(stop)))}")
    if upstream.undecided:
        raise Undecided(f"{subject}: {upstream.undecided}")
    limit = gate.age_limit(approved.question.terms, verdict.rules)
    if limit is not None:
        fresh = freshness.ask(registry, view, limit)
        if fresh.age is None:
            raise Undecided(f"{subject}: {fresh.contradicted or fresh.stale}")
