"""Signatures that were verified before: what is relied on, and what never is."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stemma_attestations import policy_file
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified, Undecided
from stemma_attestations.identity import CLAIM_NAMES, Identity
from stemma_attestations.predicates.admission import Admission
from stemma_attestations.times import Dated
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Verdict
from stemma_registry import gate, stored
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.config import Home, Limits
from stemma_registry.foreign import letting
from stemma_registry.lineage import remembered
from stemma_registry.lineage.remembered import Remembered, context_of
from stemma_registry.lineage.said import Said, Subject
from tests.building import bounded
from tests.world import World

POLICY = policy_file.parse(
    b"""
format: urn:stemma:policy:v0.1
rules:
  - names: ["**"]
    ancestors: {assurance: attested}
""",
    "ancestors.yaml",
)
LAST = "models/c:1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three models, each made from the one before."""
    world = World(tmp_path)
    world.push("models/a:1", kind="model")
    world.push("models/b:1", None, "fine-tuned-from=models/a:1", kind="model")
    world.push(LAST, None, "fine-tuned-from=models/b:1", kind="model")
    return world


def judge(world: World, reference: str = LAST) -> Verdict:
    with world.view() as view:
        terms = gate.Terms(POLICY)
        return gate.verify_reference(world.registry, view, reference, None, terms)


def file_of(world: World) -> Path:
    return world.home.verified / "signatures.sqlite3"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Digest]:
    """The bundles that are read from the store; three are about the model itself."""
    found: list[Digest] = []
    evidence = stored.evidence

    def counted(store: object, bundle: Digest) -> object:
        found.append(bundle)
        return evidence(store, bundle)  # type: ignore[arg-type]

    monkeypatch.setattr(stored, "evidence", counted)
    return found


def again(world: World, reads: list[Digest]) -> int:
    """How many bundles of ancestors a verdict reads."""
    reads.clear()
    assert judge(world).passed
    return len(reads) - 3


def test_what_verified_is_not_verified_again(world: World, reads: list[Digest]) -> None:
    first = judge(world)
    assert len(reads) == 3 + 2
    assert again(world, reads) == 0
    second = judge(world)
    assert [s.details for s in first.steps] == [s.details for s in second.steps]
    assert file_of(world).stat().st_mode & 0o777 == 0o600
    assert file_of(world).parent.stat().st_mode & 0o777 == 0o700


def test_another_trust_root_verifies_again(world: World, reads: list[Digest]) -> None:
    judge(world)
    world.trust_also("somebody", ["other/*"])
    assert again(world, reads) == 2
    assert again(world, reads) == 0


def test_the_context_is_everything_that_an_outcome_depends_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trust(raw: bytes) -> TrustRoot:
        return TrustRoot.parse(b"format: urn:stemma:trust-root:v0.1\nsigners: []\n" + raw)

    one, other = Digest.of(b"1"), Digest.of(b"2")
    contexts = [
        context_of(trust(b""), {}),
        context_of(trust(b"#"), {}),
        context_of(trust(b""), {one: b"1"}),
        context_of(trust(b""), {one: b"1", other: b"2"}),
    ]
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0 (a mended one)")
    contexts.append(context_of(trust(b""), {}))
    monkeypatch.setattr(remembered, "FORMAT", remembered.FORMAT + 1)
    contexts.append(context_of(trust(b""), {}))
    assert len(set(contexts)) == len(contexts)
    assert context_of(trust(b""), {one: b"", other: b""}) == context_of(
        trust(b""), {other: b"", one: b""}
    )


def test_what_is_in_force_is_asked_every_time(world: World, reads: list[Digest]) -> None:
    """An admission ends, and a grant does, although the signatures are remembered."""
    world.push("models/x:1", kind="model", by="stranger")
    world.push("models/y:1", None, "fine-tuned-from=models/x:1", kind="model")
    admission = Admission("known", world.now, world.now + timedelta(hours=1))
    letting.admit(world.registry, world.trust, world.signer("owner"), ["models/x:1"], admission)
    assert judge(world, "models/y:1").passed
    reads.clear()
    world.now += timedelta(hours=2)
    with pytest.raises(NotVerified, match="ended at"):
        judge(world, "models/y:1")
    assert len(reads) == 3  # the model's own


def test_a_statement_that_was_lost_since_was_still_verified(
    world: World, reads: list[Digest]
) -> None:
    judge(world)
    lost = reads[-1]
    world.store.delete(lost)
    assert again(world, reads) == 0
    file_of(world).unlink()
    with pytest.raises(Undecided, match="lost"):
        judge(world)


def test_nothing_is_remembered_of_what_does_not_verify(world: World, reads: list[Digest]) -> None:
    """It may stand or fall with a key that turns up later."""
    world.push("models/a:1", kind="model", by="stranger", parameters={"by": "stranger"})
    key = Digest("sha256", world.signer("stranger").public.id)
    raw = get_bytes(world.store, key, 10_000)
    world.store.delete(key)
    assert again(world, reads) == 2 + 2  # it is read once more for what it claims
    assert again(world, reads) == 2
    assert rows(world) == 2
    put_bytes(world.store, raw)
    assert again(world, reads) == 1
    assert again(world, reads) == 0


def rows(world: World) -> int:
    if not file_of(world).exists():
        return 0
    connection = sqlite3.connect(file_of(world))
    count: int = connection.execute("SELECT count(*) FROM said").fetchone()[0]
    connection.close()
    return count


def scribble(path: Path) -> None:
    path.write_bytes(b"not a database, although it is long enough to be one" * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE said")
    connection.execute("CREATE TABLE said (id INTEGER, context TEXT, bundle REAL)")
    connection.close()


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def other_values(path: Path) -> None:
    change(path, "UPDATE said SET value = CAST(replace(value, 'models', 'modelz') AS BLOB)")


def no_blobs(path: Path) -> None:
    change(path, "UPDATE said SET value = 5")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [scribble, cut, newer, foreign, other_values, no_blobs, nothing])
