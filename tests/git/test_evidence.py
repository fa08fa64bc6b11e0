"""Evidence about commits: taken from real repositories, held against a policy, written as notes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stemma_attestations import gitsigned, policy_file, sources
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement, NotVerified, Undecided
from stemma_attestations.predicates import git_signature
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.predicates.git_signature import GitObject
from stemma_attestations.request import Evidence
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.verdict import Verdict
from stemma_registry import gate
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import commits as known_commits
from stemma_registry.commits import noting, taking
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.gate import Terms
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.registry import record
from stemma_registry.trust import file as trust_file
from tests.dossier.scene import DossierScene
from tests.git.repositories import FORMATS, Checkout
from tests.programs import require_program
from tests.stating import say
from tests.world import World

HERE = "git+https://git.example.org/models"


both = pytest.mark.parametrize("checkout", FORMATS, indirect=True)


@pytest.fixture
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    """An empty repository: of SHA-1, or of both formats in turn where a test says so."""
    return Checkout.make(tmp_path / "work", getattr(request, "param", "sha1"))


@pytest.fixture
def world(tmp_path: Path, checkout: Checkout) -> World:
    """A registry whose jobs run in the checkout."""
    (tmp_path / "world").mkdir()
    made = World(tmp_path / "world")
    made.checkout = checkout.root
    return made


@pytest.fixture
def ada(world: World, tmp_path: Path) -> list[str]:
    """Settings for a signed commit; the key is ada's, who may sign for models."""
    return trusted(world, tmp_path, "ada")


def ssh(folder: Path, name: str) -> list[str]:
    require_program("ssh-keygen")
    key = folder / f"{name}.key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(make, check=True)
    return ["-c", "gpg.format=ssh", "-c", f"user.signingKey={key}.pub"]


def trusted(
    world: World, folder: Path, name: str, names: Sequence[str] = ("models/**",)
) -> list[str]:
    settings = ssh(folder, name)
    (key,) = gitsigned.keys_of((folder / f"{name}.key.pub").read_bytes())
    world.trust = trust_file.add(world.trust_path, name, key, [git_signature.TYPE], names)
    return settings


def commit(checkout: Checkout, settings: Sequence[str] = (), text: str = "x") -> str:
    (checkout.root / "train.py").write_text(text)
    checkout.git("add", "-A")
    sign = ["-S"] if settings else []
    checkout.git(*settings, "commit", "-q", *sign, "-m", text)
    return checkout.git("rev-parse", "HEAD")


def train(world: World, name: str = "models/m:1", *inputs: str) -> None:
    world.push(name, None, *inputs, kind="model", build="train")


def take(
    world: World, checkout: Checkout, revision: str | None = None, by: str = "owner"
) -> taking.Taken:
    with Repository.open(checkout.root) as repository:
        wanted = (repository, revision)
        return taking.take(world.registry, world.trust, world.signer(by), wanted, world.now)


def policy(source: str, more: str = "") -> Terms:
    return Terms(policy=policy_file.parse(policy_bytes(source, more), "p"))


def policy_bytes(source: str, more: str = "") -> bytes:
    return (
        "format: urn:stemma:policy:v0.1\nrules:\n"
        f'  - names: ["**"]\n    bom: none\n    provenance: {{source: {source}}}\n{more}'
    ).encode()


SIGNED = "{signed_by: [ada]}"
REVIEWED = "{level: SLSA_SOURCE_LEVEL_3, verified_by: [host]}"


def verify(world: World, terms: Terms, name: str = "models/m:1") -> Verdict:
    with world.view() as view:
        return gate.verify_reference(world.registry, view, name, terms=terms)


def refused(world: World, terms: Terms, match: str, name: str = "models/m:1") -> None:
    with pytest.raises(NotVerified, match=match) as error:
        verify(world, terms, name)
    assert not isinstance(error.value, Undecided)


