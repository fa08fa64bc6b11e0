"""Trees and artifacts, the command, and the evidence it leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stemma_attestations import json_strict
from stemma_attestations.bundle import Bundle
from stemma_attestations.predicates import test_result as results
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import query
from stemma_registry.errors import NotFound, Refused
from stemma_registry.formats import evidence, report, scan
from stemma_registry.formats.findings import RULES
from stemma_registry.reference import resolve
from tests.cli.test_commands import Run, run
from tests.formats import making
from tests.registry.conftest import world
from tests.world import World

__all__ = ["run", "world"]

GOOD = {"model.safetensors": making.safetensors(), "config.json": b"{}", "sub/a.txt": b"text\n"}
BAD = {**GOOD, "weights.bin": making.torch_zip(making.EVAL4)}
CODE = {**GOOD, "modeling.py": b"x = 1\n"}


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_a_directory(tmp_path: Path) -> None:
    seen = scan.of_directory(tree(tmp_path / "m", BAD))
    assert [file.path for file in seen.files] == sorted(BAD)
    assert seen.formats == {"json": 1, "safetensors": 1, "text": 1, "torch": 1}
    assert seen.result == "FAILED"
    assert seen.severities == {"dangerous": 1, "malformed": 0, "undecided": 0, "code": 0}
    document = seen.to_json()
    assert document["format"] == report.FORMAT
    assert json_strict.loads(json.dumps(document).encode()) == document
    assert scan.of_directory(tmp_path / "m").to_json() == document


@pytest.mark.parametrize(("files", "result"), [(GOOD, "PASSED"), (CODE, "WARNED"), (BAD, "FAILED")])
def test_results(tmp_path: Path, files: dict[str, bytes], result: str) -> None:
    seen = scan.of_directory(tree(tmp_path / "m", files))
    assert seen.result == result
    said = results.parse(seen.predicate())
    assert said.result == result
    assert {*said.passed, *said.warned, *said.failed} == set(RULES)
    assert bool(said.failed) == (result == "FAILED")
    assert bool(said.warned) == (result == "WARNED")
    (scanner,) = said.configuration
    assert scanner.digests == (report.rules_digest(),)
    assert scanner.annotations["formats"] == dict(seen.formats)


def test_links_and_unreadable_things_are_undecided(tmp_path: Path) -> None:
    root = tree(tmp_path / "m", GOOD)
    (root / "link").symlink_to("config.json")
    os.mkfifo(root / "pipe")
    seen = scan.of_directory(root)
    assert {f.path for f in seen.files if f.findings} == {"link", "pipe"}
    assert seen.result == "FAILED"


def test_a_file_that_vanishes_is_undecided(tmp_path: Path) -> None:
    root = tree(tmp_path / "m", GOOD)
    item = scan.Item("x", lambda: scan.contextlib.nullcontext(_Gone()))
    (finding,) = scan.scan_file(item).findings
    assert (finding.rule, finding.text) == ("unreadable", "Input/output error")
    with pytest.raises(NotFound):
        scan.of_file(root / "none")


class _Gone:
    size = 10

    def read_at(self, start: int, length: int) -> bytes:
        raise OSError(5, "Input/output error")


def test_an_artifact_in_the_store_gives_the_same_report(world: World, tmp_path: Path) -> None:
    world.push("models/m:1", BAD, kind="model")
    with world.view() as view:
        seen, digest = evidence.look(world.registry, view, "models/m:1")
        assert digest == resolve(view, "models/m:1").digest
    assert seen == scan.of_directory(tree(tmp_path / "m", BAD))


def test_a_missing_blob_is_undecided(world: World) -> None:
    pushed = world.push("models/m:1", GOOD, kind="model")
    with world.view() as view:
        manifest = evidence.gate.load_manifest(
            world.registry, view, resolve(view, str(pushed.artifact))
        )
        world.store.delete(manifest.by_path["model.safetensors"].sha256)
        seen, _ = evidence.look(world.registry, view, "models/m:1")
    assert [f.path for f in seen.files if f.findings] == ["model.safetensors"]
    assert seen.result == "FAILED"


def test_the_evidence_is_a_signed_test_result(world: World) -> None:
    world.push("models/m:1", CODE, kind="model")
    signer = world.signer("owner")
    seen, said = evidence.look_and_say(world.registry, world.trust, signer, "models/m:1", world.now)
    assert seen.result == "WARNED"
    assert said.entry is not None
    with world.view() as view:
        fact = query.facts_about(view.connection, resolve(view, "models/m:1").node)[-1]
    statement = Bundle.parse(get_bytes(world.store, fact.bundle, 1 << 20)).statement()
    assert statement.predicate_type == results.TYPE
    assert statement.subjects[0].digests == (said.artifact,)
    assert results.parse(statement.predicate).warned == ("code-python",)
    again = evidence.look_and_say(world.registry, world.trust, signer, "models/m:1", world.now)
    assert again[1].entry is None


def test_it_is_said_of_what_was_looked_at(world: World) -> None:
    first = world.push("models/m:1", GOOD, kind="model")
    world.push("models/m:2", CODE, kind="model")
    said = ("models/m:2", results.TYPE, b"{}")
    signer = world.signer("owner")
    with pytest.raises(Refused, match="by now"):
        evidence.attest(world.registry, world.trust, signer, said, world.now, first.artifact)


def test_scan_at_the_command_line(run: Run) -> None:
    tree(Path("good"), GOOD)
    tree(Path("bad"), BAD)
    tree(Path("code"), CODE)
    done = run("scan", "good")
    assert (done.code, done.out.splitlines()[0]) == (0, "PASSED  good")
    done = run("scan", "code")
    assert done.code == 0
    assert "  code  modeling.py: Python by its name (code-python)" in done.out
    done = run("scan", "bad")
    assert done.code == 10
    assert "dangerous  weights.bin: archive/data.pkl byte 18: STACK_GLOBAL builtins.e" in done.out
    assert run("scan", "bad/weights.bin").code == 10
    assert run("scan", "bad/none").code == 3
    assert run("scan", "good", "--sign", "key:x").code == 2
    document = run("scan", "bad", "--json").json
    assert (document["result"], document["evidence"]) == ("FAILED", None)


def test_scanning_a_reference_leaves_evidence(run: Run) -> None:
    run("init")
    tree(Path("bad"), BAD)
    assert run("push", "bad", "models/m:1", "--kind", "model").code == 0
    assert run("scan", "models/m:1", "--report-only").code == 10
    assert results.TYPE not in run("attestations", "models/m:1").out
    done = run("scan", "models/m:1", "--json")
    assert (done.code, done.json["evidence"]["outcome"]) == (10, "added")
    assert results.TYPE in run("attestations", "models/m:1").out
    assert run("scan", "models/m:1", "--json").json["evidence"]["outcome"] == "unchanged"
    assert run("scan", "models/m:1", "--report-only", "--sign", "key:x").code == 2
    assert run("scan", "models/none:1").code == 3
