"""Trusted roots come, go and rot on a machine: no answer hangs on the order in which they did."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_registry import registry
from stemma_registry.catalogue.again import check_again
from stemma_registry.catalogue.held import NONE_HELD, Held
from stemma_registry.config import Home
from stemma_registry.ledger import segments
from stemma_registry.ledger.log import Head
from stemma_registry.trust import roots as trusted_roots
from tests.sigstore.desk import ALICE, Desk
from tests.world import commit_all

BOB = "bob@example.com"


def kept(desk: Desk) -> Path:
    """The file of the instance's root."""
    value = desk.root.removeprefix("sha256:")
    return desk.folder / "home" / "roots" / f"{value}.json"


def answers(desk: Desk) -> str:
    """Everything that is said about what is there, as one text."""
    found: list[Any] = [desk.run("list"), desk.run("log")]
    for row in desk.run("list")[1]:
        name = f"{row['name']}:{row['version']}"
        code, verdict = desk.run("verify", name)
        timeless = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "", json.dumps(verdict))
        found += [name, code, timeless, desk.run("show", name), desk.run("trace", name)]
        found.append(desk.run("attestations", name))
    return json.dumps(found, indent=1, sort_keys=True)


def rebuilt_says_the_same(desk: Desk) -> str:
    before = answers(desk)
    assert desk.run("rebuild")[0] == 0
    assert answers(desk) == before
    return before


def keyed(desk: Desk, name: str = "models/k:1") -> None:
    """A model that the user's own key vouches for."""
    (desk.folder / "work" / "other").mkdir()
    (desk.folder / "work" / "other" / "w.bin").write_bytes(b"other weights")
    commit_all(desk.folder / "work")
    assert desk.run("push", "other", name, "--kind", "model")[0] == 0
    assert desk.verify(name) == 0


def stop(desk: Desk, name: str = "models/k:1") -> None:
    """Bob stops it, and Bob is believed."""
    uri = desk.sign(BOB, "bob")
    code, said = desk.run("quarantine", name, "--reason", "poison", "--sign", uri)
    assert code == 0, said


def nothing_is_served_without_the_root(desk: Desk, harm: str, said_of_it: str) -> None:
    """Of what is stopped: it is undecided while the root is harmed, and stopped again after."""
    raw = kept(desk).read_bytes()
    if harm == "gone":
        kept(desk).unlink()
    else:
        kept(desk).write_bytes(raw[:-1] + b" ")
    code, said = desk.run("verify", "models/k:1")
    assert code == 14, said
    assert said_of_it in json.dumps(said)
    assert desk.run("pull", "models/k:1", "out")[0] == 14
    rebuilt_says_the_same(desk)
    kept(desk).write_bytes(raw)
    assert desk.verify("models/k:1") == 11
    rebuilt_says_the_same(desk)


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_quarantine_is_not_forgotten_with_its_root(desk: Desk, harm: str) -> None:
    """What an identity stopped cannot be proven without its root: then nothing is served."""
    keyed(desk)
    assert desk.believe(BOB) == 0
    stop(desk)
    assert desk.verify("models/k:1") == 11
    nothing_is_served_without_the_root(desk, harm, "trusted root")


def test_what_was_projected_while_the_root_was_damaged_is_proven_once_it_is_mended(
    desk: Desk,
) -> None:
    keyed(desk)
    assert desk.believe(BOB) == 0
    raw = kept(desk).read_bytes()
    kept(desk).write_bytes(b"{}")
    stop(desk)
    assert desk.verify("models/k:1") == 14
    kept(desk).write_bytes(raw)
    assert desk.verify("models/k:1") == 11
    rebuilt_says_the_same(desk)


def test_roots_that_nobody_asks_for_change_nothing(desk: Desk) -> None:
    keyed(desk)
    desk.push()
    assert desk.believe() == 0
    before = rebuilt_says_the_same(desk)
    other = desk.folder / "home" / "roots" / f"{'0' * 64}.json"
    other.write_bytes(b"not a root at all")
    assert answers(desk) == before
    rebuilt_says_the_same(desk)


