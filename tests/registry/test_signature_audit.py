"""Verifying again: a catalogue that says something else, and what another trust root changes."""

from __future__ import annotations

import functools
import json
import sqlite3
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.identity import IdentityPattern
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import CATALOGUE
from stemma_registry.care.signature_audit import Question, Verified, verify
from stemma_registry.catalogue.catalogue import Catalogue, drop
from stemma_registry.config import LIMITS
from stemma_registry.errors import LedgerBroken
from stemma_registry.keyless import Instance, KeylessSigner
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.log import Head, append
from stemma_registry.registry import Registry
from stemma_registry.trust import file as trust_file
from stemma_registry.trust.change import Change
from stemma_registry.trust.file import Grants
from stemma_registry.trust.roots import TrustedRoots
from tests.postgres import SQLITE_ONLY
from tests.sigstore.stack import LocalSigstore
from tests.world import World

EVERYTHING = Grants(("*",), ("**",), None, None)


def again(world: World, other: TrustRoot | None = None, limit: int = 20) -> Verified:
    question = Question(world.trust, world.now, other, limit)
    return verify(world.registry, world.store, question)


def changed(world: World, other: TrustRoot, limit: int = 20) -> Change:
    found = again(world, other, limit).change
    assert found is not None
    return found


def edited(world: World, old: str, new: str) -> TrustRoot:
    """The trust root with a text in it replaced."""
    text = world.trust_path.read_text()
    assert old in text
    return TrustRoot.parse(text.replace(old, new).encode())


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A dataset, a model of `ci` that was trained on it, and a quarantine by `responder`."""
    world = World(tmp_path_factory.mktemp("lived"))
    world.trust_also("ci", ["models/**"])
    world.trust_also("responder", predicates=["urn:stemma:status:v0.1"])
    world.push("data/raw:1")
    world.push("models/m:1", None, "trained-on=data/raw:1", kind="model", by="ci")
    world.push("data/other:1")
    world.quarantine("data/other:1", by="responder")
    return world


@pytest.fixture
def lived(once: World) -> Iterator[World]:
    """That world, put back afterwards."""
    store, trust = once.store, once.trust
    assert isinstance(store, MemoryStore)
    once.registry.catalogue.close()  # which puts all of it into one file
    kept = {path: path.read_bytes() for path in (once.trust_path, once.catalogue_path)}
    blobs, objects = dict(store.blob_bytes), dict(store.objects)
    once.registry = once._open()
    yield once
    once.registry.catalogue.close()
    heads.forget_seen(once.home.heads, store)
    drop(once.catalogue_path)
    for path, data in kept.items():
        path.write_bytes(data)
    store.blob_bytes, store.objects, once.trust = blobs, objects, trust


@SQLITE_ONLY
def test_a_catalogue_that_says_what_the_bundles_say(lived: World) -> None:
    found = again(lived)
    assert found.differences == 0
    assert found.findings == []
    assert found.unsigned == 0
    with lived.view() as view:
        assert found.entry == view.n
    assert found.statements == 12
    assert again(lived, lived.trust).change == Change(lived.trust.digest)
    assert list(lived.catalogue_path.parent.glob("audit-*")) == []


# Each is something that the catalogue's database can be made to say.
DAMAGES = {
    "a flipped signer": "UPDATE statement SET signer = zeroblob(32) WHERE id = 2",
    "another known signer": (
        "UPDATE statement SET signer = (SELECT signer FROM statement WHERE id = 1) WHERE id = 5"
    ),
    "a signer where none is": "UPDATE statement SET signer = NULL WHERE id = 3",
    "a flipped predicate": "UPDATE statement SET predicate_type = 'd' WHERE id = 1",
    "a predicate spelt out": "UPDATE statement SET predicate_type = '=urn:x' WHERE id = 1",
    "an unknown letter": "UPDATE statement SET predicate_type = '!' WHERE id = 1",
    "a trusted time": "UPDATE statement SET signed = 1 WHERE id = 4",
    "a trusted root": "UPDATE statement SET root = zeroblob(32) WHERE id = 4",
    "an entry": "UPDATE statement SET n = 99 WHERE id = 1",
    "a name": "UPDATE subject SET name = 'prod/x' WHERE statement_id = 1",
    "a subject that went": "DELETE FROM subject WHERE statement_id = 2",
    "an edge that went": "DELETE FROM edge",
    "an edge to elsewhere": "UPDATE edge SET input_id = output_id",
    "the name of an input": "UPDATE edge SET input_name = 'data/clean'",
    "a binding": "UPDATE version SET version = '2' WHERE id = 1",
    "a binding that went": "DELETE FROM version WHERE id = 1",
    "an act": "UPDATE status SET action = 'release'",
    "a quarantine that went": "DELETE FROM status",
    "a release": "INSERT INTO lifted SELECT statement_id, payload FROM status",
    "a file": "DELETE FROM manifest_entry",
    "a size": "UPDATE artifact SET size = 1",
    "a digest": "UPDATE node SET value = zeroblob(32) WHERE id = 1",
    "a text for a digest": "UPDATE statement SET signer = 'owner' WHERE id = 1",
    "a number for a digest": "UPDATE statement SET signer = 7.5 WHERE id = 1",
}


@SQLITE_ONLY
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_difference_is_found(lived: World, damage: str) -> None:
    database = sqlite3.connect(lived.catalogue_path)
    database.execute("PRAGMA foreign_keys=OFF")
    sql = DAMAGES[damage].replace("", "")
    assert database.execute(sql).rowcount != 0
    database.commit()
    database.close()
    found = again(lived)
    assert found.differences > 0, sql
    assert {finding.what for finding in found.findings} == {CATALOGUE}
    assert "stemma rebuild" in found.findings[-1].detail
    lived.rebuild()
    assert again(lived).differences == 0


@SQLITE_ONLY
def test_what_is_asked_of_a_damaged_catalogue_is_answered_by_the_bundles(lived: World) -> None:
    database = sqlite3.connect(lived.catalogue_path)
    database.execute("UPDATE statement SET signer = zeroblob(32)")
    database.commit()
    database.close()
    change = changed(lived, trust_file.NOBODY)
    assert {name.split(" ")[0] for name in change.signers} == {"owner", "ci", "responder"}


@SQLITE_ONLY
def test_a_bundle_that_somebody_signed_again(lived: World) -> None:
    """The same statement by another key is another bundle: the catalogue may not swap them."""
    with lived.view() as view:
        row = view.connection.exec_driver_sql("SELECT bundle FROM statement WHERE id = 1").one()
    first = Bundle.parse(get_bytes(lived.store, Digest("sha256", row[0].hex()), 10**6))
    mallory = lived.signer("mallory")
    forged = mallory.sign(first.statement())
    digest = put_bytes(lived.store, forged.raw)
    database = sqlite3.connect(lived.catalogue_path)
    database.execute("UPDATE statement SET bundle = ? WHERE id = 1", [bytes.fromhex(digest.value)])
    database.commit()
    database.close()
    found = again(lived)
    texts = [detail for _, detail in found.listed]
    assert any(text.startswith("the catalogue lacks statement") for text in texts)
    assert any(text.endswith("that nothing says") for text in texts)
    # In the ledger it is a statement of mallory's, and changes nothing of the first one.
    lived.rebuild()
    keys = tuple(put_bytes(lived.store, key) for key in mallory.keys)
    event = Event(PUSH, bundles=(digest,), keys=keys)
    append(lived.store, lived.registry.catalogue.catch_up(), lambda: [event], Head)
    assert again(lived).differences == 0
    assert again(lived).statements == 13


@SQLITE_ONLY
def test_a_bundle_that_is_not_in_the_store(lived: World) -> None:
    with lived.view() as view:
        row = view.connection.exec_driver_sql("SELECT bundle FROM statement WHERE id = 1").one()
    lived.store.delete(Digest("sha256", row[0].hex()))
    with pytest.raises(LedgerBroken, match="stemma audit"):
        again(lived)


@SQLITE_ONLY
def test_only_so_much_is_listed(lived: World) -> None:
    database = sqlite3.connect(lived.catalogue_path)
    database.execute("UPDATE statement SET signer = zeroblob(32)")
    database.commit()
    database.close()
    found = again(lived, limit=3)
    assert (found.differences, len(found.listed), len(found.findings)) == (12, 3, 4)
    assert again(lived, limit=0).findings[0].detail.startswith("12 of its rows differ")


# --- another trust root ---------------------------------------------------------------------


@SQLITE_ONLY
def test_a_key_that_is_revoked(lived: World) -> None:
    other = lived.folder / "other.yaml"
    other.write_bytes(lived.trust_path.read_bytes())
    new, _ = trust_file.revoke(other, "ci", lived.now.replace(microsecond=0))
    change = changed(lived, new)
    assert change.trust == new.digest
    (one,) = change.signers.values()
    assert one.signer == f"ci (key {lived.signer('ci').public.id[:12]})"
    assert one.lost == Counter(statements=3, edges=4, names=1)
    assert one.gained == Counter()
    assert {moved.what for moved in one.listed} == {"statements", "edges", "names"}
    assert {(moved.before, moved.after) for moved in one.listed} == {("attested", "signed")}
    assert "models/m:1 trained-on data/raw:1" in [moved.about for moved in one.listed]
    assert change.artifacts.listed == [("lost", "models/m:1")]
    assert (change.artifacts.lost, change.artifacts.gained) == (1, 0)
    assert change.quarantines.listed == []


@SQLITE_ONLY
def test_the_other_way_round_all_of_it_is_gained(lived: World) -> None:
    new = lived.trust
    lived.trust = TrustRoot.parse(lived.trust_path.read_bytes().split(b'  - principal: "ci"')[0])
    change = changed(lived, new)
    assert {name.split()[0] for name in change.signers} == {"ci", "responder"}
    assert all(not one.lost for one in change.signers.values())
    assert change.artifacts.listed == [("gained", "models/m:1")]
    assert (change.quarantines.lost, change.quarantines.gained) == (0, 1)
    ((what, text),) = change.quarantines.listed
    assert what == "gained"
    assert text.startswith("quarantine of data/other:1 and 1 more by responder (key ")
    assert text.endswith(": bad")


@SQLITE_ONLY
def test_a_release_that_would_not_count_brings_its_quarantine_back(lived: World) -> None:
    lived.trust_also("second", predicates=["urn:stemma:status:v0.1"])
    lived.release("data/other:1", by="second")
    without = TrustRoot.parse(lived.trust_path.read_bytes().split(b'  - principal: "second"')[0])
    change = changed(lived, without)
    assert (change.quarantines.lost, change.quarantines.gained) == (0, 1)


@SQLITE_ONLY
def test_a_narrower_grant_takes_only_what_it_no_longer_covers(lived: World) -> None:
    narrower = edited(lived, 'names: ["models/**"]', 'names: ["models/other/**"]')
    change = changed(lived, narrower)
    assert [name.split()[0] for name in change.signers] == ["ci"]
    same = edited(lived, 'names: ["models/**"]', 'names: ["models/*"]')
    assert changed(lived, same) == Change(same.digest)


@SQLITE_ONLY
def test_a_window_that_is_over_takes_provenance_and_lets_no_stop_lapse(lived: World) -> None:
    over = (lived.now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = lived.trust_path.read_text().replace("    key:", f'    valid_until: "{over}"\n    key:')
    change = changed(lived, TrustRoot.parse(text.encode()))
    assert change.signers == {}
    assert change.artifacts.lost == 3
    assert (change.quarantines.lost, change.quarantines.gained) == (0, 0)


@SQLITE_ONLY
def test_a_threshold_that_one_signer_does_not_meet(lived: World) -> None:
    rule = """thresholds:
  - predicates: [https://slsa.dev/provenance/v1]
    names: [models/*]
    principals: 2
signers:"""
    change = changed(lived, edited(lived, "signers:", rule))
    assert change.signers == {}
    assert change.artifacts.listed == [("lost", "models/m:1")]


@SQLITE_ONLY
def test_the_list_is_bounded_and_the_counts_are_whole(lived: World) -> None:
    change = changed(lived, trust_file.NOBODY, limit=1)
    assert all(len(one.listed) == 1 for one in change.signers.values())
    assert len(change.artifacts.listed) == 1
    assert change.artifacts.lost == 3
    assert sum(sum(one.lost.values()) for one in change.signers.values()) > 10


# --- keyless --------------------------------------------------------------------------------


def test_keyless_bundles_are_verified_under_the_roots_of_this_machine(
    world: World, sigstore: LocalSigstore, tmp_path: Path
) -> None:
    roots = TrustedRoots(world.home.roots)
    root = roots.add(sigstore.trusted_root())
    token = sigstore.oidc.token("alice", email="alice@example.com")
    alice = KeylessSigner(Instance.parse(sigstore.trust_config(2)), lambda: token)
    pattern = IdentityPattern(sigstore.oidc.url, "alice@example.com")
    world.trust = trust_file.add_identity(world.trust_path, "alice", pattern, root, EVERYTHING)
    subject = ResourceDescriptor(name="models/k:1", digests=(Digest.of(b"k"),))
    said = Statement.build([subject], "urn:example:test", {})
    event = Event(PUSH, bundles=(put_bytes(world.store, alice.sign(said).raw),))
    append(world.store, world.registry.catalogue.catch_up(), lambda: [event], Head)
    world.registry.catalogue.close()
    catalogue = Catalogue.open(world.catalogue_path, world.store, roots)
    world.registry = Registry(world.store, catalogue, world.home)
    found = again(world, trust_file.NOBODY)
    assert (found.differences, found.statements, found.unsigned) == (0, 1, 0)
    assert found.change is not None
    (name,) = found.change.signers
    assert name == "alice (identity alice@example.com)"

    database = sqlite3.connect(world.catalogue_path)
    (document,) = database.execute("SELECT document FROM identity").fetchone()
    eve = document.replace("alice@", "eve@")
    database.execute("UPDATE identity SET document = ?", [eve])
    database.commit()
    assert again(world).differences == 1
    database.execute("UPDATE identity SET document = ?", [document])
    database.execute("UPDATE statement SET signed = signed - 1")
    database.commit()
    assert again(world).differences == 1
    database.execute("UPDATE statement SET signed = signed + 1")
    database.commit()
    database.close()

    # Another root that verifies it too: which came first makes no difference.
    bent = sigstore.trusted_root_json()
    for number in range(40):  # some of these come before the first in the order of digests
        bent["ctlogs"][0]["baseUrl"] = f"https://ct.example.com/{number}"
        second = roots.add(json.dumps(bent).encode())
        if second < root:
            break
    else:
        pytest.fail("no digest comes before the other")
    assert again(world).differences == 0


# --- size -----------------------------------------------------------------------------------


def test_two_thousand_statements_in_bounded_time_and_memory(world: World) -> None:
    world.trust_also("ci", ["models/**"])
    ci = world.signer("ci")
    keys = tuple(put_bytes(world.store, key) for key in ci.keys)
    for start in range(0, 2_000, 500):
        bundles = []
        for n in range(start, start + 500):
            subject = ResourceDescriptor(
                name=f"models/m{n}:1", digests=(Digest.of(str(n).encode()),)
            )
            said = Statement.build([subject], "urn:example:test", {"n": n})
            bundles.append(put_bytes(world.store, ci.sign(said).raw))
        event = Event(PUSH, bundles=tuple(bundles), keys=keys)
        append(
            world.store, world.registry.catalogue.catch_up(), functools.partial(list, [event]), Head
        )
    new = TrustRoot.parse(world.trust_path.read_bytes().split(b'  - principal: "ci"')[0])
    counted = Counts()
    started = time.monotonic()
    found = verify(world.registry, world.store, Question(world.trust, world.now, new), counted)
    assert time.monotonic() - started < 30
    assert (found.statements, found.differences) == (2_000, 0)
    assert (counted.done, counted.expected) == (5, 5)
    assert found.change is not None
    (one,) = found.change.signers.values()
    assert one.lost == Counter(statements=2_000)
    assert len(one.listed) == LIMITS.listed


class Counts:
    """How far it was said to be."""

    def __init__(self) -> None:
        self.done = self.expected = 0

    def __call__(self, count: int) -> None:
        self.done += count

    def expect(self, count: int) -> None:
        self.expected += count


def test_rows_are_not_all_in_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two streams of twenty thousand rows are merged in a few of each."""
    from stemma_registry.catalogue import compare

    kind = compare.Kind("row", 1, ("a", "b"), None)  # type: ignore[arg-type]
    count = 20_000

    def rows(_: Any, side: Any) -> Any:
        return ((f"{n:064x}", "x" * 200) for n in range(count) if n != side)

    monkeypatch.setattr(compare, "_rows", rows)
    tracemalloc.start()
    found = list(compare._merged(kind, 17, 19_000))  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(d.ours is None, d.fresh is None) for d in found] == [(True, False), (False, True)]
    assert peak < 500_000