def summary(
    commit: str, level: str = "SLSA_SOURCE_LEVEL_3", passed: bool = True, where: str = HERE
) -> Statement:
    said = vsa.build(
        verifier_id="https://example.org/host",
        verifier_version={},
        time_verified="2026-11-01T00:00:00Z",
        resource_uri=where,
        policy=ResourceDescriptor(uri="DEFAULT"),
        input_attestations=[],
        passed=passed,
        steps=[],
        verified_levels=[level] if passed else [],
    )
    return Statement.build(
        [ResourceDescriptor(digests=(Digest("gitCommit", commit),))], vsa.TYPE, said
    )


def note(checkout: Checkout, on: str, *lines: bytes, ref: str = "commits") -> None:
    data = b"\n".join(lines) + b"\n"
    blob = checkout.git("hash-object", "-w", "--stdin", stdin=data)
    checkout.git("notes", f"--ref={ref}", "add", "-f", "-C", blob, on)


def bundle(world: World, by: str, said: Statement) -> bytes:
    return world.signer(by).sign(said).raw


@both
def test_a_signed_commit_counts(world: World, checkout: Checkout, ada: list[str]) -> None:
    made = commit(checkout, ada)
    train(world)
    refused(world, policy(SIGNED), f"commit {made[:12]}: no signature of it is here")
    done = take(world, checkout)
    assert [(o.commit.value, o.kind) for o in done.signed] == [(made, "commit")]
    assert verify(world, policy(SIGNED)).passed
    assert verify(world, policy("{signed_by: any}")).passed
    refused(world, policy("{signed_by: [bob]}"), "signature by ada, and the policy asks for bob")
    again = take(world, checkout)
    assert (again.entry, again.new) == (None, 0)
    world.rebuild()
    assert verify(world, policy(SIGNED)).passed


def test_an_unsigned_commit_does_not(world: World, checkout: Checkout, ada: list[str]) -> None:
    made = commit(checkout)
    train(world)
    assert take(world, checkout).signed == ()
    refused(world, policy(SIGNED), f"commit {made[:12]}: no signature")
    commit(checkout, ada, "later")  # its child is signed
    assert take(world, checkout, "..HEAD").new == 1
    refused(world, policy(SIGNED), f"commit {made[:12]}: no signature")


def test_strangers_and_others_names_do_not_count(
    world: World, checkout: Checkout, tmp_path: Path
) -> None:
    commit(checkout, ssh(tmp_path, "mallory"))
    train(world)
    take(world, checkout)
    refused(
        world,
        policy("{signed_by: any}"),
        "no signature of it is here that a listed key or identity made",
    )
    bob = trusted(world, tmp_path, "bob", ["other/**"])
    commit(checkout, bob, "by bob")
    train(world, "models/m:2")
    take(world, checkout)
    refused(world, policy("{signed_by: any}"), r"bob.*may not say so here", "models/m:2")


def test_a_revoked_key_no_longer_counts(world: World, checkout: Checkout, ada: list[str]) -> None:
    commit(checkout, ada)
    train(world)
    take(world, checkout)
    assert verify(world, policy(SIGNED)).passed
    key = next(s.key for s in world.trust.signers if s.principal == "ada")
    assert key is not None
    world.trust, _ = trust_file.revoke(world.trust_path, key.id, world.now.replace(microsecond=0))
    refused(world, policy(SIGNED), "may not say so here")


@both
def test_a_signed_tag_counts_as_a_tag_only(
    world: World, checkout: Checkout, ada: list[str]
) -> None:
    commit(checkout)
    checkout.git(*ada, "tag", "-s", "-m", "reviewed", "reviewed-1")
    train(world)
    assert [one.kind for one in take(world, checkout).signed] == ["tag"]
    assert verify(world, policy("{tagged_by: [ada]}")).passed
    refused(world, policy(SIGNED), "no signature of it")
    commit(checkout, text="two")
    checkout.git(*ada, "tag", "-s", "-m", "undone", "models/m#prod!")
    train(world, "models/m:2")
    assert take(world, checkout).signed[0].commit.value != checkout.git("rev-parse", "HEAD")
    refused(world, policy("{tagged_by: any}"), "no signed tag", "models/m:2")