def renewed(desk: Desk, first: bool) -> str:
    """The instance's next trusted root: the same services, and another digest, before its own
    in their order or behind it."""
    for n in itertools.count():
        document = json.loads(desk.stack.trusted_root())
        document["ctlogs"][0]["baseUrl"] += f"/{n}"
        raw = trusted_roots.extract(json.dumps(document).encode())
        if (str(Digest.of(raw)) < desk.root) == first:
            break
    path = desk.folder / "renewed.json"
    path.write_bytes(raw)
    code, said = desk.run("trust", "root", "add", str(path))
    assert code == 0, said
    return str(said["root"])


@pytest.mark.parametrize("which", ["old", "new"])
@pytest.mark.parametrize("first", [True, False])
def test_two_roots_that_verify_the_same_bundle(desk: Desk, which: str, first: bool) -> None:
    """An instance's root is renewed: whichever of the two is named, its identities count."""
    keyed(desk)
    desk.push()
    stop(desk)
    old, new = desk.root, renewed(desk, first)
    desk.root = old if which == "old" else new
    assert desk.believe() == 0
    assert desk.believe(BOB) == 0
    for _ in range(2):
        assert (desk.verify(), desk.verify("models/k:1")) == (0, 11)
        assert desk.run("rebuild")[0] == 0, "now both are asked at once"
    gone = new if which == "old" else old
    (desk.folder / "home" / "roots" / f"{gone.removeprefix('sha256:')}.json").unlink()
    assert desk.verify() == 0
    assert desk.verify("models/k:1") == 11
    rebuilt_says_the_same(desk)


