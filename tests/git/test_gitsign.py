"""Tags, commits and policy that identities signed as gitsign does, in real repositories."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stemma_attestations import policy_file
from stemma_attestations.errors import NotVerified, SignatureRefused
from stemma_attestations.predicates import git_signature
from stemma_attestations.predicates.policy_sync import POLICY
from stemma_registry import gate
from stemma_registry.commits import taking
from stemma_registry.gate import Terms
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.policysync import place, syncing
from stemma_registry.policysync.syncing import Desk
from stemma_registry.tagging import listing, reading, signatures
from stemma_registry.tagging.keeping import Keeper
from tests.dossier.scene import DossierScene
from tests.git import certified
from tests.git.repositories import FORMATS, Checkout
from tests.git.tagged import SCOPE, Tagged, result
from tests.registry.stores import Disk
from tests.sigstore.stack import LocalSigstore
from tests.world import World

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
M = "models/m"
NAME = "git.example.org/acme/policy"
SOURCE = (
    'format: urn:stemma:policy:v0.1\nrules:\n  - names: ["**"]\n    bom: none\n'
    "    provenance: {source: {signed_by: [alice]}}\n"
)
OPEN = b"format: urn:stemma:policy:v0.1\nstages: [prod]\nrules:\n  - names: ['**']\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_tag_by_an_identity_counts(tmp_path: Path, sigstore: LocalSigstore, form: str) -> None:
    tagged = Tagged(tmp_path, form)
    tagged.built(f"{M}:run-1")
    root = certified.bring_root(tagged.world, sigstore)
    certified.trust(tagged.world, sigstore, root)
    made, _ = certified.tag(tagged.checkout, sigstore, f"{M}@v1.0.0")
    done = tagged.sync()
    one = result(done, f"{M}@v1.0.0")
    assert (one.outcome, one.principal, one.tag.id) == ("bound", "alice", made)
    assert tagged.world.verify(f"{M}:v1.0.0").passed
    again = tagged.sync()
    assert (again.plan.results, again.plan.settled, again.entries) == ([], 1, [])
    with Repository.open(tagged.checkout.root) as repository:  # by what was kept of it
        world = tagged.world
        roots = world.registry.trusted_roots.present(world.trust.roots)
        keeper = Keeper(world.home, SCOPE, signatures.basis(world.trust, roots))
        kept = keeper.recall(made)
        assert kept is not None
        assert kept.by == one.tag.fact.by
        assert kept.by is not None
        assert kept.by.signed
        (found,) = reading.read(repository, signatures.by(world.trust, {}), keeper).tags
    assert listing.signer(found, world.trust) == "alice"


def test_tags_of_identities_that_count_for_nothing(tmp_path: Path, sigstore: LocalSigstore) -> None:
    tagged = Tagged(tmp_path)
    tagged.built(f"{M}:v1.0.0")
    world, checkout = tagged.world, tagged.checkout
    root = certified.bring_root(world, sigstore)
    certified.trust(world, sigstore, root, names=("models/*",))
    old = certified.leaf(sigstore, certified.ALICE)
    certified.tag(checkout, sigstore, f"{M}#prod#1", by="mallory@example.com")
    certified.tag(checkout, sigstore, "others/m#prod#2")
    certified.tag(checkout, sigstore, f"{M}#prod#3", logged=False)
    _, raw = certified.tag(checkout, sigstore, f"{M}#prod#4")
    stolen = raw.replace(b"#prod#4", b"#prod#5")
    made = checkout.git("hash-object", "-t", "tag", "-w", "--stdin", stdin=stolen)
    checkout.git("update-ref", f"refs/tags/{M}#prod#5", made)
    late = int((old.start + timedelta(hours=1)).timestamp())
    certified.tag(checkout, sigstore, f"{M}#prod#6", log_time=late)
    checkout.git("update-ref", "-d", f"refs/tags/{M}#prod#4")
    done = tagged.sync()
    assert {one.outcome for one in done.plan.results} == {"claimed"}
    reasons = {one.tag.name.rpartition("#")[2]: one.reason for one in done.plan.results}
    assert "mallory@example.com" in reasons["1"]
    assert "may not say" in reasons["2"]
    assert "rekorMode" in reasons["3"]
    assert "over something else" in reasons["5"]
    assert "not verified" in reasons["6"]
    assert tagged.at(M) is None


def test_a_trusted_root_that_comes_later(tmp_path: Path, sigstore: LocalSigstore) -> None:
    """What was a claim without it is heard with it, though the tag is known already."""
    tagged = Tagged(tmp_path)
    tagged.built(f"{M}:v1.0.0")
    world = tagged.world
    root = certified.bring_root(world, sigstore)
    path = next(world.home.roots.iterdir())
    certified.trust(world, sigstore, root)
    path.unlink()
    certified.tag(tagged.checkout, sigstore, f"{M}#prod#1")
    done = tagged.sync()
    assert result(done, f"{M}#prod#1").outcome == "claimed"
    assert "not on this machine" in result(done, f"{M}#prod#1").reason
    assert tagged.outcomes() == {}
    certified.bring_root(world, sigstore)
    assert tagged.outcomes() == {f"{M}#prod#1": "promoted"}


def test_a_signed_commit_is_evidence(tmp_path: Path, sigstore: LocalSigstore) -> None:
    checkout = Checkout.make(tmp_path / "work")
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    world.checkout = checkout.root
    root = certified.bring_root(world, sigstore)
    certified.trust(world, sigstore, root, [git_signature.TYPE], ["models/**"])
    terms = Terms(policy=policy_file.parse(SOURCE.encode(), "p"))

    def passes(name: str) -> bool:
        with Repository.open(checkout.root) as repository:
            taking.take(
                world.registry, world.trust, world.signer("owner"), (repository, None), world.now
            )
        with world.view() as view:
            return gate.verify_reference(world.registry, view, name, terms=terms).passed

    for n, (who, good) in enumerate(((certified.ALICE, True), ("mallory@example.com", False))):
        checkout.commit(f"change {n}", train__py=str(n))
        certified.sign_head(checkout, sigstore, who)
        world.push(f"models/m{n}:1", {"m": who.encode()}, kind="model", build="train")
        if good:
            assert passes(f"models/m{n}:1")
            world.rebuild()
            assert passes(f"models/m{n}:1")
        else:
            with pytest.raises(NotVerified, match="may not say so here"):
                passes(f"models/m{n}:1")


def test_it_goes_along_in_a_dossier(tmp_path: Path, sigstore: LocalSigstore) -> None:
    """A machine that has only the file reaches the same verdict, by the root in it."""
    checkout = Checkout.make(tmp_path / "work")
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    world.checkout = checkout.root
    root = certified.bring_root(world, sigstore)
    certified.trust(world, sigstore, root, [git_signature.TYPE], ["acme/**"])
    checkout.commit("train", train__py="x")
    certified.sign_head(checkout, sigstore)
    scene = DossierScene(tmp_path / "world", world)
    with Repository.open(checkout.root) as repository:
        taking.take(
            world.registry, world.trust, world.signer("owner"), (repository, None), world.now
        )
    raw = SOURCE.encode()
    terms = Terms(policy_file.parse(raw, "p"))
    path = scene.make(terms=terms, policy=raw)
    held = replace(terms.policy, name="p")
    assert scene.verify(path, policy=held).passed
    with pytest.raises(NotVerified, match="no signature of it is here"):
        scene.verify(scene.make(terms=Terms()), policy=held)


def test_policy_from_a_commit_of_an_identity(tmp_path: Path, sigstore: LocalSigstore) -> None:
    world, checkout = Disk(tmp_path / "world"), Checkout.make(tmp_path / "policy")
    root = certified.bring_root(world, sigstore)
    certified.trust(world, sigstore, root, [POLICY], [NAME])

    def sync() -> syncing.Synced:
        desk = Desk(world.registry, world.trust, lambda: world.signer("owner"), datetime.now(UTC))
        with place.at(f"{checkout.root}@main", NAME) as at:
            return syncing.sync(desk, at, "")

    files = {"policy__yaml": OPEN, "trust__yaml": world.trust_path.read_bytes()}
    checkout.commit("policy", **files)
    certified.sign_head(checkout, sigstore, "mallory@example.com")
    with pytest.raises(SignatureRefused, match="mallory"):
        sync()
    checkout.git("commit", "-q", "--amend", "-m", "policy")
    certified.sign_head(checkout, sigstore, logged=False)
    with pytest.raises(SignatureRefused, match="rekorMode"):
        sync()
    checkout.git("commit", "-q", "--amend", "-m", "policy")
    certified.sign_head(checkout, sigstore)
    done = sync()
    assert [one.principals for one in done.heard] == [{"alice"}]
    assert done.entry is not None
    assert world.audit().findings == []
    world.registry.close()
