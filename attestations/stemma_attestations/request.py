"""What a verdict depends on: gathered by the caller, judged by the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.lock import Member
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.policy import BUILTIN, Policy, Rule
from stemma_attestations.reasons import Edge
from stemma_attestations.rego import Evaluator
from stemma_attestations.times import Times
from stemma_attestations.trust import Assurance, TrustRoot
from stemma_attestations.verdict import Step


@dataclass(frozen=True)
class Evidence:
    """A bundle's bytes, their digest, and the public key (DER) stored beside it, if any."""

    digest: Digest
    raw: bytes
    key: bytes | None


@dataclass(frozen=True)
class Stop:
    """A quarantine that reaches the artifact; `path` explains how, a line a hop.

    `by` is who signed it to the trust root, with the key `key_id`; `edges` are the hops
    for machines. `statement` is the digest of what was signed, by which it is released and
    waived, and `own` says that it is of the artifact itself, a file or a name of it. `mark`
    is what kind of stop it is, in a word.
    """

    target: str
    reason: str
    by: str
    bundle: Digest
    path: tuple[str, ...] = ()
    key_id: str | None = None
    edges: tuple[Edge, ...] = ()
    statement: Digest | None = None
    own: bool = False
    mark: str = "quarantined"


@dataclass(frozen=True)
class Waived:
    """A stop that is let pass: by whom, why and until when; `bundle` is what says so."""

    stop: Stop
    by: str
    reason: str
    until: datetime
    bundle: Digest


@dataclass(frozen=True)
class StatusView:
    """What is quarantined upstream, as of ledger entry `entry`.

    `suspects` would stop the artifact if the word they rest on were believed.
    `undecided` says why the answer is not known, `waived` what would stop it but for a
    waiver. Where somebody asked how new it is,
    `age` is what was proved, or `stale` why it was not.
    """

    entry: int
    stops: tuple[Stop, ...] = ()
    suspects: tuple[Stop, ...] = ()
    undecided: str | None = None
    age: timedelta | None = None
    stale: str | None = None
    waived: tuple[Waived, ...] = ()

    def enforced(self, waivers: bool) -> StatusView:
        """The same; where no waivers are to count, with what they let pass among the stops."""
        if waivers or not self.waived:
            return self
        return replace(self, stops=(*self.stops, *(w.stop for w in self.waived)), waived=())


@dataclass(frozen=True)
class FileLook:
    """What the format checks say of one file: every format that it is, and what was found.

    `findings` are the words that a policy knows (dangerous, malformed, undecided, code)
    with a line for people each.
    """

    path: str
    formats: tuple[str, ...]
    findings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Vouching:
    """What one statement of provenance about an ancestor is worth, and what it leaves open.

    `commits` are those that it was built from.
    """

    assurance: Assurance
    gaps: tuple[str, ...] = ()
    bundle: Digest | None = None
    signer: str | None = None
    key_id: str | None = None
    commits: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceWord:
    """Something signed about a commit that verifies: a commit, a tag, or a source summary.

    `signer` is the id of the key or identity, `signed` what proves when. Of a summary `level` is
    that of the SLSA source track (0: none, or it did not pass) and `resource` the repository.
    """

    kind: str
    predicate_type: str
    signer: str
    certified: Certified | None = None
    signed: Times = ()
    level: int = 0
    resource: str | None = None


@dataclass(frozen=True)
class Ancestor:
    """Something upstream, `depth` edges away at the nearest.

    It was reached over edges that are worth `edges` at least. `provenance` is what each
    statement of its provenance is worth, `admitted` whether an admission of it is in
    force, `refused` why others are not; `code` says that it is a commit and not an artifact.
    `edge` is the one that leads to it on a nearest way; None where no rule refuses it.
    """

    label: str
    depth: int
    provenance: tuple[Vouching, ...] = ()
    admitted: bool = False
    refused: tuple[str, ...] = ()
    code: bool = False
    edges: Assurance = Assurance.ATTESTED
    edge: Edge | None = None


@dataclass(frozen=True)
class Sharer:
    """Something quarantined that shares tensors with the artifact, and nobody declared why.

    `share` is how much of the artifact's tensors, by bytes, 0 to 1; `lines` say what stops it.
    """

    label: str
    share: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class TensorView:
    """What was found by the artifact's tensors, or why that is not known."""

    sharers: tuple[Sharer, ...] = ()
    undecided: str | None = None


@dataclass(frozen=True)
class Request:
    """Everything a verdict depends on.

    `roots` are the bytes of the Sigstore trusted roots that `trust` asks for. `files`
    and `ancestors` are None where nobody looked: then what asks for them is undecided.
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
    stage: str | None = None
    stale_ok: str | None = None  # why an old status will do, if the policy lets it
    roots: Mapping[Digest, bytes] = field(default_factory=dict)
    files: Sequence[FileLook] | None = None
    ancestors: Sequence[Ancestor] | None = None
    tensors: TensorView | None = None  # None where nobody looked
    # What is signed about the commits that it and its ancestors were built from; None: nobody
    # looked, and what asks for it is undecided.
    sources: Mapping[str, Sequence[SourceWord]] | None = None
    # What believed statements call the bytes, where they are asked about by digest.
    also_named: tuple[str, ...] = ()
    # Steps that were run elsewhere, since they need more than is in here.
    further: tuple[Step, ...] = ()
    # Who evaluates Rego; None: then what asks for it is undecided.
    evaluator: Evaluator | None = None
    locked: Member | None = None  # what a lock says that it is, and who vouches for it
    # Of whoever gathered this, for people; no part of the judgement.
    notes: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the policy that hold here; none: nothing is allowed.

        Who asks by digest does not get around the rules for its names.
        """
        if self.name is not None:
            return self.policy.rules_for(self.name.name, self.stage)
        return self.policy.rules_for(None, self.stage, self.also_named)
