"""Policies held against tables of cases: what they allow and what they deny.

YAML, specified in docs/formats/policy.md. A case says what believed statements there
are about an artifact; the same steps judge it that judge a real one. Bytes, signatures
and quarantines are not in question here: no policy can waive them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stemma_attestations import json_strict, policy_source_rule, sources, yaml_strict
from stemma_attestations.accepted import Signed
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadJSON, BadName, BadPolicy
from stemma_attestations.grants import Grant
from stemma_attestations.keys import PublicKey
from stemma_attestations.listed import Signer
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.placed import Placed
from stemma_attestations.policy import Policy
from stemma_attestations.predicates import (
    admission,
    approval,
    git_signature,
    mlbom,
    provenance,
    verdict,
)
from stemma_attestations.rego import Evaluator
from stemma_attestations.relations import BUILDS
from stemma_attestations.request import (
    Ancestor,
    FileLook,
    Request,
    SourceWord,
    StatusView,
    Stop,
    Vouching,
)
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import Dated, format_time
from stemma_attestations.trust import Assurance, TrustRoot
from stemma_attestations.verdict import Outcome
from stemma_attestations.verify import policy_steps

FORMAT = "urn:stemma:policy-cases:v0.1"
_CASE = (
    "case",
    "name",
    "stage",
    "verdict",
    "because",
    "says",
    "source",
    "files",
    "ancestors",
    "suspect",
)
_BEHIND = ("by", "signed", "level", "repository")
_COMMIT = "c" * 40
_SAYING = ("by", "type", "build", "commit", "licences", "predicate", "stage", "age")
# Short names of the types that a case can make up by itself.
_KINDS = {"provenance": provenance.TYPE, "bom": mlbom.TYPE} | {
    "approval": approval.TYPE,
    "admission": admission.TYPE,
}
_CONTENT = b"the bytes of a case"
_MANIFEST = Manifest((Entry("model.safetensors", len(_CONTENT), Digest.of(_CONTENT)),))
_ROOT = Digest.of(b"the clock of the cases")


@dataclass(frozen=True)
class Result:
    """One case: what was expected and what came out, with the reasons against."""

    label: str
    line: int
    expected: str
    verdict: str
    reasons: tuple[str, ...]
    because: str

    @property
    def passed(self) -> bool:
        """Whether the policy did what the table says, for the reason that it says."""
        told = not self.because or any(self.because in reason for reason in self.reasons)
        return self.expected == self.verdict and told


def run(
    policy: Policy, raw: bytes, now: datetime, evaluator: Evaluator | None = None
) -> Iterator[Result]:
    """Judge every case of a table; `evaluator` evaluates what Rego the policy has.

    Raises BadPolicy for a table that cannot be read.
    """
    document = yaml_strict.load_placed(raw, BadPolicy)
    fields = document.fields(("format", "cases"), ("format", "cases"))
    if fields["format"].value != FORMAT:
        fields["format"].fail(f"{FORMAT} is expected")
    for item in fields["cases"].items():
        yield _judge(policy, item, now, evaluator)


def _judge(policy: Policy, at: Placed, now: datetime, evaluator: Evaluator | None) -> Result:
    fields = at.fields(_CASE, ("case", "name", "verdict"))
    name = _name(fields["name"])
    stage = fields["stage"].text() if "stage" in fields else None
    says = fields["says"].items() if "says" in fields else []
    signed = [_said(item, name, stage, now) for item in says]
    behind = fields["source"].items() if "source" in fields else []
    suspect = "suspect" in fields and fields["suspect"].flag()
    stops = (Stop("a case", "a case", "a case", _ROOT),) if suspect else ()
    request = Request(
        resource=str(name),
        name=name,
        resolution=(),
        expected=_MANIFEST,
        observed=Observed(_MANIFEST.entries),
        evidence=(),
        trust=_trust([*says, *behind]),
        status=StatusView(entry=0, suspects=stops),
        now=now,
        policy=policy,
        stage=stage,
        files=[_file(item) for item in fields["files"].items()] if "files" in fields else [],
        ancestors=[
            replace(_ancestor(item), edges=worth)
            for item in (fields["ancestors"].items() if "ancestors" in fields else [])
            for worth in (Assurance.ATTESTED, Assurance.SIGNED, Assurance.CLAIMED)
        ],
        evaluator=evaluator,
        sources={_COMMIT: [_behind(item) for item in behind]},
    )
    steps = policy_steps(request, signed, signed)
    reasons = tuple(
        f"{step.number} {line}"
        for step in steps
        if step.outcome is not Outcome.PASSED
        for line in step.details
    )
    return Result(
        label=fields["case"].text(),
        line=at.line,
        expected=fields["verdict"].choice("allow", "deny"),
        verdict="deny" if reasons else "allow",
        reasons=reasons,
        because=fields["because"].text() if "because" in fields else "",
    )


def _name(at: Placed) -> NameVersion:
    try:
        return NameVersion.parse(at.text())
    except BadName as error:
        at.fail(str(error))


def _key(principal: str) -> PublicKey:
    """Nothing is signed with it: it stands for somebody."""
    return PublicKey(f"the key of {principal} in a case".encode())


def _trust(says: list[Placed]) -> TrustRoot:
    """A trust root that believes everybody who says something, about anything."""
    everything = (Grant(("*",), ("**",)),)
    known = (*_SAYING, *_BEHIND)
    people = dict.fromkeys(item.fields(known, ("by",))["by"].text() for item in says)
    signers = tuple(Signer(person, everything, _key(person)) for person in people)
    return TrustRoot(signers, _ROOT, time=(_ROOT,))


def _said(at: Placed, name: NameVersion, stage: str | None, now: datetime) -> Signed:
    fields = at.fields(_SAYING, ("by", "type"))
    kind = fields["type"].text()
    predicate = _predicate(at, fields, kind, stage, now)
    subject = ResourceDescriptor(name=str(name), digests=(_MANIFEST.digest,))
    statement = Statement.build([subject], _KINDS.get(kind, kind), predicate)
    age = fields["age"].length() if "age" in fields else None
    signed = () if age is None else (Dated(now - age, _ROOT),)
    key = _key(fields["by"].text())
    return Signed(Digest.of(statement.raw), statement, key.id, signed=signed)


def _predicate(
    at: Placed, fields: Mapping[str, Placed], kind: str, stage: str | None, now: datetime
) -> dict[str, Any]:
    if "predicate" in fields:
        try:
            return json_strict.load_object(fields["predicate"].text().encode())
        except BadJSON as error:
            fields["predicate"].fail(f"not a JSON object: {error}")
    if kind == "provenance":
        return _provenance(fields, now)
    if kind == "bom":
        return _bom(fields)
    if kind == "approval":
        where = fields["stage"].text() if "stage" in fields else stage
        return approval.build(approval.Approval(where or "none", "a case", now), at.path)
    if kind == "admission":
        return admission.build(admission.Admission("a case", now, None), at.path)
    return at.fail("`predicate` is missing: a JSON object, as text")


def _provenance(fields: Mapping[str, Placed], now: datetime) -> dict[str, Any]:
    commit = fields["commit"].choice("clean", "dirty", "none") if "commit" in fields else "clean"
    source = None
    if commit != "none":
        source = provenance.GitSource(_COMMIT, "d" * 40, dirty=commit == "dirty")
    return provenance.build(
        build=fields["build"].choice(*BUILDS) if "build" in fields else "train",
        kind="model",
        inputs=[],
        parameters={},
        source=source,
        builder="urn:stemma:policy-case",
        started=format_time(now),
        finished=format_time(now),
    )


def _bom(fields: Mapping[str, Placed]) -> dict[str, Any]:
    """A BOM of the case's artifact, as short as one can be."""

    def hashed(digest: Digest) -> list[dict[str, str]]:
        return [{"alg": "SHA-256", "content": digest.value}]

    licences = fields["licences"].texts() if "licences" in fields else ()
    files = [
        {"type": "file", "name": e.path, "bom-ref": e.path, "hashes": hashed(e.sha256)}
        for e in _MANIFEST.entries
    ]
    main = {
        "type": "machine-learning-model",
        "bom-ref": "main",
        "name": "case",
        "hashes": hashed(_MANIFEST.digest),
        "components": files,
        "licenses": [{"license": {"name": one}} for one in licences],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": main},
    }


