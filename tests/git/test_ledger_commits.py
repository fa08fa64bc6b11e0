"""From a Git commit to the ledger's entries about it, by real `git log --grep` in an export."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import git_signature
from stemma_attestations.predicates.git_signature import GitObject
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.commits import taking
from stemma_registry.config import LIMITS
from stemma_registry.gitledger.rendering import COMMITS, render
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger.entry import PUSH, Event, LedgerEntry
from stemma_registry.ledger.log import Head, append, entries_after
from tests.git.ledgers import exported, git, verified
from tests.git.repositories import FORMATS
from tests.git.tagged import Tagged
from tests.world import World


@pytest.mark.parametrize("object_format", FORMATS)
def test_what_was_decided_on_a_commit_is_found_by_it(tmp_path: Path, object_format: str) -> None:
    tagged = Tagged(tmp_path, object_format)
    world, checkout = tagged.world, tagged.checkout
    first = tagged.built("models/m:v1.0.0")
    other = checkout.commit("nothing was built from it")
    tagged.tag("models/m@v1.0.0", first)
    tagged.sync()
    signed = tagged.settings("ada")
    checkout.git(*signed, "commit", "-q", "-S", "--allow-empty", "-m", "signed")
    second = checkout.git("rev-parse", "HEAD")
    with Repository.open(checkout.root) as repository:
        owner = world.signer("owner")
        taking.take(world.registry, world.trust, owner, (repository, second), world.now)
    exported(world, tmp_path / "a")

    def found(commit: str) -> list[str]:
        wanted = ("--reverse", "--format=%s", "--grep", f"^Git-Commit: {commit}$")
        return git(tmp_path / "a", "log", *wanted).splitlines()

    assert found(first) == ["push models/m:v1.0.0", f"push commit {first[:12]}"]
    assert found(second) == [f"push commit {second[:12]}"]
    assert found(other) == []
    assert verified(world, tmp_path / "a").whole


def entry_of(world: World, statement: Statement, head: Head) -> LedgerEntry:
    """The entry that makes a statement visible; `head` is where the ledger was read to."""
    bundle = put_bytes(world.store, world.signer("owner").sign(statement).raw)
    event = Event(PUSH, bundles=(bundle,))
    for _ in entries_after(world.store, head):
        pass
    entry = append(world.store, head, lambda: [event], lambda: head)
    assert entry is not None
    return entry


def test_large_statements_and_hostile_ones(tmp_path: Path) -> None:
    """A long list is found from its first thousand; a name that is no id of a commit is none."""
    world, head = World(tmp_path), Head()
    world.push("a:1")
    ids = [f"{i:040x}" for i in range(COMMITS)]
    objects = [GitObject(Digest("gitCommit", one), "commit", Digest.of(b"x")) for one in ids]
    long = entry_of(world, git_signature.build(objects), head)
    subject = ResourceDescriptor(name="x", digests=(Digest.of(b"x"),))
    says = {
        "commit": "ab" * 20 + "\nEntry: 99",
        "text": f'"commit":"{"cd" * 20}"',
        "short": {"gitCommit": "ef" * 10},
        "many": [{"gitCommit": f"{i:064x}"} for i in range(COMMITS + 1)],
    }
    odd = entry_of(world, Statement.build([subject], "urn:x", says), head)
    bundles = [digest for entry in (long, odd) for digest in entry.events[0].bundles]
    blobs = {one: get_bytes(world.store, one, LIMITS.small_object_bytes) for one in bundles}
    told = [
        [line for line in render(entry, blobs).message.decode().splitlines() if "Git-C" in line]
        for entry in (long, odd)
    ]
    assert told[0] == [f"Git-Commit: {one}" for one in ids]
    assert told[1].pop() == "More-Git-Commits: 1"
    assert told[1] == [f"Git-Commit: {i:064x}" for i in range(COMMITS)]
    # Of what was erased, nothing.
    assert b"Git-Commit" not in render(odd, {}).message
    exported(world, tmp_path / "a")
    assert verified(world, tmp_path / "a").whole
