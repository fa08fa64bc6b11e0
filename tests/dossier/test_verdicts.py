"""What the gate says by a dossier is what it says by the registry; what a dossier may not do."""

from __future__ import annotations

import pickle
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations import policy_file
from stemma_attestations.errors import BytesDiffer, NotVerified, Quarantined, SignatureRefused
from stemma_attestations.names import NameVersion
from stemma_attestations.policy import Policy
from stemma_attestations.predicates import dossier as predicate
from stemma_attestations.predicates.approval import Approval
from stemma_attestations.predicates.dossier import Role
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Outcome, Verdict
from stemma_registry import gate
from stemma_registry.errors import Refused, Stale
from stemma_registry.foreign import letting
from stemma_registry.gate import Terms
from stemma_registry.trust import file as trust_file
from tests.building import FIXTURES
from tests.dossier.scene import WEEK, DossierScene, parse
from tests.world import World

PINNED = "sha256:e3d36ad992156a8c6aeddb2ea15684de3ed035f0d52892f6dbabe69c6b190ea9"
HEAD = b"format: urn:stemma:policy:v0.1\nrules:\n"
STRICT = HEAD + b"- {names: ['**'], ancestors: {}, files: {without: [pickle]}}\n"
APPROVED = HEAD + b"- {names: ['**'], stages: [prod], approvals: {count: 1}}\n"


def policy(raw: bytes) -> Policy:
    return policy_file.parse(raw, "test")


def by_registry(world: World, root: Path, name: str, terms: Terms) -> Verdict:
    with world.view() as view:
        try:
            expected = NameVersion.parse(name)
            return gate.verify_directory(world.registry, view, root, expected, None, terms)
        except NotVerified as error:
            assert error.verdict is not None
            return error.verdict


def steps(verdict: Verdict) -> list[tuple[int, Outcome, tuple[str, ...]]]:
    """All but how it was resolved, which tells of the dossier."""
    return [(one.number, one.outcome, one.details) for one in verdict.steps[1:]]


@pytest.mark.parametrize("raw", [None, STRICT])
def test_it_is_the_verdict_of_the_registry(scene: DossierScene, raw: bytes | None) -> None:
    world, terms = scene.world, Terms(policy(raw)) if raw else Terms()
    world.push("acme/raw:1")
    world.push("acme/mid:1", None, "filtered-from=acme/raw:1")
    scene.push("acme/model:9", "acme/mid:1")
    world.push("acme/raw:2", by="stranger")
    world.quarantine("acme/raw:1", by="stranger")  # shown, on a word that is not believed
    path, root = (
        scene.make("acme/model:9", terms=terms, policy=raw),
        scene.directory("acme/model:9"),
    )
    here = by_registry(world, root, "acme/model:9", terms)
    there = scene.verify(path, root, policy=terms.policy)
    assert here.passed
    assert there.passed
    assert steps(here) == steps(there)
    assert here.warnings == there.warnings != ()
    assert here.accepted == there.accepted
    assert gate.summary(there).predicate["policy"] == gate.summary(here).predicate["policy"]


def test_bytes_that_differ(shared: DossierScene, good: Path) -> None:
    root = shared.directory()
    assert shared.code(good, root) == 0
    (root / "w.bin").write_bytes(b"Weights")
    assert shared.code(good, root) == 12
    (root / "w.bin").write_bytes(b"weights")
    assert shared.code(good, root) == 0
    (root / "more.txt").write_bytes(b"")
    assert shared.code(good, root) == 12
    (root / "more.txt").unlink()
    (root / "config.json").unlink()
    with pytest.raises(BytesDiffer) as caught:
        shared.verify(good, root)
    assert caught.value.verdict is not None
    (root / "config.json").symlink_to("w.bin")
    assert shared.code(good, root) == 12
    assert shared.code(good, root / "nowhere") == 3


def test_the_name_that_is_expected(shared: DossierScene, good: Path) -> None:
    assert shared.code(good, expected="acme/model:1") == 0
    assert shared.code(good, expected="acme/model:2") == 10
    assert shared.code(good, expected="acme/other:1") == 10


def test_it_expires(shared: DossierScene, good: Path) -> None:
    made = shared.world.now
    assert shared.code(good, now=made + WEEK - timedelta(seconds=2)) == 0
    assert shared.code(good, now=made + WEEK) == 14
    with pytest.raises(Stale, match=r"expired at 20\d\d-"):
        shared.verify(good, now=made + timedelta(days=400))
    assert shared.code(good, now=made - timedelta(seconds=60)) == 0  # clocks differ
    assert shared.code(good, now=made - timedelta(hours=1)) == 14


@pytest.mark.parametrize("lasts", [timedelta(), timedelta(days=-1), timedelta(days=91)])
def test_how_long_it_may_last(shared: DossierScene, lasts: timedelta) -> None:
    with pytest.raises(Refused, match="90 days"):
        shared.make(lasts=lasts)


def test_whom_the_machine_believes(scene: DossierScene) -> None:
    world, path = scene.world, scene.make()
    world.trust_also("packer", ["acme/*"], [predicate.TYPE])
    other = scene.make(by="packer")
    assert scene.code(other) == 0
    assert scene.code(path) == 0
    assert scene.code(other, trust=trust_file.NOBODY) == 13
    # Somebody else's trust root, which is in the file, makes nobody believed.
    (scene.folder / "rival").mkdir()
    assert scene.code(path, trust=World(scene.folder / "rival").trust) == 13
    stranger = scene.make(by="stranger")
    with pytest.raises(SignatureRefused, match="is not known"):
        scene.verify(stranger)


