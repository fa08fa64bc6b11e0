"""The gate as a deploy script meets it: directories, references, and what they are held against."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import (
    BytesDiffer,
    NotVerified,
    SignatureRefused,
    StemmaError,
    Undecided,
)
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Verdict
from stemma_cli import exits
from stemma_registry import gate, stored
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.config import Limits
from stemma_registry.errors import NotFound
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.log import Head, append
from stemma_registry.lineage import ancestry
from stemma_registry.reference import resolve
from stemma_registry.trust.file import NOBODY
from tests.world import World

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "sub/tokenizer.json": b"[]"}


def model(world: World) -> Path:
    """A model that verifies, and a copy of it on disk."""
    world.push("data/raw:1")
    world.push("models/m:1", FILES, "trained-on=data/raw:1", kind="model")
    return world.directory(FILES)


def judge(world: World, root: Path, expected: str | None = "models/m:1") -> Verdict:
    with world.view() as view:
        name = NameVersion.parse(expected) if expected else None
        return gate.verify_directory(world.registry, view, root, name)


def test_the_right_bytes_verify(world: World) -> None:
    verdict = judge(world, model(world))
    assert verdict.passed
    assert [step.number for step in verdict.steps] == list(range(1, 11))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("one byte", "model.safetensors: changed"),
        ("longer", "model.safetensors: changed (7 bytes expected, 8 found)"),
        ("added", "evil.py: not in the manifest"),
        ("added in .github", ".github/evil.py: not in the manifest"),
        ("removed", "config.json: missing"),
        ("renamed", "config.json: renamed to settings.json"),
        ("link", "config.json: a symbolic link, not a regular file"),
        ("directory link", "sub: a symbolic link, not a regular file"),
    ],
)
def test_every_other_tree_is_refused_with_its_reason(
    world: World, change: str, reason: str, tmp_path: Path
) -> None:
    root = model(world)
    config, weights = root / "config.json", root / "model.safetensors"
    if change == "one byte":
        weights.write_bytes(b"weightz")
    elif change == "longer":
        weights.write_bytes(b"weights!")
    elif change == "added":
        (root / "evil.py").write_bytes(b"import os")
    elif change == "added in .github":
        (root / ".github").mkdir()
        (root / ".github/evil.py").write_bytes(b"import os")
    elif change == "removed":
        config.unlink()
    elif change == "renamed":
        config.rename(root / "settings.json")
    elif change == "link":
        (tmp_path / "config.json").write_bytes(FILES["config.json"])
        config.unlink()
        config.symlink_to(tmp_path / "config.json")
    else:
        shutil.copytree(root / "sub", tmp_path / "elsewhere")
        shutil.rmtree(root / "sub")
        (root / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BytesDiffer) as caught:
        judge(world, root)
    assert exits.code_of(caught.value) == 12
    assert caught.value.verdict is not None
    details = caught.value.verdict.steps[1].details
    assert any(line.startswith(reason) for line in details), details


def test_a_known_directory_is_judged_as_what_it_is(world: World) -> None:
    verdict = judge(world, model(world), expected=None)
    assert str(verdict.name) == "models/m:1"


def test_an_unknown_directory_names_the_nearest(world: World) -> None:
    root = model(world)
    (root / "config.json").write_bytes(b"{ }")
    with pytest.raises(NotVerified, match=r"nearest is models/m:1 \(2 files"):
        judge(world, root, expected=None)


def test_a_name_that_is_not_bound_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        judge(world, model(world), "models/m:2")


def test_a_directory_of_another_version_differs(world: World) -> None:
    model(world)
    world.push("models/m:2", {**FILES, "config.json": b"{2}"}, kind="model")
    root = world.directory({**FILES, "config.json": b"{2}"})
    with pytest.raises(BytesDiffer):
        judge(world, root, "models/m:1")


def test_a_trust_root_that_trusts_nobody_refuses(world: World) -> None:
    model(world)
    world.trust = NOBODY
    assert world.code("models/m:1") == 13


def test_a_signer_trusted_for_other_names_does_not_count(world: World) -> None:
    world.trust_also("x-team", names=["x/**"])
    world.push("models/m:1", FILES, kind="model", by="x-team")
    with pytest.raises(SignatureRefused, match="may not say"):
        world.verify("models/m:1")


def test_a_signer_trusted_for_other_predicates_does_not_count(world: World) -> None:
    world.trust_also("tester", predicates=["https://in-toto.io/attestation/test-result/v0.1"])
    world.push("models/m:1", FILES, kind="model", by="tester")
    assert world.code("models/m:1") == 13


def test_provenance_and_bom_by_an_untrusted_signer_do_not_count(world: World) -> None:
    world.trust_also("lineage-only", predicates=["urn:stemma:lineage:v0.1"])
    world.push("models/m:1", FILES, kind="model", by="lineage-only")
    with pytest.raises(NotVerified) as caught:
        world.verify("models/m:1")
    assert exits.code_of(caught.value) == 10
    assert caught.value.verdict is not None
    outcomes = {step.number: str(step.outcome) for step in caught.value.verdict.steps}
    assert (outcomes[5], outcomes[6]) == ("failed", "failed")


def test_training_without_a_commit_is_refused(world: World, tmp_path: Path) -> None:
    world.push("data/raw:1")
    world.checkout = tmp_path / "no-git"
    world.checkout.mkdir()
    done = world.push("models/m:1", None, "trained-on=data/raw:1", kind="model")
    assert any("no Git commit" in warning for warning in done.warnings)
    assert world.code("models/m:1") == 10


@pytest.mark.parametrize("which", ["file", "manifest", "statement", "key"])
@pytest.mark.parametrize("how", ["lost", "changed"])
def test_a_damaged_store_never_verifies(world: World, which: str, how: str) -> None:
    done = world.push("models/m:1", FILES, kind="model")
    store = world.store
    assert isinstance(store, MemoryStore)
    with world.view() as view:
        from stemma_registry.describe import attestations

        bundles = [a.fact.bundle for a in attestations(world.registry, view, "models/m:1")]
    victims = {
        "file": [Digest.of(b"weights")],
        "manifest": [done.artifact],
        "statement": bundles,
        "key": [Digest.of(world.signer("owner").public.der)],
    }[which]
    for digest in victims:
        if how == "lost":
            del store.blob_bytes[digest]
        else:
            data = store.blob_bytes[digest]
            store.blob_bytes[digest] = data[:-1] + bytes([data[-1] ^ 1])
    try:
        verdict = world.verify("models/m:1")
    except StemmaError as error:
        assert exits.code_of(error) in (3, 12, 13, 14)
    else:
        # The trust root holds the key too: it is not needed from the store.
        assert which == "key"
        assert verdict.passed


def test_the_verdict_is_written_as_a_verification_summary(world: World) -> None:
    model(world)
    passed = json.loads(gate.summary(world.verify("models/m:1")).raw)
    assert passed["predicateType"] == vsa.TYPE
    assert passed["predicate"]["verificationResult"] == "PASSED"
    assert passed["subject"][0]["name"] == "models/m:1"
    world.quarantine("data/raw:1")
    with pytest.raises(NotVerified) as caught:
        world.verify("models/m:1")
    assert caught.value.verdict is not None
    failed = gate.summary(caught.value.verdict).predicate
    assert failed["verificationResult"] == "FAILED"


def test_a_quarantined_reference_cannot_be_obtained_by_accident(world: World) -> None:
    model(world)
    world.quarantine("data/raw:1")
    with world.view() as view:
        with pytest.raises(NotVerified):
            gate.obtain(world.registry, view, "models/m:1", allow_quarantined=False)
        gate.obtain(world.registry, view, "models/m:1", allow_quarantined=True)


def test_who_believes_nobody_obtains_nothing_that_anybody_stopped(world: World) -> None:
    model(world)
    world.quarantine("data/raw:1")
    world.trust = NOBODY
    with world.view() as view, pytest.raises(NotVerified):
        gate.obtain(world.registry, view, "models/m:1", allow_quarantined=False)


def test_another_trust_root_gives_another_answer_from_the_same_facts(world: World) -> None:
    model(world)
    everybody = world.trust
    world.trust = TrustRoot.parse(b"format: urn:stemma:trust-root:v0.1\nsigners: []\n")
    assert world.code("models/m:1") == 13
    world.trust = everybody
    assert world.code("models/m:1") == 0


def say_something(world: World, by: str, count: int) -> None:
    """Statements about models/m:1 that mean nothing to the gate."""
    with world.view() as view:
        digest = resolve(view, "models/m:1").digest
    about = [ResourceDescriptor(name="models/m:1", digests=(digest,))]
    said = [Statement.build(about, "urn:example:said", {"n": n}) for n in range(count)]
    signer, store = world.signer(by), world.store
    event = Event(
        PUSH,
        bundles=tuple(put_bytes(store, signer.sign(one).raw) for one in said),
        keys=(put_bytes(store, signer.public.der),),
    )
    append(store, world.registry.catalogue.catch_up(), lambda: [event], Head)


def bundles(verdict: Verdict) -> str:
    return verdict.steps[2].details[0]


def test_strangers_cannot_make_a_verdict_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push("models/m:1", FILES, kind="model", by="stranger")
    say_something(world, "stranger", 110)
    world.push("models/m:1", FILES, kind="model")
    assert bundles(world.verify("models/m:1")) == "103 of 103 bundles"
    monkeypatch.setattr(stored, "LIMITS", Limits(others_bytes=100))
    assert bundles(world.verify("models/m:1")) == "4 of 4 bundles"
    assert world.code("models/m:1") == 0


def test_too_much_by_those_who_are_listed_decides_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push("models/m:1", FILES, kind="model")
    say_something(world, "owner", 3)
    assert bundles(world.verify("models/m:1")) == "6 of 6 bundles"
    monkeypatch.setattr(stored, "LIMITS", Limits(listed_bytes=1000))
    with pytest.raises(Undecided, match="a named one"):
        world.verify("models/m:1")


def test_strangers_cannot_make_the_look_at_ancestors_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        world.push("models/m:1", {"w": b"w"}, kind="model", by="stranger", parameters={"n": str(n)})
    world.push("models/m:1", {"w": b"w"}, kind="model")
    world.push("models/n:1", {"n": b"n"}, "fine-tuned-from=models/m:1", kind="model")
    monkeypatch.setattr(stored, "LIMITS", Limits(others=1))
    read, evidence = [], stored.evidence
    monkeypatch.setattr(stored, "evidence", lambda *at: read.append(at) or evidence(*at))
    with world.view() as view:
        start = (resolve(view, "models/n:1").node, "models/n")
        found = ancestry.ancestors(view, world.store, {}, start)
    assert ancestry.coverage(found)["attested"] == 1
    assert len(read) == 2  # the owner's, and one of the others
