"""Predicates: each reader gets every statement, whatever type it says it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from stemma_attestations import canonical, edges
from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import (
    attachment,
    checkpoint,
    dataset,
    deployment,
    dossier,
    imported,
    lineage,
    mlbom,
    provenance,
    signature,
    snapshot,
    stage,
    status,
    tags,
    verdict,
)
from stemma_attestations.statement import Statement
from tests.building import manifest_of

Reader = Callable[[Statement], object]
MANIFEST = manifest_of()


def _as(statement: Statement, kind: str) -> Statement:
    """The statement, if it said that it is of another type."""
    document = json.loads(statement.raw)
    document["predicateType"] = kind
    return Statement.parse(canonical.dumps(document))


def _provenance(statement: Statement) -> None:
    view = provenance.parse(statement.predicate)
    assert len(view.definition.value) == 64
    for item in view.inputs:
        assert item.digest.algorithm in ("sha256", "gitCommit", "gitTree")
        assert item.relation
    assert view.build is None or view.build_type == provenance.BUILD_TYPES[view.build]


def _lineage(statement: Statement) -> None:
    for edge in lineage.parse(statement):
        assert statement.subjects_about(edge.output)


def _status(statement: Statement) -> None:
    view = status.parse(statement.predicate)
    assert bool(view.releases) == (view.action == status.RELEASE)
    if view.action == status.RELEASE:
        again = status.parse(status.build_release(view.reason, view.issued, view.releases))
        assert set(again.releases) == set(view.releases)


def _attachment(statement: Statement) -> None:
    view = attachment.parse(statement.predicate)
    assert attachment.parse(attachment.build(view)) == view


def _dataset(statement: Statement) -> None:
    view = dataset.parse(statement.predicate)
    assert min(view.files, view.size) >= 0


def _deployment(statement: Statement) -> None:
    view = deployment.check(statement)
    assert (view.until is None) == (view.state == deployment.STOPPED)
    assert view.spot.check().host.isprintable()
    assert view.since <= view.issued


def _imported(statement: Statement) -> None:
    view = imported.parse(_as(statement, imported.TYPE).predicate)
    if view.source in imported.SOURCES:
        again = imported.parse(imported.build(view.source, view.edges))
        assert set(again.edges) == set(view.edges)


def _tags(statement: Statement) -> None:
    view = tags.parse(_as(statement, tags.TYPE))
    again = tags.parse(tags.build(view.repository, view.document, view.tags))
    assert sorted(again.tags, key=str) == sorted(view.tags, key=str)


def _edges(statement: Statement) -> None:
    """Of whatever type it says it is, and as each of the types that give edges."""
    for kind in (statement.predicate_type, *sorted(edges._READERS)):
        with contextlib.suppress(BadStatement):
            for edge in edges.of(_as(statement, kind)):
                assert edge.input.relation


def _dossier(statement: Statement) -> None:
    view = dossier.parse(statement.predicate)
    assert dossier.parse(dossier.build(view)) == view


def _checkpoint(statement: Statement) -> None:
    view = checkpoint.parse(_as(statement, checkpoint.TYPE))
    assert checkpoint.parse(checkpoint.build(view)) == view


def _snapshot(statement: Statement) -> None:
    view = snapshot.parse(_as(statement, snapshot.TYPE))
    assert snapshot.parse(snapshot.build(view)) == view


def _stage(statement: Statement) -> None:
    said = stage.parse(statement)
    assert statement.subjects_about(said.artifact)
    again = Statement.build(statement.subjects, stage.TYPE, stage.build(said.move, "n"))
    assert stage.build(stage.parse(again).move, "n") == again.predicate


def _signature(statement: Statement) -> None:
    for kind in (signature.TYPE, signature.TYPE_V0):
        try:
            view = signature.parse(_as(statement, kind))
        except BadStatement:
            if kind == signature.TYPE_V0:
                raise
            continue
        assert view.files
        same = signature.differences(view, view.files, {}, ())
        assert same == (), same


def _verdict(statement: Statement) -> None:
    view = verdict.parse(statement.predicate)
    assert view.verifier
    assert view.resource


def _mlbom(statement: Statement) -> None:
    document: dict[str, Any] = dict(statement.predicate)
    mlbom.hashes_agree(document, MANIFEST)  # any object: it says what differs
    mlbom.licences(document)
    mlbom.check(document)


READERS: tuple[Reader, ...] = (
    *(_provenance, _lineage, _status, _attachment, _dataset, _deployment),
    *(_dossier, _checkpoint, _snapshot, _stage, _signature, _verdict, _mlbom),
    *(_imported, _edges, _tags),
)


def predicates(data: bytes) -> bool:
    """Each reader refuses with BadStatement, or its result keeps its promises."""
    try:
        statement = Statement.parse(data)
    except BadStatement:
        return False
    accepted = False
    for reader in READERS:
        try:
            reader(statement)
        except BadStatement as error:
            assert "\n" not in str(error), f"a message of several lines: {error!s:.200}"
        else:
            accepted = True
    return accepted
