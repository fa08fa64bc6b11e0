"""The numbered recipe: from bytes, bundles, trust root and status to a verdict.

Pure: whoever calls it reads the files, knows the time and has walked the
lineage. Every step runs that can, so that a verdict names all that is wrong.
The numbers are those of the design; the steps that need a richer policy
(7 evidence and approvals, 8 ancestors, 10 policy) are not in this recipe yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import (
    BadBundle,
    BadKey,
    BadStatement,
    BytesDiffer,
    NotVerified,
    Quarantined,
    SignatureRefused,
    Undecided,
)
from stemma_attestations.grants import distinct
from stemma_attestations.guarding import guarded
from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion, subject_name
from stemma_attestations.observed import Observed, differences
from stemma_attestations.policy import BUILTIN, Policy
from stemma_attestations.predicates import mlbom, provenance
from stemma_attestations.statement import Statement
from stemma_attestations.times import Times
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Step, Verdict


@dataclass(frozen=True)
class Evidence:
    """A bundle's bytes, their digest, and the public key (DER) stored beside it, if any."""

    digest: Digest
    raw: bytes
    key: bytes | None


@dataclass(frozen=True)
class Stop:
    """A quarantine that reaches the artifact; `path` explains how, a line a hop."""

    target: str
    reason: str
    by: str
    bundle: Digest
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatusView:
    """What is quarantined upstream, as of ledger entry `entry`.

    `suspects` would stop the artifact if the word they rest on were believed.
    `undecided` says why the answer is not known.
    """

    entry: int
    stops: tuple[Stop, ...] = ()
    suspects: tuple[Stop, ...] = ()
    undecided: str | None = None


@dataclass(frozen=True)
class Request:
    """Everything a verdict depends on.

    `roots` are the bytes of the Sigstore trusted roots that `trust` asks for.
    """

    resource: str
    name: NameVersion | None
    resolution: tuple[str, ...]
    expected: Manifest
    observed: Observed
    evidence: Sequence[Evidence]
    trust: TrustRoot
    status: StatusView
    now: datetime
    policy: Policy = BUILTIN
    roots: Mapping[Digest, bytes] = field(default_factory=dict)
    # Steps that were run elsewhere, since they need more than is in here.
    further: tuple[Step, ...] = ()


@dataclass(frozen=True)
class _Signed:
    """A statement whose signature verified, who made it, and what proves when."""

    bundle: Digest
    statement: Statement
    signer: str
    certified: Certified | None = None
    signed: Times = ()


def verify(request: Request) -> Verdict:
    """Run the recipe.

    Returns the verdict if every step passed. Raises the most severe of
    BytesDiffer, SignatureRefused, Quarantined, NotVerified, else Undecided;
    the error carries the verdict with all steps.
    """
    signed, signatures = _signatures(request)
    accepted, signers = _signers(request, signed)
    steps = (
        Step.passed(1, "reference resolved", *request.resolution),
        _bytes(request),
        signatures,
        signers,
        _provenance(request, accepted),
        _bom(request, accepted),
        *request.further,
        _status(request.status),
    )
    verdict = Verdict(
        resource=request.resource,
        artifact=request.expected.digest,
        name=request.name,
        steps=steps,
        trust_root=request.trust.digest,
        policy=request.policy.name,
        entry=request.status.entry,
        time=request.now,
        accepted=tuple(sorted(s.bundle for s in accepted)),
        warnings=tuple(_suspicion(stop) for stop in request.status.suspects),
    )
    return verdict.require()


def _bytes(request: Request) -> Step:
    title = "every byte is in the manifest and nothing else is there"
    lines = differences(request.expected, request.observed)
    if lines:
        return Step.failed(2, title, BytesDiffer, *lines)
    count = len(request.expected.entries)
    files = "1 file" if count == 1 else f"{count} files"
    return Step.passed(2, title, f"{files}, {request.expected.size} bytes hashed")