def bring(world: World, objects: Sequence[GitObject], raws: Sequence[bytes], by: str) -> None:
    """Put a listing into the ledger, true or not."""
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    stored = [uploads.put(raw) for raw in raws]
    signed = uploads.put(world.signer(by).sign(git_signature.build(objects)).raw)
    keys = tuple(uploads.put(key) for key in world.signer(by).keys)
    event = Event(PUSH, bundles=(signed, *dict.fromkeys(stored)), keys=keys)
    record(world.registry, world.trust, world.signer("owner"), world.now, lambda: [event], uploads)


def raw_of(checkout: Checkout, name: str) -> bytes:
    with Repository.open(checkout.root) as repository:
        return repository.read(name)[1]


@both
def test_the_bytes_of_another_object_do_not_count(
    world: World, checkout: Checkout, ada: list[str]
) -> None:
    good = commit(checkout, ada)
    bad = commit(checkout, text="bad")
    train(world)
    raw, here = raw_of(checkout, good), Digest("gitCommit", bad)
    swapped = raw_of(checkout, bad).replace(b"bad", b"BAD")
    unsigned = raw_of(checkout, bad)
    head, blank, message = unsigned.partition(b"\n\n")
    signature = raw.partition(b"\n\n")[0].split(b"gpgsig")[1]
    forged = head + b"\ngpgsig" + signature + blank + message
    checkout.git(*ada, "tag", "-s", "-m", "of good", "good", good)
    checkout.git(*ada, "tag", "-s", "-m", "of its tree", "tree", f"{bad}^{{tree}}")
    checkout.git("tag", "-a", "-m", "not signed", "plain", bad)
    tags = [raw_of(checkout, checkout.git("rev-parse", t)) for t in ("good", "tree", "plain")]
    retold = tags[0].replace(good.encode(), bad.encode())  # then the signature is over other bytes
    raws = [raw, swapped, unsigned, forged, *tags, retold, b"", b"\x00" * 99]
    listed = [GitObject(here, kind, Digest.of(r)) for r in raws for kind in git_signature.KINDS]
    bring(world, listed, raws, "owner")  # whom everybody believes: it does not help
    refused(world, policy(SIGNED), f"commit {bad[:12]}: no signature")
    refused(world, policy("{tagged_by: any}"), f"commit {bad[:12]}: no signed tag")


def test_strangers_cannot_hide_evidence(world: World, checkout: Checkout, ada: list[str]) -> None:
    made = commit(checkout, ada)
    train(world)
    here = Digest("gitCommit", made)
    raws = [b"junk %d" % n for n in range(60)]
    bring(world, [GitObject(here, "commit", Digest.of(r)) for r in raws], raws, "mallory")
    for name in ("mallory", "eve"):
        say(world, Statement.build([ResourceDescriptor(digests=(here,))], vsa.TYPE, {}), by=name)
    lost = GitObject(here, "commit", Digest.of(b"never stored"))
    bring(world, [lost], [], "eve")
    take(world, checkout)
    assert verify(world, policy(SIGNED)).passed


def test_a_stranger_may_bring_what_ada_signed(
    world: World, checkout: Checkout, ada: list[str]
) -> None:
    commit(checkout, ada)
    train(world)
    take(world, checkout, by="nobody")
    assert verify(world, policy(SIGNED)).passed