def _behind(at: Placed) -> SourceWord:
    """Something signed about the commit of the case's provenance."""
    fields = at.fields(_BEHIND, ("by",))
    key = _key(fields["by"].text()).id
    if ("signed" in fields) == ("level" in fields):
        at.fail("one of `signed` (commit, tag) and `level` is expected")
    if "signed" in fields:
        kind = fields["signed"].choice(sources.COMMIT, sources.TAG)
        return SourceWord(kind, git_signature.TYPE, key)
    level = policy_source_rule.LEVELS.index(fields["level"].choice(*policy_source_rule.LEVELS)) + 1
    where = fields["repository"].text() if "repository" in fields else None
    return SourceWord(sources.SUMMARY, verdict.TYPE, key, level=level, resource=where)


def _file(at: Placed) -> FileLook:
    fields = at.fields(("path", "formats", "findings"), ("path",))
    findings = fields["findings"].items() if "findings" in fields else []
    words = [item.choice("dangerous", "malformed", "undecided", "code") for item in findings]
    return FileLook(
        fields["path"].text(),
        fields["formats"].texts() if "formats" in fields else (),
        tuple((word, word) for word in words),
    )


def _ancestor(at: Placed) -> Ancestor:
    fields = at.fields(("name", "depth", "provenance", "admitted"), ("name", "provenance"))
    word = fields["provenance"].choice("attested", "signed", "claimed", "none")
    return Ancestor(
        fields["name"].text(),
        fields["depth"].integer(1, 10_000) if "depth" in fields else 1,
        () if word == "none" else (Vouching(Assurance(word)),),
        "admitted" in fields and fields["admitted"].flag(),
    )