def test_whoever_may_push_may_not_pack_for_that(scene: DossierScene) -> None:
    world = scene.world
    world.trust_also("trainer", ["acme/**"], ["https://slsa.dev/provenance/v1"])
    world.trust_also("elsewhere", ["other/**"], ["*"])
    for who in ("trainer", "elsewhere"):
        with pytest.raises(SignatureRefused, match="may not say"):
            scene.verify(scene.make(by=who))


def test_a_signer_of_the_evidence_that_the_machine_does_not_believe(scene: DossierScene) -> None:
    """The dossier's signer vouches for what there is, not for what it is worth."""
    world = scene.world
    world.trust_also("packer", ["**"], [predicate.TYPE])
    path = scene.make(by="packer")
    raw = world.folder / "packer.yaml"
    only = trust_file.add(raw, "packer", world.signer("packer").public, [predicate.TYPE], ["**"])
    assert scene.code(path, trust=only) == 13
    with pytest.raises(NotVerified) as caught:
        scene.verify(path, trust=only)
    assert caught.value.verdict is not None  # the recipe ran, and step 4 says so


def test_what_is_quarantined_gets_no_dossier(scene: DossierScene) -> None:
    scene.world.quarantine("acme/data:1")
    with pytest.raises(Quarantined):
        scene.make()
    scene.world.release("acme/data:1")
    path = scene.make()
    assert scene.code(path) == 0  # the release is in it, too


def test_a_quarantine_without_its_release_stops(scene: DossierScene) -> None:
    """Acts of custody come along and are judged under the trust root of whoever verifies."""
    world = scene.world
    world.trust_also("helper")
    world.quarantine("acme/data:1")
    world.release("acme/data:1", by="helper")
    path = scene.make()
    assert scene.code(path) == 0
    raw = world.folder / "owner.yaml"
    alone = trust_file.add(raw, "owner", world.signer("owner").public, ["*"], ["**"])
    assert scene.code(path, trust=alone) == 11


def test_the_policy_and_the_stage_of_the_dossier(scene: DossierScene) -> None:
    world = scene.world
    world.trust_also("ada", ["**"], ["urn:stemma:approval:v0.1"])
    until = world.now + timedelta(days=1)
    said = Approval("prod", "looked at", world.now, until)
    letting.approve(world.registry, world.trust, world.signer("ada"), "acme/model:1", said)
    terms = Terms(policy(APPROVED), "prod")
    path = scene.make(terms=terms, policy=APPROVED)
    assert scene.code(path, policy=None) == 0
    assert scene.verify(path, policy=None).stage == "prod"
    assert scene.code(path, policy=None, stage="dev") == 10
    assert scene.code(path, policy=policy(STRICT)) == 0
    assert scene.code(path, policy=policy(HEAD + b"- {names: ['other/*']}\n")) == 10
    late = world.now + timedelta(days=2)
    assert scene.code(path, policy=None, now=late) == 10  # the approval ended


def test_files_are_looked_at_where_they_lie(scene: DossierScene) -> None:
    world, files = scene.world, {"w.pkl": pickle.dumps({"a": 1}), "again.pkl": pickle.dumps([2])}
    world.push("acme/bad:1", files, kind="model")
    path, root = scene.make("acme/bad:1"), world.directory(files)
    assert scene.code(path, root) == 0
    strict = policy(STRICT)
    assert scene.code(path, root, policy=strict) == 10
    (root / "w.pkl").unlink()
    assert scene.code(path, root, policy=strict) == 12


def test_the_same_content_makes_the_same_members(shared: DossierScene) -> None:
    one, two = (parse(shared.make().read_bytes()) for _ in range(2))
    assert one.said == two.said
    assert one.blobs == two.blobs


def test_a_digest_is_packed_under_its_name(shared: DossierScene, good: Path) -> None:
    found = parse(good.read_bytes())
    assert parse(shared.make(str(found.artifact)).read_bytes()).name == found.name


def test_the_frozen_one_is_read_for_ever(shared: DossierScene) -> None:
    path = FIXTURES / "dossier" / "model.dossier"
    content = parse(path.read_bytes())
    raw = content.one(Role.TRUST_ROOT)
    assert raw is not None
    pinned = TrustRoot.parse(raw)
    assert str(pinned.digest) == PINNED
    late = content.said.issued + timedelta(days=1)
    verdict = shared.verify(path, trust=pinned, now=late, expected="acme/model:1", policy=None)
    assert verdict.entry == 3
    assert shared.code(path, trust=pinned, now=late + WEEK) == 14


def test_the_registry_may_be_gone(scene: DossierScene) -> None:
    path, root = scene.make(), scene.directory()
    scene.world.registry.catalogue.close()
    shutil.rmtree(scene.world.home.path)
    scene.world.store.blob_bytes.clear()  # type: ignore[attr-defined]
    scene.world.store.objects.clear()  # type: ignore[attr-defined]
    assert scene.code(path, root) == 0