@both
def test_a_summary_in_a_note_counts(world: World, checkout: Checkout) -> None:
    world.trust_also("host", ["models/**"], [vsa.TYPE])
    made = commit(checkout)
    train(world)
    refused(world, policy(REVIEWED), "no source summary of it is here")
    note(checkout, made, bundle(world, "host", summary(made)))
    done = take(world, checkout)
    assert [(kind, about) for kind, _, about in done.statements] == [(vsa.TYPE, (made,))]
    assert verify(world, policy(REVIEWED)).passed
    assert verify(world, policy("{level: SLSA_SOURCE_LEVEL_2}")).passed
    there = f"{{level: SLSA_SOURCE_LEVEL_3, repository: '{HERE}'}}"
    assert verify(world, policy(there)).passed
    refused(world, policy("{level: SLSA_SOURCE_LEVEL_4}"), "says of level 3|level 3, and")
    refused(world, policy("{level: SLSA_SOURCE_LEVEL_1, repository: 'git+https://x'}"), "is of")
    refused(world, policy("{level: SLSA_SOURCE_LEVEL_1, verified_by: [owner]}"), "by host, and the")
    both = "{signed_by: any, level: SLSA_SOURCE_LEVEL_1}"
    refused(world, policy(both), "no signature")
    assert take(world, checkout).entry is None


@pytest.mark.parametrize(
    ("level", "passed"), [("SLSA_BUILD_LEVEL_3", True), ("ORG_REVIEWED", True), ("", False)]
)
def test_what_is_no_source_level_does_not(
    world: World, checkout: Checkout, level: str, passed: bool
) -> None:
    made = commit(checkout)
    train(world)
    say(world, summary(made, level, passed))
    refused(world, policy("{level: SLSA_SOURCE_LEVEL_1}"), "says no level of the source track")


def test_a_note_on_another_commit_is_passed_over(world: World, checkout: Checkout) -> None:
    world.trust_also("host", ["models/**"], [vsa.TYPE])
    good, bad = commit(checkout), commit(checkout, text="bad")
    train(world)
    note(checkout, bad, bundle(world, "host", summary(good)))
    done = take(world, checkout, "..HEAD")
    assert (done.statements, done.passed) == ((), 1)
    assert "about something else" in done.reasons[0]
    # Brought by the front door it is about the other commit, and stays so.
    say(world, summary(good), by="host")
    refused(world, policy(REVIEWED), f"commit {bad[:12]}: no source summary")


def test_a_summary_counts_for_its_own_commit_and_where_it_passed(world: World) -> None:
    one, other = "a" * 40, "b" * 40
    item = Evidence(Digest.of(raw := bundle(world, "owner", summary(one))), raw, None)
    assert sources.of_bundle(one, item, world.trust, {}).level == 3
    with pytest.raises(BadBundle, match="of this commit"):
        sources.of_bundle(other, item, world.trust, {})
    said = dict(summary(one).predicate) | {"verificationResult": "FAILED"}
    about = ResourceDescriptor(digests=(Digest("gitCommit", one),))
    failed = bundle(world, "owner", Statement.build([about], vsa.TYPE, said))
    assert _level(world, one, failed) == 0
    of_another_type = Statement.build([about], "https://example.org/x", said)
    with pytest.raises(BadBundle):
        _level(world, one, bundle(world, "owner", of_another_type))


def _level(world: World, commit: str, raw: bytes) -> int:
    """The level that a bundle gives; none where its predicate breaks its format."""
    item = Evidence(Digest.of(raw), raw, None)
    try:
        return sources.of_bundle(commit, item, world.trust, {}).level
    except BadStatement:
        return 0


def test_a_strangers_summary_neither_counts_nor_blocks(world: World, checkout: Checkout) -> None:
    world.trust_also("host", ["models/**"], [vsa.TYPE])
    made = commit(checkout)
    train(world)
    note(checkout, made, bundle(world, "mallory", summary(made)))
    assert take(world, checkout).passed == 1
    say(world, summary(made), by="mallory")
    refused(world, policy(REVIEWED), "mallory|key .* who may not|may not say so")
    say(world, summary(made, passed=False), by="mallory")
    say(world, summary(made), by="host")
    assert verify(world, policy(REVIEWED)).passed