def test_a_file_that_is_harmed_is_no_error_and_no_yes(
    world: World, reads: list[Digest], harm: Callable[[Path], None]
) -> None:
    judge(world)
    harm(file_of(world))
    assert again(world, reads) == 2
    judge(world)  # what could not be read may have been in the way of writing, too
    assert again(world, reads) == 0


def writable_file(path: Path) -> None:
    path.chmod(0o620)


def writable_directory(path: Path) -> None:
    path.parent.chmod(0o702)


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def linked_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")


@pytest.mark.parametrize("harm", [writable_file, writable_directory, linked, linked_directory])
def test_what_others_may_write_is_not_read_and_that_is_said(
    world: World, reads: list[Digest], harm: Callable[[Path], None]
) -> None:
    assert judge(world).warnings == ()
    harm(file_of(world))
    before = file_of(world).read_bytes()
    assert again(world, reads) == 2
    (warning,) = judge(world).warnings
    assert warning.startswith("signatures verified before are not relied on: ")
    assert file_of(world).read_bytes() == before


def test_of_another_user_it_is_not_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(world)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    (warning,) = judge(world).warnings
    assert "belongs to another user" in warning


def test_a_home_that_cannot_be_written(world: World, reads: list[Digest]) -> None:
    world.home.path.mkdir(exist_ok=True)
    world.home.verified.write_text("in the way")
    reads.clear()
    assert again(world, reads) == 2
    nowhere = Remembered.of(Home(world.home.verified / "below"), world.trust, {})
    nowhere.recall([Digest.of(b"")])
    assert nowhere.get(Digest.of(b"")) is None


def test_whoever_holds_the_file_keeps_nobody_waiting(
    world: World, reads: list[Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(world)
    world.trust_also("somebody", ["other/*"])
    monkeypatch.setattr(remembered, "_BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(file_of(world), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert again(world, reads) == 2
    assert again(world, reads) == 2
    holder.execute("ROLLBACK")
    holder.close()
    assert again(world, reads) == 2
    assert again(world, reads) == 0


def test_many_remember_at_once(world: World) -> None:
    bundles = [Digest.of(str(i).encode()) for i in range(200)]
    judge(world)
    source = Remembered.of(world.home, world.trust, {})
    connection = sqlite3.connect(file_of(world))
    known = Digest("sha256", connection.execute("SELECT bundle FROM said").fetchone()[0].hex())
    connection.close()
    source.recall([known])
    said = source.get(known)
    assert said is not None

    def remember() -> None:
        mine = Remembered.of(world.home, world.trust, {})
        for bundle in bundles:
            mine.note(bundle, said)
            mine.save()

    threads = [threading.Thread(target=remember) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = Remembered.of(world.home, world.trust, {})
    last.recall(bundles)
    assert all(last.get(bundle) == said for bundle in bundles)
    assert rows(world) == 202


def test_the_older_half_goes_where_there_is_too_much(
    world: World, reads: list[Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(world)
    world.trust_also("somebody", ["other/*"])
    monkeypatch.setattr(remembered, "LIMITS", Limits(remembered_bytes=10_000))
    assert again(world, reads) == 2
    assert rows(world) == 3
    assert again(world, reads) == 0
    monkeypatch.setattr(remembered, "LIMITS", Limits(remembered_statement_bytes=10))
    world.trust_also("somebody else", ["other/*"])
    assert again(world, reads) == 2
    assert again(world, reads) == 2


def test_an_admission_of_many_is_looked_through_once(world: World) -> None:
    """Not once for each of those that it lets in."""
    digests = [Digest.of(str(i).encode()) for i in range(3_000)]
    subjects = tuple(Subject(None, (digest,)) for digest in digests)
    said = Said(1, "1" * 64, None, (), "a", subjects)
    with bounded(2, 20):
        assert all(said.names_of(digest) == (None,) for digest in digests)
    both = Subject("x", (digests[0], Digest("sha1", "0" * 40)))
    said = Said(1, "1" * 64, None, (), "a", (both, both))
    assert said.names_of(digests[0]) == ("x", "x")
    assert said.names_of(Digest("sha1", "0" * 40)) == ()  # it is weak


CLAIM = min(CLAIM_NAMES)
WHEN = datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)
SAYINGS = [
    Said(1, "1" * 64, None, (), "a", (Subject("n:1", (Digest.of(b"1"),)),)),
    Said(6, "6" * 64, None, (), "f", (), commits=("a" * 40, "b" * 64)),
    Said(2, "2" * 64, None, (Dated(WHEN, Digest.of(b"r")),), "b", (), ("a gap", "two")),
    Said(3, "3" * 64, None, (), "c", (), (), Admission("because", WHEN, None)),
    Said(4, "4" * 64, None, (), "d", (), (), Admission("b", WHEN, WHEN + timedelta(days=1))),
    Said(
        5,
        "5" * 64,
        Certified(
            Digest.of(b"root"), Identity("issuer", "subject", ((CLAIM, "7"),)), (Digest.of(b"o"),)
        ),
        (Dated(WHEN, Digest.of(b"root")), Dated(WHEN, Digest.of(b"o"))),
        "e",
        (Subject(None, (Digest("gitCommit", "1" * 40), Digest.of(b"2"))),),
    ),
]


@pytest.mark.parametrize("said", SAYINGS, ids=lambda said: said.predicate_type)
def test_what_is_kept_is_what_was_found(said: Said) -> None:
    assert Said.decode(said.encode()) == said
