"""Edges of other tools in a registry: shown with their marks, and worth what they are worth."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.documents import card, openlineage
from stemma_attestations.errors import BadName
from stemma_attestations.marks import Mark
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import lineage, mlbom_edges, provenance, spdx
from stemma_attestations.relations import SAME_AS
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import Assurance
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.compare import differences
from stemma_registry.errors import NotFound, Refused, Unavailable
from stemma_registry.foreign.attach import Given, attach
from stemma_registry.foreign.attest import signed_event
from stemma_registry.importing import project, taking, tracking
from stemma_registry.importing.taking import Document, Taken
from stemma_registry.lineage.climbing import Climb
from stemma_registry.lineage.status import edge_worth
from stemma_registry.lineage.trace import Direction, Trace, trace
from stemma_registry.reference import resolve
from stemma_registry.registry import record
from tests.attestations.test_documents import CARD, EVENTS, run
from tests.attestations.test_edges import bom, related, spdx_document
from tests.world import World

BUILD = {
    "buildDefinition": {"buildType": "https://example.org/train", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://example.org/ci"}},
}


def digest_of(world: World, ref: str) -> Digest:
    with world.view() as view:
        return resolve(view, ref).digest


def say(world: World, kind: str, predicate: Any, *about: str, by: str = "owner") -> Digest:
    """Sign and append a statement about artifacts here, by NAME:VERSION."""
    subjects = [ResourceDescriptor(name=ref, digests=(digest_of(world, ref),)) for ref in about]
    statement = Statement.build(subjects, kind, predicate)
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    event = signed_event(uploads, world.signer(by), statement)
    record(world.registry, world.trust, world.signer(by), world.now, lambda: [event], uploads)
    return statement.digest


def built_from(*materials: Any) -> dict[str, Any]:
    definition = {**BUILD["buildDefinition"], "resolvedDependencies": list(materials)}
    return {**BUILD, "buildDefinition": definition}


def bytes_of(world: World, ref: str) -> dict[str, Any]:
    return {"digest": {"sha256": digest_of(world, ref).value}}


def traced(world: World, ref: str, direction: Direction = Direction.UP) -> Trace:
    with world.view() as view:
        return trace(view, resolve(view, ref).node, direction)


def said(world: World, ref: str, direction: Direction = Direction.UP) -> set[tuple[str, ...]]:
    """(label of the far end, relation, assurance, mark) of every edge but to commits."""
    found = traced(world, ref, direction)
    return {
        (found.nodes[found.far_end(e)].label, e.relation, str(e.assurance), str(e.mark))
        for e in found.edges
        if not found.nodes[e.input].label.startswith("git:")
    }


def is_rebuilt_the_same(world: World, folder: Path) -> None:
    """A fresh projection of the ledger says the same of everything."""
    world.registry.catalogue.catch_up()
    with contextlib.closing(Catalogue.open(folder / "fresh.sqlite3", world.store)) as fresh:
        fresh.catch_up()
        with world.registry.catalogue.reading() as ours, fresh.reading() as theirs:
            assert [str(one) for one in differences(ours, theirs)] == []


def test_provenance_of_another_builder_carries_a_quarantine(world: World, tmp_path: Path) -> None:
    world.push("acme/d:1")
    world.push("acme/m:1", kind="model")
    world.push("acme/n:1", kind="model")
    say(world, provenance.TYPE, built_from(bytes_of(world, "acme/d:1")), "acme/m:1", "acme/n:1")
    assert said(world, "acme/m:1") == {("acme/d:1", "derived-from", "attested", "cartesian")}
    world.quarantine("acme/d:1")
    assert world.code("acme/m:1") == world.code("acme/n:1") == 11
    is_rebuilt_the_same(world, tmp_path)
    world.rebuild()
    assert said(world, "acme/m:1") == {("acme/d:1", "derived-from", "attested", "cartesian")}


@pytest.mark.parametrize("kind", [mlbom_edges.TYPE, spdx.TYPE])
def test_what_a_document_says_is_worth_what_its_signer_may_say(world: World, kind: str) -> None:
    world.push("acme/m:1", kind="model")
    document = (
        bom() if kind == mlbom_edges.TYPE else spdx_document(related("model", "trainedOn", "data"))
    )
    say(world, kind, document, "acme/m:1", by="stranger")
    assert {one[2] for one in said(world, "acme/m:1")} <= {"signed", "claimed"}
    say(world, kind, document, "acme/m:1")
    worth = {(one[2], one[3]) for one in said(world, "acme/m:1")}
    assert ("attested", "exact") in worth
    assert all(mark == "exact" for assurance, mark in worth if assurance == "attested")


def test_a_name_is_a_claim_whoever_signs_and_a_commit_of_the_hub_is_not(world: World) -> None:
    world.push("acme/m:1", kind="model")
    commit = "hf:acme/base@" + "ab" * 20
    say(world, provenance.TYPE, built_from({"uri": "hf:acme/base"}, {"uri": commit}), "acme/m:1")
    assert said(world, "acme/m:1") == {
        ("hf:acme/base", "derived-from", "claimed", "name-based"),
        (commit, "derived-from", "attested", "exact"),
    }
    assert said(world, commit, Direction.DOWN) == {
        ("acme/m:1", "derived-from", "attested", "exact")
    }
    for text in ("hf:acme/base", commit):
        with pytest.raises(Refused, match="a name stops no bytes"):
            world.quarantine(text)
    with world.view() as view, pytest.raises(NotFound, match="no statement speaks of"):
        resolve(view, "hf:acme/other")
    with world.view() as view, pytest.raises(BadName):
        resolve(view, "hf:a/b/c")


def test_an_artifact_may_be_called_like_a_thing(world: World) -> None:
    world.push("hf:gpt2", kind="model")
    world.push("acme/m:1", kind="model")
    say(world, provenance.TYPE, built_from({"uri": "hf:gpt2"}), "acme/m:1")
    with world.view() as view:
        assert resolve(view, "hf:gpt2").name == NameVersion("hf", "gpt2")
        assert resolve(view, "hf://gpt2").digest.short == "hf:gpt2"


# --- links ----------------------------------------------------------------------------------


def link(world: World, materials: dict[str, bytes], products: dict[str, bytes], by: str) -> bytes:
    """A link that in-toto's library makes and signs, as `in-toto-run` writes it."""
    from in_toto.models.link import Link
    from in_toto.models.metadata import Metablock
    from securesystemslib.signer import CryptoSigner

    def listed(files: dict[str, bytes]) -> dict[str, dict[str, str]]:
        return {path: {"sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()}

    made = Metablock(
        signed=Link(name="train", materials=listed(materials), products=listed(products))
    )
    made.create_signature(CryptoSigner(world.signer(by).private))
    return json.dumps(made.to_dict()).encode()


def test_a_classic_link_gives_edges_by_the_key_that_signed_it(world: World, tmp_path: Path) -> None:
    world.push("acme/d:1", {"data.csv": b"rows"})
    world.push("acme/m:1", {"model.bin": b"weights"}, kind="model")
    raw = link(world, {"data.csv": b"rows"}, {"model.bin": b"weights"}, "worker")
    given = Given([("train.link", raw)], [world.signer("worker").public])
    attach(world.registry, world.trust, world.signer("owner"), "acme/m:1", given, world.now)
    weights = f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    (edge,) = [e for e in traced(world, weights).edges if e.relation == "derived-from"]
    assert edge.assurance is Assurance.SIGNED
    world.trust_also("worker")
    (edge,) = [e for e in traced(world, weights).edges if e.relation == "derived-from"]
    assert edge.assurance is Assurance.ATTESTED
    assert edge.mark is Mark.EXACT
    is_rebuilt_the_same(world, tmp_path)


# --- the same thing -------------------------------------------------------------------------


def test_the_same_thing_passes_a_quarantine_on_when_it_is_attested_only(world: World) -> None:
    world.push("acme/a:1")
    world.push("acme/b:1")
    world.push("acme/c:1", None, "derived-from=acme/b:1")
    world.quarantine("acme/a:1")
    edge = {
        "output": bytes_of(world, "acme/b:1"),
        "relation": SAME_AS,
        "input": bytes_of(world, "acme/a:1"),
    }
    say(world, lineage.TYPE, {"edges": [edge]}, "acme/b:1", by="stranger")
    assert world.code("acme/c:1") == 0
    assert ("acme/a:1", SAME_AS, "signed", "exact") in said(world, "acme/c:1")
    assert ("acme/b:1", SAME_AS, "signed", "exact") in said(world, "acme/a:1", Direction.DOWN)
    say(world, lineage.TYPE, {"edges": [edge]}, "acme/b:1")
    assert world.code("acme/c:1") == 11


def test_the_same_thing_is_the_same_seen_from_the_other_end(world: World) -> None:
    world.push("acme/a:1")
    world.push("acme/b:1")
    edge = {
        "output": bytes_of(world, "acme/b:1"),
        "relation": SAME_AS,
        "input": bytes_of(world, "acme/a:1"),
    }
    say(world, lineage.TYPE, {"edges": [edge]}, "acme/b:1")
    world.quarantine("acme/b:1")
    assert world.code("acme/a:1") == 11
    assert said(world, "acme/a:1") == {("acme/b:1", SAME_AS, "attested", "exact")}


# --- imports --------------------------------------------------------------------------------


def bring(world: World, document: Document, *pairs: tuple[str, str], by: str = "owner") -> Taken:
    with world.view() as view:
        taking.same(world.registry, view, document.reading, pairs)
    return taking.take(world.registry, world.trust, world.signer(by), document, world.now)


def events() -> Document:
    raw = json.dumps(EVENTS).encode()
    return Document("events.json", raw, openlineage.SOURCE, openlineage.read(raw, 10**6))


def a_card(world: World, ref: str) -> Document:
    raw = CARD % b"finetune"
    return Document("README.md", raw, card.SOURCE, card.read(raw, digest_of(world, ref)))


def test_an_import_is_a_claim_of_whoever_signs_it_and_there_once(
    world: World, tmp_path: Path
) -> None:
    world.push("acme/m:1", kind="model")
    done = bring(world, a_card(world, "acme/m:1"))
    assert done.entry is not None
    assert bring(world, a_card(world, "acme/m:1")).entry is None
    assert bring(world, a_card(world, "acme/m:1"), by="other").entry is not None
    found = said(world, "acme/m:1")
    assert ("hf:datasets/squad", "trained-on", "claimed", "name-based") in found
    assert {one[2] for one in found} == {"claimed"}
    assert world.store.size(done.document) == len(CARD % b"finetune")
    assert world.code("acme/m:1") == 0
    is_rebuilt_the_same(world, tmp_path)


def test_an_imported_edge_between_artifacts_neither_blocks_nor_is_hidden(world: World) -> None:
    world.push("acme/raw:1")
    world.push("acme/m:1", kind="model")
    pairs = ("s3://lake/raw/x.parquet", "acme/raw:1"), ("s3://lake/clean/x", "acme/m:1")
    bring(world, events(), *pairs)
    world.quarantine("acme/raw:1")
    assert world.code("acme/m:1") == 0
    labels = {one[0] for one in said(world, "acme/raw:1", Direction.DOWN)}
    assert {"s3://lake/raw/x.parquet", "s3://lake/clean/x", "acme/m:1"} <= labels


def test_a_document_that_says_nothing_is_refused(world: World) -> None:
    raw = b"[]"
    empty = Document("x", raw, "mlflow", card.Reading())
    with pytest.raises(Refused, match="nothing in it"):
        bring(world, empty)
    with pytest.raises(Refused, match="is no name of a thing"):
        bring(world, events(), ("nonsense", "acme/m:1"))


def test_a_document_that_is_called_like_an_artifact_names_none(world: World) -> None:
    document = events()
    called = Document("prod:1", document.raw, document.source, document.reading)
    bring(world, called)
    with world.registry.catalogue.reading() as connection:
        names = connection.execute(t.subject.select()).all()
    assert [row for row in names if row.name == "prod"] == []


def test_the_walk_of_the_gate_takes_a_claim_for_one(world: World) -> None:
    world.push("acme/m:1", kind="model")
    commit = "hf:acme/base@" + "ab" * 20
    say(world, provenance.TYPE, built_from({"uri": "hf:acme/base"}, {"uri": commit}), "acme/m:1")
    bring(world, a_card(world, "acme/m:1"))
    with world.view() as view:
        start = [(resolve(view, "acme/m:1").node, "acme/m")]
        names = {}
        for least in (Assurance.ATTESTED, Assurance.CLAIMED):
            nodes = {state[0] for state in Climb(view).parents(start, least)}
            names[least] = {str(one) for one in query.digests(view.connection, nodes).values()}
        slow = {
            str(query.digests(view.connection, [e.input_id])[e.input_id])
            for e in query.edges_into(view.connection, [start[0][0]])
            if edge_worth(view, e, "acme/m") is Assurance.ATTESTED
        }
    assert names[Assurance.ATTESTED] == slow
    assert {"hf:acme/base", "hf:datasets/squad"} <= names[Assurance.CLAIMED] - slow
    assert commit in slow


# --- a project on disk ----------------------------------------------------------------------


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def lock(raw: bytes, files: dict[str, bytes]) -> str:
    listed = [{"md5": md5(data), "relpath": path} for path, data in sorted(files.items())]
    whole = md5(json.dumps(listed, sort_keys=True).encode())
    return (
        "schema: '2.0'\nstages:\n  train:\n    cmd: python train.py\n    deps:\n"
        f"    - path: data.csv\n      hash: md5\n      md5: {md5(raw)}\n      size: 4\n"
        "    outs:\n"
        f"    - path: model\n      hash: md5\n      md5: {whole}.dir\n      size: 7\n"
    )


def test_files_of_a_project_are_the_artifacts_that_they_are(world: World, tmp_path: Path) -> None:
    files = {"model.bin": b"weights", "sub/config.json": b"{}"}
    world.push("acme/m:1", files, kind="model")
    world.push("acme/d:1", {"data.csv": b"rows"})
    folder = tmp_path / "project"
    (folder / "model" / "sub").mkdir(parents=True)
    for path, data in files.items():
        (folder / "model" / path).write_bytes(data)
    (folder / "data.csv").write_bytes(b"rows")
    (folder / "dvc.lock").write_text(lock(b"rows", files))
    done = bring(world, project.read(folder, None))
    assert {str(one.output) for one in done.claims} == {str(digest_of(world, "acme/m:1"))}
    assert ("acme/m:1", "derived-from", "claimed", "exact") in said(
        world, "acme/d:1", Direction.DOWN
    )


def test_what_is_not_there_changed_or_lies_elsewhere_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.bin").symlink_to("/etc/hostname")
    (folder / "data.csv").write_bytes(b"other")
    (folder / "dvc.lock").write_text(lock(b"rows", {"model.bin": b"weights"}))
    (only,) = project.read(folder, "example.org/p").reading.claims
    assert str(only.input) == f"path:example.org/p/data.csv@md5:{md5(b'rows')}"
    assert str(only.output).startswith("path:example.org/p/model@md5:")
    assert str(next(iter(project.read(folder, None).reading.claims)).input).startswith(
        "path:project/data.csv@"
    )
    text = lock(b"rows", {}).replace("data.csv", "../../../etc/hostname")
    (folder / "dvc.lock").write_text(text)
    (only,) = project.read(folder, "p").reading.claims
    assert str(only.input).startswith("path:p/../../../etc/hostname@md5:")
    with pytest.raises(NotFound):
        project.read(tmp_path, None)


# --- a tracking server ----------------------------------------------------------------------


@contextlib.contextmanager
def server(answers: Sequence[tuple[int, bytes]]) -> Iterator[tuple[str, list[Any]]]:
    """Answers in order, by the shapes of MLflow's REST interface; and what was asked."""
    asked: list[Any] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, json.loads(body), self.headers.get("Authorization")))
            code, data = left.pop(0)
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{httpd.server_port}", asked
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def test_a_tracking_server_is_asked_page_by_page() -> None:
    first = json.dumps({"experiments": [{"experiment_id": "1", "name": "Default"}]}).encode()
    pages = [json.dumps({"runs": [run()], "next_page_token": "next"}).encode()]
    pages.append(json.dumps({"runs": [run()]}).encode())
    with server([(200, first), *((200, page) for page in pages)]) as (where, asked):
        raw = tracking.fetch(f"http://me:secret@{where}/")
    assert len(json.loads(raw)["runs"]) == 2
    assert [path for path, _, _ in asked] == [
        "/api/2.0/mlflow/experiments/search",
        "/api/2.0/mlflow/runs/search",
        "/api/2.0/mlflow/runs/search",
    ]
    assert asked[2][1] == {"experiment_ids": ["1"], "max_results": 1000, "page_token": "next"}
    assert all(name for _, _, name in asked)
    assert b"secret" not in raw


@pytest.mark.parametrize(
    "answer",
    [(500, b"{}"), (302, b""), (200, b"no json"), (200, b'{"runs": 1}'), (200, b'{"a":1,"a":2}')],
)
def test_whatever_a_server_answers_is_no_answer_then(answer: tuple[int, bytes]) -> None:
    with server([answer]) as (where, _), pytest.raises(Unavailable, match="tracking server"):
        tracking.fetch(f"http://{where}", ["1"])
    with pytest.raises(Refused):
        tracking.fetch("http://")