@both
def test_attestations_of_other_tools_in_a_tree(world: World, checkout: Checkout) -> None:
    """As gittuf keeps them: envelopes below a reference of their own, in folders."""
    import base64
    import json

    world.trust_also("host", ["models/**"], [vsa.TYPE])
    made = commit(checkout)
    train(world)
    document = json.loads(bundle(world, "host", summary(made)))
    for ref, raw in (
        ("refs/gittuf/attestations", json.dumps(document["dsseEnvelope"], indent=1).encode()),
        ("refs/attestations/slsa", json.dumps(document).encode()),
    ):
        blob = checkout.git("hash-object", "-w", "--stdin", stdin=raw)
        inner = checkout.git("mktree", stdin=f"100644 blob {blob}\tvsa\n".encode())
        tree = checkout.git("mktree", stdin=f"040000 tree {inner}\t{made}\n".encode())
        top = checkout.git("commit-tree", "-m", "attestations", tree)
        checkout.git("update-ref", ref, top)
    assert base64.b64decode(document["dsseEnvelope"]["payload"])
    done = take(world, checkout)
    assert {kind for kind, _, _ in done.statements} == {vsa.TYPE}
    assert done.passed == 0, done.reasons
    assert verify(world, policy(REVIEWED)).passed


def test_hostile_notes_cost_little_and_stop_nothing(world: World, checkout: Checkout) -> None:
    world.trust_also("host", ["models/**"], [vsa.TYPE])
    made = commit(checkout)
    train(world)
    note(checkout, made, b"x" * (LIMITS.git_note_bytes + 1), ref="big")
    note(checkout, made, bytes(range(256)) * 10, ref="binary")
    note(checkout, made, b"[" * 100_000, ref="deep")
    note(checkout, made, *[b"{}"] * 5_000, ref="lines")
    note(checkout, made, b"\x1b]0;gotcha\x07\n{}", ref="terminal")
    note(checkout, made, b"Reviewed-by: somebody\n", ref="text")
    blob = checkout.git("hash-object", "-w", "--stdin", stdin=b"{}")
    many = "".join(f"100644 blob {blob}\t{n:040x}\n" for n in range(20_000))
    top = checkout.git("commit-tree", "-m", "many", checkout.git("mktree", stdin=many.encode()))
    checkout.git("update-ref", "refs/notes/many", top)
    note(checkout, made, bundle(world, "host", summary(made)), ref="good")
    done = take(world, checkout)
    assert done.passed >= 5
    assert all(reason.isprintable() for reason in done.reasons)
    assert verify(world, policy(REVIEWED)).passed


def test_ancestors_too(world: World, checkout: Checkout, ada: list[str]) -> None:
    first = commit(checkout)
    train(world, "models/base:1")
    commit(checkout, ada, "second")
    world.push("data/d:1")  # imported: no code ran
    train(world, "models/m:1", "fine-tuned-from=models/base:1", "trained-on=data/d:1")
    take(world, checkout)
    ancestors = "    ancestors: {assurance: attested}\n"
    assert verify(world, policy(SIGNED)).passed
    refused(world, policy(SIGNED, ancestors), f"models/base:1: commit {first[:12]}: no signature")
    commit(checkout, ada, "third")
    train(world, "models/base:2")
    train(world, "models/m:2", "fine-tuned-from=models/base:2", "trained-on=data/d:1")
    take(world, checkout)
    assert verify(world, policy(SIGNED, ancestors), "models/m:2").passed


def test_nobody_looked_is_undecided(world: World, checkout: Checkout, ada: list[str]) -> None:
    from stemma_attestations import verify as recipe

    commit(checkout, ada)
    train(world)
    take(world, checkout)
    seen = []
    asked = recipe.verify

    def blind(request: object) -> Verdict:
        seen.append(request)
        return asked(replace(request, sources=None))  # type: ignore[type-var]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "verify", blind)
        with pytest.raises(Undecided, match="nobody looked"):
            verify(world, policy(SIGNED))