def _signatures(request: Request) -> tuple[list[_Signed], Step]:
    title = "signatures verify over their exact bytes"
    if not request.evidence:
        return [], Step.failed(3, title, SignatureRefused, "no signed statement is about it")
    signed, reasons = [], []
    for evidence in request.evidence:
        try:
            signed.append(_check(evidence, request))
        except (SignatureRefused, BadBundle, BadKey) as error:
            reasons.append(f"{evidence.digest.short}: {error}")
    if not signed:
        return [], Step.failed(3, title, SignatureRefused, *reasons)
    count = f"{len(signed)} of {len(request.evidence)} bundles"
    return signed, Step.passed(3, title, count, *reasons)


def _check(evidence: Evidence, request: Request) -> _Signed:
    bundle = Bundle.parse(evidence.raw)
    if bundle.digest != evidence.digest:
        raise BadBundle("the bundle's bytes are not those of its digest")
    if bundle.certificate is not None:
        return _check_certificate(bundle, request)
    key = request.trust.key(bundle.hint)
    if key is None and evidence.key is not None:
        key = PublicKey.parse(evidence.key)
    if key is None:
        raise SignatureRefused(f"public key {bundle.hint:.12} is not known")
    statement = bundle.verify(key)
    _check_subject(statement, request)
    times = dating.under_roots(bundle, key.id, request.trust.time, request.roots)
    return _Signed(evidence.digest, statement, key.id, signed=times)


def _check_certificate(bundle: Bundle, request: Request) -> _Signed:
    """Verify a keyless bundle under every trusted root that the trust root asks for."""
    from stemma_attestations import keyless  # what it stands on takes a second to import

    found = keyless.verify_each(bundle.raw, request.trust.roots, request.roots)
    who, signed = keyless.speaker(found)
    statement = found[who.root].statement
    _check_subject(statement, request)
    return _Signed(bundle.digest, statement, who.id, who, signed)


def _check_subject(statement: Statement, request: Request) -> None:
    if not statement.subjects_about(request.expected.digest):
        raise SignatureRefused("its statement is about other bytes")


def _signers(request: Request, signed: Sequence[_Signed]) -> tuple[list[_Signed], Step]:
    title = "a signer is authorised by the trust root"
    if not signed:
        return [], Step.failed(4, title, SignatureRefused, "there is no valid signature to judge")
    accepted, reasons = [], []
    for item in signed:
        refusal = _refusal(request, item)
        if refusal is None:
            accepted.append(item)
        else:
            reasons.append(refusal)
    if not accepted:
        return [], Step.failed(4, title, SignatureRefused, *dict.fromkeys(reasons))
    people = sorted({_trust(request, s).label(s.signer) for s in accepted})
    return accepted, Step.passed(4, title, f"signed by {', '.join(people)}")


def _refusal(request: Request, item: _Signed) -> str | None:
    """Why the statement does not count, or None if it does."""
    kind, trust = item.statement.predicate_type, _trust(request, item)
    names = [s.name for s in item.statement.subjects_about(request.expected.digest)]
    if request.name is not None and str(request.name) not in names:
        return f"{kind}: said about {names[0] or 'no name'}, not about {request.name}"
    if _principals(request, item):
        return None
    subject = str(request.name or names[0] or "what has no name")
    return trust.refusal(item.signer, kind, subject, item.signed)


def _about(request: Request, item: _Signed) -> list[str | None]:
    """The names that it counts for: the one that is asked about, else all that it names."""
    if request.name is not None:
        return [request.name.name]
    subjects = item.statement.subjects_about(request.expected.digest)
    names = [subject_name(subject.name) for subject in subjects]
    return [name.name if name else None for name in names]


def _principals(request: Request, item: _Signed) -> frozenset[str]:
    """As whom its signer may say it."""
    kind, trust = item.statement.predicate_type, _trust(request, item)
    return frozenset().union(
        *(
            trust.principals(item.signer, kind, about, request.now, item.signed)
            for about in _about(request, item)
        )
    )


def _too_few(request: Request, good: Sequence[_Signed]) -> str | None:
    """Why statements of one type that are all good do not suffice: too few principals."""
    kind = good[0].statement.predicate_type
    names = {about for item in good for about in _about(request, item)}
    asked = max(request.trust.needed(kind, name) for name in names)
    voices = [_principals(request, item) for item in good]
    count = distinct(voices)
    if count >= asked:
        return None
    who = ", ".join(sorted(set[str]().union(*voices)))
    return f"{kind} by {asked} distinct principals is asked for, and it is by {who} only"


