"""The document that Rego decides on: what the gate knows, after steps 1 to 9.

Specified in docs/formats/policy-input.md. What is not there is absent, never null: in
Rego an absent field is undefined, and a null would be something that is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from stemma_attestations import ancestry, canonical, sources
from stemma_attestations.accepted import Signed, principals
from stemma_attestations.errors import BadStatement
from stemma_attestations.evidence import dated
from stemma_attestations.guarding import guarded
from stemma_attestations.predicates import provenance
from stemma_attestations.predicates.provenance import Provenance
from stemma_attestations.request import Ancestor, FileLook, Request, SourceWord, StatusView, Stop
from stemma_attestations.times import format_time
from stemma_attestations.verdict import Step

FORMAT = "urn:stemma:policy-input:v0.1"


def build(
    request: Request, steps: Sequence[Step], good: Sequence[Signed], signed: Sequence[Signed]
) -> bytes:
    """The document as canonical JSON. Raises BadJSON for what has no such form.

    `good` are the statements that are believed, `signed` all whose signatures verify.
    """
    document = {
        "format": FORMAT,
        "resource": request.resource,
        **_name(request),
        "artifact": _artifact(request, good),
        **_moment("time", request.now),
        "trust_root": str(request.trust.digest),
        "policy": {
            "name": request.policy.name,
            "digest": str(request.policy.digest),
            "source": dict(request.policy.source),
        },
        "steps": [_step(step) for step in steps],
        "statements": [_statement(request, signed, item) for item in good],
        "status": _status(request.status),
    }
    if request.stage is not None:
        document["stage"] = request.stage
    if request.files is not None:
        document["files"] = [_file(look) for look in request.files]
    if request.ancestors is not None:
        document["ancestors"] = [_ancestor(one) for one in request.ancestors]
    if request.sources is not None:
        document["sources"] = [
            {"commit": commit, "words": _words(request, words)}
            for commit, words in sorted(request.sources.items())
        ]
    return canonical.dumps(document)


def _moment(field: str, time: datetime) -> dict[str, Any]:
    """A time twice: for people, and in whole seconds since 1970 for arithmetic."""
    return {field: format_time(time), f"{field}_s": int(time.timestamp())}


def _name(request: Request) -> dict[str, Any]:
    if request.name is not None:
        return {"name": request.name.name, "version": request.name.version}
    return {"also_named": list(request.also_named)}


def _artifact(request: Request, good: Sequence[Signed]) -> dict[str, Any]:
    manifest = request.expected
    return {
        "digest": str(manifest.digest),
        "size": manifest.size,
        "kinds": sorted({one.kind for item in good if (one := _built(item)) and one.kind}),
        "entries": [
            {"path": entry.path, "size": entry.size, "sha256": entry.sha256.value}
            for entry in manifest.entries
        ],
    }


def _built(item: Signed) -> Provenance | None:
    """What a statement says, if it is provenance that can be read."""
    if item.statement.predicate_type != provenance.TYPE:
        return None
    try:
        return guarded(lambda: provenance.parse(item.statement.predicate), BadStatement)
    except BadStatement:
        return None


def _step(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "title": step.title,
        "outcome": str(step.outcome),
        "details": list(step.details),
    }


def _statement(request: Request, signed: Sequence[Signed], item: Signed) -> dict[str, Any]:
    since, built = dated(request, signed, item), _built(item)
    about = item.statement.subjects_about(request.expected.digest)
    return {
        "type": item.statement.predicate_type,
        "bundle": str(item.bundle),
        "signer": item.signer,
        "principals": sorted(principals(request, item)),
        "subjects": [subject.name for subject in about if subject.name is not None],
        "predicate": dict(item.statement.predicate),
        **({} if since is None else _moment("signed", since)),
        **({} if built is None else {"commits": list(built.commits)}),
    }


def _words(request: Request, words: Sequence[SourceWord]) -> list[dict[str, Any]]:
    """What is signed about a commit by whoever may say so about everything that is asked about."""
    believed = ((word, sources.principals(request, word)) for word in words)
    return [
        {
            "kind": word.kind,
            "signer": word.signer,
            "principals": sorted(who),
            **({"level": word.level} if word.level else {}),
            **({} if word.resource is None else {"repository": word.resource}),
        }
        for word, who in believed
        if who
    ]


def _file(look: FileLook) -> dict[str, Any]:
    return {
        "path": look.path,
        "formats": list(look.formats),
        "findings": [{"kind": kind, "text": text} for kind, text in look.findings],
    }


def _ancestor(one: Ancestor) -> dict[str, Any]:
    return {
        "label": one.label,
        "depth": one.depth,
        "standing": ancestry.standing(one),
        "edges": str(one.edges),
        "admitted": one.admitted,
        "commit": one.code,
    }


def _status(status: StatusView) -> dict[str, Any]:
    document: dict[str, Any] = {
        "entry": status.entry,
        "stops": [_stop(stop) for stop in status.stops],
        "suspects": [_stop(stop) for stop in status.suspects],
    }
    if status.age is not None:
        document["age_s"] = int(status.age.total_seconds())
    if status.stale is not None:
        document["stale"] = status.stale
    if status.undecided is not None:
        document["undecided"] = status.undecided
    return document


def _stop(stop: Stop) -> dict[str, Any]:
    return {
        "target": stop.target,
        "reason": stop.reason,
        "by": stop.by,
        "statement": str(stop.bundle),
        "path": list(stop.path),
    }