def test_a_dossier_carries_it(
    world: World, checkout: Checkout, ada: list[str], tmp_path: Path
) -> None:
    world.trust_also("host", ["acme/**"], [vsa.TYPE])
    trusted(world, tmp_path, "bob", ["acme/**"])
    made = commit(
        checkout, ["-c", "gpg.format=ssh", "-c", f"user.signingKey={tmp_path}/bob.key.pub"]
    )
    scene = DossierScene(tmp_path / "world", world)
    say(world, summary(made), by="host")
    take(world, checkout)
    raw = policy_bytes("{signed_by: [bob], level: SLSA_SOURCE_LEVEL_3}")
    # Somebody lists bytes that are in another entry: that must not spoil the dossier.
    unrelated = world.push("acme/unrelated:1", {"x": raw_of(checkout, made)})
    assert unrelated
    terms = Terms(policy_file.parse(raw, "p"))
    path = scene.make(terms=terms, policy=raw)
    held = replace(terms.policy, name="p")
    assert scene.verify(path, policy=held).passed
    other = Terms()
    without = scene.make(terms=other)
    with pytest.raises(NotVerified, match="no signature of it is here"):
        scene.verify(without, policy=held)


@both
def test_notes_round_trip(world: World, checkout: Checkout, tmp_path: Path) -> None:
    world.trust_also("host", ["models/**"], [vsa.TYPE])
    made = commit(checkout)
    other = commit(checkout, text="not known")
    note(checkout, made, b"for people", ref="stemma")
    note(checkout, other, b"another", ref="stemma")
    checkout.git("checkout", "-q", made)
    train(world)
    say(world, summary(made), by="host")
    hook = checkout.root / ".git" / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    done = export(world, checkout)
    assert set(done.notes) == {made}
    assert done.notes[made] >= 2  # the summary, and provenance of the model
    assert not (tmp_path / "ran").exists()
    hook.unlink()
    text = checkout.git("notes", "--ref=stemma", "show", made)
    assert text.startswith("for people\n")
    assert checkout.git("notes", "--ref=stemma", "show", other) == "another"
    assert checkout.git("fsck", "--strict") == ""
    assert export(world, checkout).commit is None
    (tmp_path / "second").mkdir()
    second = World(tmp_path / "second")
    second.trust, second.trust_path = world.trust, world.trust_path
    second.signers = world.signers
    clone = Checkout(tmp_path / "clone", checkout.object_format)
    checkout.git("clone", "-q", "--no-local", "--bare", ".", str(clone.root))
    clone.git("fetch", "-q", str(checkout.root), "refs/notes/*:refs/notes/*")
    taken = take(second, clone, made)
    assert taken.passed >= 1  # the line for people
    assert said(second, made) == said(world, made)
    assert take(second, clone, made).entry is None
    assert export(second, clone).commit is None


def said(world: World, commit: str) -> set[Digest]:
    """The statements about a commit and of what was built from it."""
    with world.view() as view:
        nodes = known_commits.among(view.connection, [commit])
        return {fact.bundle for fact in taking.spoken(view, nodes[commit])}


def export(world: World, checkout: Checkout, ref: str = noting.REF) -> noting.Written:
    with world.view() as view, Repository.open(checkout.root) as repository:
        return noting.write(world.registry, view, repository, None, ref)


@both
@pytest.mark.parametrize("there", [False, True])
def test_a_note_that_changed_meanwhile_is_not_overwritten(
    world: World, checkout: Checkout, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    made = commit(checkout)
    train(world)
    if there:
        note(checkout, made, b"first", ref="stemma")
    run = noting.program.run

    def late(*arguments: object, **more: object) -> bytes:
        if "fast-import" in arguments:
            checkout.git("update-ref", "-d", noting.REF)
            note(checkout, made, b"late", ref="stemma")
        return run(*arguments, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(noting.program, "run", late)
        with pytest.raises(Refused, match="run it again"):
            export(world, checkout)
    assert checkout.git("notes", "--ref=stemma", "show", made) == "late"
    assert export(world, checkout).commit is not None
    assert checkout.git("notes", "--ref=stemma", "show", made).startswith("late\n")


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/notes/../heads/main", "refs/notes/-x y"])
def test_only_notes_are_written(world: World, checkout: Checkout, ref: str) -> None:
    commit(checkout)
    with pytest.raises(Refused):
        export(world, checkout, ref)