def _trust(request: Request, item: _Signed) -> TrustRoot:
    """The trust root, knowing whom the signature names."""
    return request.trust.introducing(item.certified)


def _provenance(request: Request, accepted: Sequence[_Signed]) -> Step:
    title = "provenance is present and its materials are complete"
    if not request.policy.provenance:
        return Step.passed(5, title, "not asked for by the policy")
    reasons: list[str] = []
    good: list[_Signed] = []
    proved = ""
    for item in accepted:
        if item.statement.predicate_type != provenance.TYPE:
            continue
        try:
            view = provenance.parse(item.statement.predicate)
        except BadStatement as error:
            reasons.append(f"{item.bundle.short}: {error}")
            continue
        gaps = _gaps(request.policy, view)
        if not gaps:
            good.append(item)
            proved = proved or f"{view.build or view.build_type}, {len(view.inputs)} materials"
        reasons.extend(gaps)
    return _counted(request, Step.passed(5, title, proved), good, reasons, "provenance")


def _counted(
    request: Request, passed: Step, good: Sequence[_Signed], reasons: list[str], what: str
) -> Step:
    """The step as it passed where enough principals said it, else failed for the reasons."""
    few = _too_few(request, good) if good else None
    if good and few is None:
        return passed
    reasons = [few] if few else reasons or [f"no {what} by an authorised signer"]
    return Step.failed(passed.number, passed.title, NotVerified, *reasons)


def _gaps(policy: Policy, view: provenance.Provenance) -> list[str]:
    gaps = [
        f"material {material.name or material.uri or '(no name)'} has no digest"
        for material in view.materials
        if not material.digest("sha256") and not material.digest("gitCommit")
    ]
    if policy.commit and view.build not in policy.builds_without_commit:
        if view.source is None:
            gaps.append("no Git commit is recorded (run the job inside a Git checkout)")
        elif view.source.dirty:
            gaps.append(f"the checkout of commit {view.source.commit[:12]} had uncommitted changes")
    return gaps


def _bom(request: Request, accepted: Sequence[_Signed]) -> Step:
    title = "ML-BOM is present and its hashes agree with the manifest"
    if not request.policy.bom:
        return Step.passed(6, title, "not asked for by the policy")
    reasons: list[str] = []
    good: list[_Signed] = []
    proved = ""
    for item in accepted:
        if item.statement.predicate_type != mlbom.TYPE:
            continue
        document: Mapping[str, Any] = item.statement.predicate
        try:
            disagreements = guarded(partial(_disagreements, document, request), BadStatement)
        except BadStatement as error:
            reasons.append(f"{item.bundle.short}: {error}")
            continue
        if not disagreements:
            good.append(item)
            proved = proved or f"CycloneDX {document.get('specVersion')}"
        reasons.extend(disagreements)
    return _counted(request, Step.passed(6, title, proved), good, reasons, "ML-BOM")


def _disagreements(document: Mapping[str, Any], request: Request) -> tuple[str, ...]:
    mlbom.check(document)
    return tuple(mlbom.hashes_agree(document, request.expected))


def _status(status: StatusView) -> Step:
    title = "nothing upstream is quarantined"
    if status.stops:
        lines = [line for stop in status.stops for line in explain(stop)]
        return Step.failed(9, title, Quarantined, *lines)
    if status.undecided is not None:
        return Step.failed(9, title, Undecided, status.undecided)
    return Step.passed(9, title, f"as of ledger entry {status.entry}")


def explain(stop: Stop) -> tuple[str, ...]:
    """A quarantine and its path, a line each."""
    return (f"{stop.target} is quarantined by {stop.by}: {stop.reason}", *stop.path)


def _suspicion(stop: Stop) -> str:
    return (
        f"suspect, on a word that is not believed: {stop.target} is quarantined by {stop.by}: "
        f"{stop.reason}" + "".join(f"; {hop.strip()}" for hop in stop.path)
    )
