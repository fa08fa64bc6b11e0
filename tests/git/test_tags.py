"""Tags that the real git made and ssh-keygen signed, brought into a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadName
from stemma_attestations.predicates import tags
from stemma_attestations.predicates.tags import Seen
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import audit
from stemma_registry.care.replicate import replicate
from stemma_registry.care.uploads import Uploads
from stemma_registry.errors import AlreadyThere, NotFound, Refused
from stemma_registry.foreign.attest import signed_event
from stemma_registry.gate import TERMS
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.registry import record
from stemma_registry.stages import promoting
from stemma_registry.stages.desk import Desk
from stemma_registry.tagging import (
    creating,
    folders,
    following,
    listing,
    reading,
    signatures,
)
from stemma_registry.tagging.keeping import Keeper
from tests.git.tagged import SCOPE, Tagged, result
from tests.registry.collecting import gc

M = "models/m"


@pytest.fixture
def tagged(tmp_path: Path) -> Tagged:
    return Tagged(tmp_path)


def test_a_signed_tag_names_what_was_built_from_its_commit(tagged: Tagged) -> None:
    tagged.built(f"{M}:run-1")
    tagged.tag(f"{M}@v1.0.0")
    done = tagged.sync(dry_run=True)
    assert result(done, f"{M}@v1.0.0").outcome == "bound"
    assert done.entries == []
    assert tagged.world.code(f"{M}:v1.0.0") == 3
    done = tagged.sync()
    assert result(done, f"{M}@v1.0.0").outcome == "bound"
    assert result(done, f"{M}@v1.0.0").principal == "ada"
    assert len(done.entries) == 2
    assert tagged.world.verify(f"{M}:v1.0.0").passed
    again = tagged.sync()
    assert (again.plan.results, again.plan.settled, again.entries) == ([], 1, [])


def test_a_stage_is_moved_by_the_gate_and_by_the_last_word(tagged: Tagged) -> None:
    first = tagged.built(f"{M}:v1.0.0", "one")
    tagged.built(f"{M}:v2.0.0", "two")
    tagged.tag(f"{M}@v1.0.0", first)
    tagged.tag(f"{M}@v2.0.0")
    tagged.tag(f"{M}#prod#1", first)
    tagged.tag(f"{M}#prod#2")
    assert tagged.outcomes() == {
        f"{M}@v1.0.0": "agrees",
        f"{M}@v2.0.0": "agrees",
        f"{M}#prod#1": "passed",
        f"{M}#prod#2": "promoted",
    }
    assert tagged.at(M) == "v2.0.0"
    tagged.tag(f"{M}#prod#3", first)
    assert tagged.outcomes() == {f"{M}#prod#3": "promoted"}
    assert tagged.at(M) == "v1.0.0"
    tagged.tag(f"{M}#prod!#4", first)
    assert tagged.outcomes() == {f"{M}#prod!#4": "rolled-back"}
    assert tagged.at(M) == "v2.0.0"
    tagged.world.rebuild()
    assert tagged.outcomes() == {}


def test_what_the_gate_refuses_is_not_moved_and_is_asked_again(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tagged.tag(f"{M}@v1.0.0")
    tagged.tag(f"{M}#prod#1")
    tagged.world.quarantine(f"{M}:v1.0.0")
    done = tagged.sync()
    assert result(done, f"{M}#prod#1").outcome == "refused"
    assert "quarantined" in result(done, f"{M}#prod#1").reason
    assert tagged.at(M) is None
    tagged.world.release(f"{M}:v1.0.0")
    assert tagged.outcomes() == {f"{M}#prod#1": "promoted"}


def test_unsigned_and_strangers_tags_are_claims_and_move_nothing(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tagged.trust("bob", ("other/*",))
    tagged.tag(f"{M}@v1.0.1", by=None)
    tagged.tag(f"{M}#prod#1", by=None)
    tagged.tag(f"{M}#prod#2", by="stranger")
    tagged.tag(f"{M}#prod#3", by="bob")
    tagged.checkout.git("tag", f"{M}@v1.0.2")
    done = tagged.sync()
    assert {one.outcome for one in done.plan.results} == {"claimed"}
    assert tagged.at(M) is None
    for version in ("v1.0.1", "v1.0.2"):
        assert tagged.world.code(f"{M}:{version}") == 3
    assert tagged.world.code(f"{M}:v1.0.0") == 0
    assert tagged.outcomes() == {}
    # Whoever is let to say so later is heard then.
    tagged.trust("stranger")
    assert tagged.outcomes() == {f"{M}#prod#2": "promoted"}


def test_a_claim_keeps_nobodys_place(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tagged.tag(f"{M}@v1.0.0", by=None)
    assert tagged.outcomes() == {f"{M}@v1.0.0": "claimed"}
    tagged.checkout.git("tag", "-d", f"{M}@v1.0.0")
    tagged.tag(f"{M}@v1.0.0")
    done = tagged.sync()
    assert result(done, f"{M}@v1.0.0").outcome == "agrees"
    assert done.plan.gone == []


def test_a_tag_that_moved_or_went_away_is_told_and_changes_nothing(tagged: Tagged) -> None:
    first = tagged.built(f"{M}:v1.0.0", "one")
    tagged.built(f"{M}:v2.0.0", "two")
    tagged.tag(f"{M}@v1.0.0", first)
    tagged.tag(f"{M}@v2.0.0")
    tagged.tag(f"{M}#prod#1", first)
    tagged.tag(f"{M}#prod#2")
    tagged.sync()
    tagged.checkout.git("tag", "-d", f"{M}#prod#2", f"{M}@v1.0.0")
    tagged.tag(f"{M}@v1.0.0")
    done = tagged.sync()
    assert [seen.tag for seen in done.plan.gone] == [f"{M}#prod#2"]
    assert {one.tag.name: one.outcome for one in done.plan.results} == {f"{M}@v1.0.0": "moved"}
    assert done.entries == []
    assert tagged.at(M) == "v2.0.0"


def test_an_old_tag_that_comes_back_moves_nothing(tagged: Tagged) -> None:
    first = tagged.built(f"{M}:v1.0.0", "one")
    tagged.built(f"{M}:v2.0.0", "two")
    tagged.tag(f"{M}@v1.0.0", first)
    tagged.tag(f"{M}@v2.0.0")
    old = tagged.tag(f"{M}#prod#1", first)
    tagged.checkout.git("tag", "-d", f"{M}#prod#1")
    tagged.tag(f"{M}#prod#2")
    tagged.sync()
    assert tagged.at(M) == "v2.0.0"
    tagged.checkout.git("update-ref", f"refs/tags/{M}#prod#1", old)
    tagged.checkout.git("update-ref", f"refs/tags/{M}#prod#9", old)
    assert tagged.outcomes() == {f"{M}#prod#1": "passed", f"{M}#prod#9": "ignored"}
    assert tagged.at(M) == "v2.0.0"


def test_a_stage_that_was_moved_by_hand_is_not_moved_back(tagged: Tagged, tmp_path: Path) -> None:
    first = tagged.built(f"{M}:v1.0.0", "one")
    tagged.built(f"{M}:v2.0.0", "two")
    tagged.tag(f"{M}@v1.0.0", first)
    tagged.tag(f"{M}@v2.0.0")
    tagged.tag(f"{M}#prod#1", first)
    tagged.sync()
    tagged.tag(f"{M}#prod#2")
    tagged.sync()
    # Another machine, which remembers nothing: the ledger does.
    for path in tagged.world.home.tags.iterdir():
        path.unlink()
    tagged.checkout.git("tag", "-d", f"{M}#prod#2")
    assert tagged.outcomes() == {}
    assert tagged.at(M) == "v2.0.0"


def test_taking_a_version_back_retires_its_name(tagged: Tagged) -> None:
    tagged.built(f"{M}:run-1")
    tagged.tag(f"{M}@v1.0.0")
    assert tagged.outcomes() == {f"{M}@v1.0.0": "bound"}
    tagged.tag(f"{M}@v1.0.0!")
    assert tagged.outcomes() == {f"{M}@v1.0.0!": "retired"}
    assert tagged.world.code(f"{M}:v1.0.0") == 11
    assert tagged.world.code(f"{M}:run-1") == 0
    tagged.tag(f"{M}@v1.0.0#3")
    assert tagged.outcomes() == {f"{M}@v1.0.0#3": "refused"}
    tagged.tag(f"{M}@v3.0.0")
    tagged.tag(f"{M}@v3.0.0!")
    assert tagged.outcomes() == {
        f"{M}@v1.0.0#3": "refused",
        f"{M}@v3.0.0": "passed",
        f"{M}@v3.0.0!": "passed",
    }


def test_what_cannot_be_told_is_unresolved(tagged: Tagged) -> None:
    tagged.built(f"{M}:a", "one")
    tagged.world.push(f"{M}:b", {"m.bin": b"other"}, kind="model", build="train")
    tagged.tag(f"{M}@v1.0.0")
    bare = tagged.checkout.commit("nothing was built")
    tagged.tag(f"{M}@v2.0.0")
    tagged.tag(f"{M}#prod#1", bare)
    tagged.tag("a/b=m@v1.0.0")
    done = tagged.sync()
    assert {one.outcome for one in done.plan.results} == {"unresolved"}
    assert "2 artifacts" in result(done, f"{M}@v1.0.0").reason
    assert done.entries == []


def test_names_are_immutable(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0", "one")
    tagged.built(f"{M}:run-2", "two")
    tagged.tag(f"{M}@v1.0.0")
    done = tagged.sync()
    assert result(done, f"{M}@v1.0.0").outcome == "unresolved"
    assert "immutable" in result(done, f"{M}@v1.0.0").reason


def test_provenance_of_a_stranger_resolves_nothing(tagged: Tagged) -> None:
    tagged.checkout.commit("make", train__py="x")
    tagged.world.push(f"{M}:evil", {"m.bin": b"evil"}, kind="model", build="train", by="stranger")
    tagged.tag(f"{M}@v1.0.0")
    assert tagged.outcomes() == {f"{M}@v1.0.0": "unresolved"}


def test_who_may_speak_for_another_name_launders_nothing(tagged: Tagged) -> None:
    """Provenance about x/* is none about models/*, whatever the tag says."""
    tagged.world.trust_also("builder", ("x/*",))
    tagged.checkout.commit("make", train__py="x")
    tagged.world.push("x/m:1", {"m.bin": b"theirs"}, kind="model", build="train", by="builder")
    tagged.tag(f"{M}@v1.0.0")
    tagged.tag("x/m@v1.0.0")
    assert tagged.outcomes() == {f"{M}@v1.0.0": "unresolved", "x/m@v1.0.0": "bound"}


def test_a_dirty_build_stays_one_under_its_new_name(tagged: Tagged) -> None:
    tagged.checkout.commit("make", train__py="x")
    (tagged.checkout.root / "train.py").write_text("changed")
    tagged.world.push(f"{M}:run", {"m.bin": b"dirty"}, kind="model", build="train")
    tagged.tag(f"{M}@v1.0.0")
    assert tagged.outcomes() == {f"{M}@v1.0.0": "bound"}
    assert tagged.world.code(f"{M}:v1.0.0") == tagged.world.code(f"{M}:run") == 10


def test_what_is_upstream_stays_upstream(tagged: Tagged) -> None:
    tagged.world.push("data/d:1")
    tagged.checkout.commit("make", train__py="x")
    tagged.world.push(f"{M}:run", {"m.bin": b"w"}, "trained-on=data/d:1", kind="model")
    tagged.tag(f"{M}@v1.0.0")
    tagged.sync()
    tagged.world.quarantine("data/d:1")
    assert tagged.world.code(f"{M}:v1.0.0") == 11


def test_a_key_that_may_not_say_so_syncs_nothing(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tagged.tag(f"{M}@v1.0.0", by=None)
    tagged.tag(f"{M}#prod#1")
    done = tagged.sync(by="nobody")
    assert {one.outcome for one in done.plan.results} == {"refused"}
    assert done.entries == []


def test_odd_tags_are_ignored(tagged: Tagged) -> None:
    git = tagged.checkout.git
    tagged.built(f"{M}:v1.0.0")
    tagged.tag(f"{M}#dev#1")
    ours = tagged.settings("ada")
    git(*ours, "tag", "-s", "-m", "nested", f"{M}#prod#2", f"refs/tags/{M}#dev#1")
    git(*ours, "tag", "-s", "-m", "tree", f"{M}#prod#3", "HEAD^{tree}")
    git(*ours, "tag", "-s", "-m", "blob", f"{M}#prod#4", "HEAD:train.py")
    git("update-ref", f"refs/tags/{M}@v9.0.0", git("rev-parse", "HEAD^{tree}"))
    for odd in ("x", "UPPER@v1.0.0", f"{M}@1.0.0", f"{M}#prod#x", "ünï@v1.0.0", "a'b@v1.0.0"):
        git("update-ref", f"refs/tags/{odd}", "HEAD")
    found = tagged.outcomes()
    assert {tag for tag, outcome in found.items() if outcome == "ignored"} == {
        f"{M}#prod#2",
        f"{M}#prod#3",
        f"{M}#prod#4",
        f"{M}@v9.0.0",
    }
    assert set(found) - {f"{M}#dev#1"} == {t for t, o in found.items() if o == "ignored"}
    assert tagged.at(M) is None


def test_a_tag_of_the_future_does_not_count(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tagged.minutes = 3_000_000_000 // 60
    tagged.tag(f"{M}#prod#1")
    assert tagged.outcomes() == {f"{M}#prod#1": "claimed"}


def test_a_changed_tag_object_is_no_signature(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tag = tagged.tag(f"{M}#dev#1")
    raw = tagged.checkout.git("cat-file", "tag", tag)
    forged = raw.replace(f"tag {M}#dev#1", f"tag {M}#prod#1").encode() + b"\n"
    made = tagged.checkout.git("hash-object", "-t", "tag", "-w", "--stdin", stdin=forged)
    tagged.checkout.git("update-ref", f"refs/tags/{M}#prod#1", made)
    assert tagged.outcomes()[f"{M}#prod#1"] == "claimed"
    assert tagged.at(M) is None


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_folder_of_the_commit_is_the_artifact(tmp_path: Path, object_format: str) -> None:
    """With and without `artifacts.yaml`, and through the pointers of Git LFS."""
    tagged = Tagged(tmp_path, object_format)
    pushed = tagged.world.push(f"{M}:run", {"m.bin": b"weights", "c.json": b"{}"}, kind="model")
    oid = next(e for e in pushed.manifest.entries if e.path == "m.bin").sha256.value
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 7\n"
    tagged.checkout.commit("held", models___m___m__bin=pointer, models___m___c__json="{}")
    tagged.tag(f"{M}@v1.0.0")
    tagged.checkout.git("mv", "models/m", "elsewhere")
    tagged.checkout.commit("moved", artifacts__yaml="models/m:\n  path: elsewhere\n  type: model\n")
    tagged.tag(f"{M}@v1.1.0")
    tagged.checkout.commit("changed", elsewhere___c__json="{ }")
    tagged.tag(f"{M}@v2.0.0")
    assert tagged.outcomes() == {
        f"{M}@v1.0.0": "bound",
        f"{M}@v1.1.0": "bound",
        f"{M}@v2.0.0": "unresolved",
    }
    assert tagged.world.code(f"{M}:v1.0.0") == tagged.world.code(f"{M}:run")


@pytest.mark.parametrize("path", ["../out", "/etc", ".", "..", "a/../..", "link"])
def test_paths_that_lead_elsewhere_are_no_artifact(tmp_path: Path, path: str) -> None:
    tagged = Tagged(tmp_path)
    (tagged.checkout.root / "link").symlink_to("/etc/hostname")
    commit = tagged.checkout.commit("odd", artifacts__yaml=f"m:\n  path: {path}\n")
    with Repository.open(tagged.checkout.root) as repository:
        root = folders.roots_of(repository, [commit])[commit]
        assert folders.manifest_of(repository, commit, root, "m") is None


def test_a_strangers_record_neither_settles_nor_forbids(tagged: Tagged) -> None:
    """Whoever can append a record of the tag, of another object or a later time."""
    tagged.built(f"{M}:v1.0.0")
    commit = tagged.checkout.git("rev-parse", "HEAD")
    seen = [
        Seen(f"{M}@v1.0.0", "ab" * 20, commit, tags.BOUND, 1, "x", "ada"),
        Seen(f"{M}#prod#9", "cd" * 20, commit, tags.PROMOTED, 2_000_000_000, "x", "ada"),
    ]
    world, stranger = tagged.world, tagged.world.signer("stranger")
    uploads = Uploads.begin(world.registry.store, world.registry.catalogue)
    statement = tags.build(SCOPE, Digest.of(b""), seen)
    event = signed_event(uploads, stranger, statement)
    record(world.registry, world.trust, stranger, world.now, lambda: [event], uploads)
    tagged.tag(f"{M}@v1.0.0")
    tagged.tag(f"{M}#prod#1")
    done = tagged.sync()
    assert {one.tag.name: one.outcome for one in done.plan.results} == {
        f"{M}@v1.0.0": "agrees",
        f"{M}#prod#1": "promoted",
    }
    assert done.plan.gone == []


def test_a_sync_that_was_cut_off_is_done_again(
    tagged: Tagged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the promotion and the record the stage was moved on by hand."""
    first = tagged.built(f"{M}:v1.0.0", "one")
    tagged.built(f"{M}:v2.0.0", "two")
    tagged.tag(f"{M}@v1.0.0", first)
    tagged.tag(f"{M}#prod#1", first)
    with monkeypatch.context() as patch:
        patch.setattr(following._Work, "record", lambda _: None)
        tagged.sync()
    world = tagged.world
    desk = Desk(world.registry, world.trust, world.signer("owner"), world.now)
    promoting.promote(desk, f"{M}:v2.0.0", "prod", TERMS)
    assert tagged.outcomes()[f"{M}#prod#1"] == "promoted"
    assert tagged.at(M) == "v2.0.0"


def test_evidence_stays_with_the_ledger(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tag = tagged.tag(f"{M}@v1.0.0")
    tagged.tag(f"{M}@v1.0.1", by=None)
    tagged.sync()
    world = tagged.world
    gc(world)
    replica = MemoryStore()
    replicate(world.store, replica, world.home, world.trust)
    assert audit(replica, world.home, world.trust).whole
    wanted = tagged.checkout.git("cat-file", "tag", tag).encode()
    found = [blob for blob in replica.blobs() if wanted in b"".join(replica.chunks(blob))]
    assert len(found) == 1
    document = b"".join(replica.chunks(found[0]))
    assert document.startswith(f"{tag} refs/tags/{M}@v1.0.0\n".encode())


def test_create_signs_by_the_users_own_git(tagged: Tagged) -> None:
    commit = tagged.built(f"{M}:v1.0.0")
    git, key = tagged.checkout.git, tagged.key("ada")[0]
    for setting in ("user.name=Ada", "user.email=a@example.org", "gpg.format=ssh"):
        git("config", *setting.split("="))
    git("config", "user.signingKey", f"{key}.pub")
    with Repository.open(tagged.checkout.root) as repository:
        made = [
            creating.create(repository, wanted, revision, None, sign=True)
            for wanted, revision in ((f"{M}@v1.0.0", "HEAD"), (f"{M}#prod", commit))
        ]
        assert [one.tag for one in made] == [f"{M}@v1.0.0", f"{M}#prod#1"]
        with pytest.raises(AlreadyThere):
            creating.create(repository, f"{M}@v1.0.0", "HEAD", None, sign=False)
        with pytest.raises(BadName):
            creating.create(repository, "-d", "HEAD", None, sign=False)
        with pytest.raises(NotFound):
            creating.create(repository, f"{M}@v2.0.0", "--all", None, sign=False)
        git("config", "user.signingKey", "/nowhere")
        with pytest.raises(Refused, match="git tag"):
            creating.create(repository, f"{M}@v2.0.0", "HEAD", None, sign=True)
        assert len(repository.refs("refs/tags/")) == 2
    assert tagged.outcomes() == {f"{M}@v1.0.0": "agrees", f"{M}#prod#1": "promoted"}


def test_the_list_says_who_signed(tagged: Tagged) -> None:
    first, second = tagged.checkout.commit("1"), tagged.checkout.commit("2")
    for tag, commit, by in (
        ("m@v1.0.0", first, "ada"),
        ("m@v2.0.0", second, None),
        ("m#dev#1", second, "stranger"),
        ("m#prod#2", second, "ada"),
        ("m#prod#3", first, "ada"),
        ("m#prod!#4", first, "ada"),
        ("n@v1.0.0", first, "ada"),
        ("n@v1.0.0!", first, "ada"),
        ("o#prod#1", first, "ada"),
        ("o@deprecated", first, "ada"),
    ):
        tagged.tag(tag, commit, by)
    tagged.checkout.git("tag", "m@v3.0.0", first)
    world = tagged.world
    with Repository.open(tagged.checkout.root) as repository:
        keeper = Keeper(world.home, SCOPE, world.trust.digest)
        found = reading.read(repository, signatures.by(world.trust, {}), keeper)
    m, n, o = listing.fold(found.tags)
    told = [(v.version, listing.signer(v.tag, world.trust)) for v in m.versions]
    assert told == [("v1.0.0", "ada"), ("v2.0.0", "unsigned")]
    stages = {s: listing.signer(t, world.trust) for s, t in m.versions[1].stages.items()}
    assert stages == {"dev": "not listed", "prod": "ada"}
    assert (n.name, n.versions, o.deprecated) == ("n", [], True)
    assert [(v.version, v.commit, list(v.stages)) for v in o.versions] == [(None, first, ["prod"])]


def test_facts_that_somebody_else_may_write_are_not_read(tagged: Tagged) -> None:
    tagged.built(f"{M}:v1.0.0")
    tag = tagged.tag(f"{M}#prod#1", by="stranger")
    tagged.sync(dry_run=True)
    (path,) = tagged.world.home.tags.iterdir()
    signer = tagged.key("ada")[1].id
    forged = path.read_text().replace("true, null", f'true, ["{signer}", null, []]')
    path.write_text(forged)
    path.chmod(0o666)
    assert tag in forged
    assert tagged.outcomes() == {f"{M}#prod#1": "claimed"}
