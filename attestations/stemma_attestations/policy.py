"""What must be true before something is served: rules by name and stage.

YAML, specified in docs/formats/policy.md. Whole bytes, a believed signature and no
quarantine are always required, and no policy can waive them. Every rule that matches
a name and a stage must hold; where none does, nothing is allowed: the empty policy
allows nothing.

Each requirement is met by *one* statement that is good, whatever others say. So a
document that goes missing never turns a no into a yes; what must stop an artifact is
a quarantine, which is state (in-toto's monotonic principle).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from stemma_attestations import policies
from stemma_attestations.digest import Digest
from stemma_attestations.names import name_matches

FORMAT = "urn:stemma:policy:v0.1"
# Steps that run code have a Git commit, and the checkout was clean; `import` runs nothing.
WITHOUT_COMMIT = frozenset({"import"})


class Suspects(StrEnum):
    """What a stop amounts to that rests on a word which is not believed."""

    WARN = "warn"
    DENY = "deny"


class Recheck(StrEnum):
    """What it takes to check a directory again that this machine has found whole before."""

    HASH = "hash"
    STAT = "stat"


@dataclass(frozen=True)
class SourceRule:
    """What stands behind every commit that something was built from.

    `signed` and `tagged` are principals, one of whom signed the commit or a tag of it (`any`:
    whoever the trust root lets; empty: not asked for). `level` is that of the SLSA source
    track (0: not asked for), of a summary by one of `verified_by` about `repository`.
    """

    signed: tuple[str, ...] = ()
    tagged: tuple[str, ...] = ()
    level: int = 0
    verified_by: tuple[str, ...] = ()
    repository: str | None = None

    @property
    def principals(self) -> frozenset[str]:
        """Whom it asks for by name."""
        return frozenset((*self.signed, *self.tagged, *self.verified_by)) - {"any"}


@dataclass(frozen=True)
class ProvenanceRule:
    """Signed provenance whose materials all have digests.

    `by` are principals, one of whom must have signed it (empty: whoever the trust root
    lets); `builds` the build types that will do (empty: any); `commit` asks for a Git
    commit and a clean checkout, `source` for what stands behind it. With `admitted` a
    signed admission does instead.
    """

    by: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    commit: bool = True
    admitted: bool = False
    source: SourceRule | None = None


@dataclass(frozen=True)
class BomRule:
    """A CycloneDX ML-BOM whose hashes agree; `licences` are SPDX ids (empty: any, or none)."""

    by: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()


@dataclass(frozen=True)
class AncestorRule:
    """What every ancestor needs, up to `depth` edges away (None: all of them).

    `assurance` is the least that its edges and its provenance may rest on: `attested`,
    `signed` or `claimed`. With `admitted` a signed admission does instead of provenance.
    `source` is what the rule asks about commits.
    """

    assurance: str = "attested"
    depth: int | None = None
    admitted: bool = True
    source: SourceRule | None = None


@dataclass(frozen=True)
class Check:
    """A condition on a field of a predicate; a field that is not there fails it.

    `pointer` is a JSON pointer (RFC 6901). Exactly one of the others is there.
    """

    pointer: str
    equals: str | bool | None = None
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class EvidenceRule:
    """A statement of this type about the artifact, that passes.

    A test result passes as its format says; other types where all `checks` hold.
    `max_age` is held against the trusted time of its signature: without one it is too old.
    """

    predicate_type: str
    by: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    max_age: timedelta | None = None
    max_severity: float | None = None  # of a vulnerability report: a CVSS score


@dataclass(frozen=True)
class FilesRule:
    """What the files may be, told by their bytes.

    Only `formats` (empty: any), none of `without`. What the format checks call
    dangerous, malformed or undecided never passes; what is code-like, where `code` is set.
    """

    formats: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    code: bool = True


@dataclass(frozen=True)
class ApprovalRule:
    """Approvals of exactly these bytes for the stage, by distinct principals.

    `by` may list who may approve. Nobody approves what he made.
    """

    count: int = 1
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class TensorsRule:
    """Nothing that is quarantined shares tensors with it, unless they are declared kin.

    `share` is the least that counts, of the bytes of its own tensors (0 to 1; 0: any tensor).
    """

    share: float = 0.0


@dataclass(frozen=True)
class RegoRule:
    """Rego that has to allow it: a module (text), or a document of a running OPA (a URL).

    A module that stands in a `file` of its own is pinned by its `digest`; it is None until
    somebody read it. `label` says where the policy asks for it.
    """

    module: str | None = None
    file: str | None = None
    digest: Digest | None = None
    opa: str | None = None
    label: str = field(default="", compare=False)


@dataclass(frozen=True)
class Rule:
    """What is asked of the names that match, at these stages (empty: any, or none)."""

    names: tuple[str, ...]
    stages: tuple[str, ...] = ()
    provenance: ProvenanceRule | None = field(default_factory=ProvenanceRule)
    bom: BomRule | None = field(default_factory=BomRule)
    ancestors: AncestorRule | None = None
    evidence: tuple[EvidenceRule, ...] = ()
    files: FilesRule | None = None
    approvals: ApprovalRule | None = None
    tensors: TensorsRule | None = None
    rego: RegoRule | None = None
    max_age: timedelta | None = None
    label: str = ""

    def covers(self, name: str | None, stage: str | None) -> bool:
        """Whether it is about a name at a stage. Only `**` is about what has no name."""
        if self.stages and stage not in self.stages:
            return False
        if name is None:
            return "**" in self.names
        return any(name_matches(pattern, name) for pattern in self.names)

    @property
    def principals(self) -> frozenset[str]:
        """Whom it asks for by name."""
        asked: list[ProvenanceRule | BomRule | ApprovalRule | EvidenceRule | None]
        asked = [self.provenance, self.bom, self.approvals, *self.evidence]
        named = frozenset(who for one in asked if one is not None for who in one.by)
        return named | (self.source.principals if self.source else frozenset())

    @property
    def source(self) -> SourceRule | None:
        """What it asks about commits."""
        return None if self.provenance is None else self.provenance.source


@dataclass(frozen=True)
class Policy:
    """Rules, and what holds for all of them.

    `source` says for people where it came from (a file, or a commit of a repository).
    `max_age` is how old the status may be, unless a rule asks for less; `stale_ok`
    permits break-glass, and `recheck` not to read files again that look as they did.
    """

    name: str
    digest: Digest
    rules: tuple[Rule, ...]
    stages: tuple[str, ...] = ("dev", "staging", "prod")
    max_age: timedelta | None = None
    stale_ok: bool = False
    on_suspect: Suspects = Suspects.WARN
    waivers: bool = True
    recheck: Recheck = Recheck.HASH
    source: Mapping[str, str] = field(default_factory=dict)

    def rules_for(
        self, name: str | None, stage: str | None, also: tuple[str, ...] = ()
    ) -> tuple[Rule, ...]:
        """The rules that must all hold, those for further names too; none: not allowed."""
        names = (name, *also)
        return tuple(rule for rule in self.rules if any(rule.covers(one, stage) for one in names))


# As it is written in `policies`, without the price of reading YAML in every process.
BUILTIN = Policy(
    "builtin:v0.1", Digest.of(policies.BUILTIN), (Rule(("**",), label="rules[1], line 4"),)
)