def test_two_homes_with_other_roots_on_one_store(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine has its own: what one cannot prove is no less proven for the other."""
    keyed(desk)
    desk.push()
    stop(desk)
    assert desk.believe() == 0
    assert desk.believe(BOB) == 0
    home, other = desk.folder / "home", desk.folder / "other"
    other.mkdir()
    shutil.copy(home / "trust.yaml", other / "trust.yaml")
    store = str(home / "registry")
    for _ in range(2):
        monkeypatch.setenv("STEMMA_HOME", str(home))
        assert (desk.verify(), desk.verify("models/k:1")) == (0, 11)
        monkeypatch.setenv("STEMMA_HOME", str(other))
        monkeypatch.setenv("STEMMA_REGISTRY", store)
        assert desk.run("verify", "models/k:1")[0] == 14
        assert desk.run("verify", "models/m:1")[0] == 13
    assert desk.run("trust", "root", "add", str(desk.config))[0] == 0
    assert (desk.verify(), desk.verify("models/k:1")) == (0, 11)
    assert ALICE in json.dumps(desk.run("attestations", "models/m:1")[1])


def test_a_root_that_verifies_it_too_is_no_substitute(desk: Desk) -> None:
    """Bob is listed under a root that is gone; that another one knows him says nothing."""
    keyed(desk)
    stop(desk)
    renewed(desk, first=True)
    assert desk.believe(BOB) == 0
    assert desk.verify("models/k:1") == 11
    raw = kept(desk).read_bytes()
    kept(desk).unlink()
    assert desk.verify("models/k:1") == 14
    rebuilt_says_the_same(desk)
    kept(desk).write_bytes(raw)
    assert desk.verify("models/k:1") == 11


def test_who_is_listed_under_the_old_root_and_the_new_one(desk: Desk) -> None:
    """As it is while a root is renewed: the machines that lack one of the two go on."""
    desk.push()
    old, new = desk.root, renewed(desk, first=True)
    for desk.root in (old, new):
        assert desk.believe() == 0
    for desk.root in (old, new):
        raw = kept(desk).read_bytes()
        kept(desk).unlink()
        assert desk.verify() == 0
        rebuilt_says_the_same(desk)
        kept(desk).write_bytes(raw)
    assert (
        desk.run(
            "trust",
            "add",
            "--identity",
            ALICE,
            "--issuer",
            desk.stack.oidc.url,
            "--root",
            old,
            "--principal",
            ALICE,
            "--predicates",
            "urn:x:more",
        )[0]
        == 0
    )
    desk.root = old
    kept(desk).unlink()
    assert desk.verify() == 14, "under the old one she may say more"


def test_a_root_that_is_missing_for_somebody_who_never_spoke(desk: Desk) -> None:
    keyed(desk)
    renewed(desk, first=True)
    stop(desk)
    assert desk.believe(ALICE) == 0
    kept(desk).unlink()
    assert desk.verify("models/k:1") == 0, "all that is there is Bob's, as the new root proves"


def test_a_root_that_this_version_does_not_understand(desk: Desk) -> None:
    keyed(desk)
    stop(desk)
    assert desk.believe(BOB) == 0
    raw = b'{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=9.9"}'
    trust = desk.folder / "home" / "trust.yaml"
    trust.write_text(trust.read_text().replace(desk.root, str(Digest.of(raw))))
    desk.root = str(Digest.of(raw))
    kept(desk).write_bytes(raw)
    assert desk.verify("models/k:1") == 14


# --- times of keys ----------------------------------------------------------------------------


def stopped_by_a_revoked_key(desk: Desk, *options: str) -> None:
    """Bob's key said so, and was revoked."""
    keyed(desk)
    assert desk.run("key", "new", "--out", "bob.pem")[0] == 0
    status = "urn:stemma:status:v0.1"
    add = ("trust", "add", "bob.pub", "--principal", "bob", "--predicates", status)
    assert desk.run(*add)[0] == 0
    bob = ("--reason", "poison", "--sign", "key:bob.pem", *options)
    assert desk.run("quarantine", "models/k:1", *bob)[0] == 0
    assert desk.run("trust", "revoke", "bob", "--at", "2099-01-01T00:00:00Z")[0] == 0


def stamped(desk: Desk) -> tuple[str, ...]:
    return ("--timestamp", f"{desk.stack.url}/api/v1/timestamp")


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_revoked_key_is_not_forgotten_with_the_root_that_dates_it(desk: Desk, harm: str) -> None:
    assert desk.run("trust", "time", "add", desk.root)[0] == 0
    stopped_by_a_revoked_key(desk, *stamped(desk))
    assert desk.verify("models/k:1") == 11
    nothing_is_served_without_the_root(desk, harm, "revoked key")


def test_a_time_that_another_root_proves_is_enough(desk: Desk) -> None:
    """And what the first would add is not missed, be it earlier."""
    other = renewed(desk, first=False)
    for root in (desk.root, other):
        assert desk.run("trust", "time", "add", root)[0] == 0
    stopped_by_a_revoked_key(desk, *stamped(desk))
    kept(desk).unlink()
    assert desk.verify("models/k:1") == 11
    rebuilt_says_the_same(desk)


def test_a_time_root_that_is_missing_where_nothing_hangs_on_it(desk: Desk) -> None:
    assert desk.run("trust", "time", "add", desk.root)[0] == 0
    stopped_by_a_revoked_key(desk)
    assert desk.verify("models/k:1") == 0, "nothing says when the key said so"
    kept(desk).unlink()
    assert desk.verify("models/k:1") == 0


# --- meanwhile --------------------------------------------------------------------------------


def test_a_root_that_goes_while_a_question_is_put(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held against the roots and what is said to be missing are of one moment."""
    keyed(desk)
    assert desk.believe(BOB) == 0
    stop(desk)
    raw, current = kept(desk).read_bytes(), registry.reached
    turns = itertools.cycle([kept(desk).unlink, lambda: kept(desk).write_bytes(raw)])
    left = iter(range(6))

    def restless(*arguments: Any) -> Any:
        head = current(*arguments)
        if next(left, None) is not None:
            next(turns)()
        return head

    monkeypatch.setattr(registry, "reached", restless)
    assert desk.verify("models/k:1") == 11
    assert next(left, None) is None


def test_a_process_with_other_roots_is_between(desk: Desk) -> None:
    """Each entry is projected with the roots that all before it were held against."""
    keyed(desk)
    assert desk.believe(BOB) == 0
    stop(desk)
    assert desk.verify("models/k:1") == 11
    path = str(desk.folder / "home" / "registry")
    home = Home(desk.folder / "home")
    mine, reader = registry.open_registry(path, home).catalogue, segments.Reader.after
    desk.push()

    def slow(self: segments.Reader, head: Head) -> Any:
        found = reader(self, head)
        if found is not None:
            with mine.writing() as connection:
                check_again(connection, mine.store, NONE_HELD)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments.Reader, "after", slow)
        assert desk.run("rebuild")[0] == 0
    with mine.reading() as connection:
        assert mine.is_of(connection, Held.of(mine.roots))
        query = "SELECT count(*) FROM statement WHERE root = x'' AND signer IS NULL"
        assert connection.exec_driver_sql(query).scalar() == 0
    mine.close()
    assert desk.verify("models/k:1") == 11
