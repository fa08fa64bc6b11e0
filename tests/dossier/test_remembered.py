"""A dossier's check remembers signatures as a registry's does, and is believed no sooner for it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from stemma_attestations import policy_file
from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified
from stemma_attestations.verdict import Verdict
from stemma_registry import gate, stored
from stemma_registry.gate import Terms
from stemma_registry.trust import file as trust_file
from tests.dossier.scene import DossierScene

NAME = "acme/model:9"
RAW = b"format: urn:stemma:policy:v0.1\nrules:\n- {names: ['**'], ancestors: {}}\n"
POLICY = policy_file.parse(RAW, "test")
ANCESTORS = 2


@pytest.fixture
def long(scene: DossierScene) -> DossierScene:
    """One with two ancestors."""
    scene.world.push("acme/raw:1")
    scene.world.push("acme/mid:1", None, "filtered-from=acme/raw:1")
    scene.push(NAME, "acme/mid:1")
    return scene


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Digest]:
    """The bundles that are read; three are about the model itself."""
    found: list[Digest] = []
    evidence = stored.evidence

    def counted(store: object, bundle: Digest) -> object:
        found.append(bundle)
        return evidence(store, bundle)  # type: ignore[arg-type]

    monkeypatch.setattr(stored, "evidence", counted)
    return found


def judge(scene: DossierScene, path: Path, **options: object) -> Verdict:
    said = {"policy": POLICY, **options}
    return scene.verify(path, scene.directory(NAME), **said)  # type: ignore[arg-type]


def again(scene: DossierScene, path: Path, reads: list[Digest], **options: object) -> int:
    """How many bundles of ancestors a passing verdict reads."""
    reads.clear()
    assert judge(scene, path, **options).passed
    return len(reads) - 3


def test_what_verified_is_not_verified_again(long: DossierScene, reads: list[Digest]) -> None:
    path = long.make(NAME, terms=Terms(POLICY), policy=RAW)
    assert again(long, path, reads) == ANCESTORS
    assert again(long, path, reads) == 0
    assert (long.gate.verified / "signatures.sqlite3").exists()
    other = long.make(NAME, terms=Terms(POLICY), policy=RAW)
    assert again(long, other, reads) == 0, "the same statements, in another file"


def test_registry_and_dossier_tell_each_other(long: DossierScene, reads: list[Digest]) -> None:
    """What a bundle says is the same wherever its bytes came from."""
    path = long.make(NAME, terms=Terms(POLICY), policy=RAW)
    with long.world.view() as view:
        here = gate.verify_reference(long.world.registry, view, NAME, None, Terms(POLICY))
    assert again(long, path, reads, home=long.world.home) == 0
    there = judge(long, path, home=long.world.home)
    assert [one.details for one in here.steps[7:]] == [one.details for one in there.steps[7:]]


def test_another_trust_root_verifies_again_and_refuses(
    long: DossierScene, reads: list[Digest]
) -> None:
    path = long.make(NAME, terms=Terms(POLICY), policy=RAW)
    assert again(long, path, reads) == ANCESTORS
    before = long.world.trust
    long.world.trust_also("somebody", ["other/*"])
    assert again(long, path, reads) == ANCESTORS
    assert again(long, path, reads, trust=before) == 0
    owner, few = long.world.signer("owner").public, long.world.folder / "few.yaml"
    believed = trust_file.add(few, "owner", owner, ["*"], ["acme/model"])
    for _ in range(2):
        with pytest.raises(NotVerified, match="its provenance is signed, not attested"):
            judge(long, path, trust=believed)


def test_a_refusal_is_the_same_when_it_is_remembered(long: DossierScene) -> None:
    """For machines, too: whose statement it is, and over which edge."""
    long.world.push("acme/far:1", by="stranger")
    long.push(NAME.replace("9", "8"), "acme/far:1")
    found = []
    for _ in range(2):
        with long.world.view() as view, pytest.raises(NotVerified) as caught:
            gate.verify_reference(long.world.registry, view, "acme/model:8", None, Terms(POLICY))
        assert caught.value.verdict is not None
        found.append(caught.value.verdict.steps[7].to_json())
    assert found[0] == found[1]
    (reason,) = found[0]["reasons"]
    assert reason["code"] == "ancestor-not-believed"
    assert reason["about"] == "acme/far:1"
    assert reason["key_id"] == long.world.signer("stranger").public.id
    assert reason["bundle"] is not None
    (edge,) = reason["edges"]
    assert (edge["output_label"], edge["input_label"]) == ("acme/model:8", "acme/far:1")
    assert (edge["relation"], edge["assurance"]) == ("trained-on", "attested")
    assert edge["signer"] == "owner"
    assert edge["bundle"] not in (None, reason["bundle"])
    with contextlib.closing(sqlite3.connect(_file(long))) as connection:
        assert connection.execute("SELECT count(*) FROM said").fetchone() == (1,)


def _file(scene: DossierScene) -> Path:
    return scene.world.home.verified / "signatures.sqlite3"
