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
from stemma_registry import trusted_roots
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


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_quarantine_is_not_forgotten_with_its_root(desk: Desk, harm: str) -> None:
    """What an identity stopped cannot be proven without its root: then nothing is served."""
    keyed(desk)
    assert desk.believe(BOB) == 0
    stop(desk)
    assert desk.verify("models/k:1") == 11
    raw = kept(desk).read_bytes()
    if harm == "gone":
        kept(desk).unlink()
    else:
        kept(desk).write_bytes(raw[:-1] + b" ")
    code, said = desk.run("verify", "models/k:1")
    assert code == 14, said
    assert "trusted root" in json.dumps(said)
    assert desk.run("pull", "models/k:1", "out")[0] == 14
    rebuilt_says_the_same(desk)
    kept(desk).write_bytes(raw)
    assert desk.verify("models/k:1") == 11
    rebuilt_says_the_same(desk)


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
    assert desk.verify() == 0
    assert desk.verify("models/k:1") == 11
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
    registry = str(home / "registry")
    for _ in range(2):
        monkeypatch.setenv("STEMMA_HOME", str(home))
        assert (desk.verify(), desk.verify("models/k:1")) == (0, 11)
        monkeypatch.setenv("STEMMA_HOME", str(other))
        monkeypatch.setenv("STEMMA_REGISTRY", registry)
        assert desk.run("verify", "models/k:1")[0] == 14
        assert desk.run("verify", "models/m:1")[0] == 13
    assert desk.run("trust", "root", "add", str(desk.config))[0] == 0
    assert (desk.verify(), desk.verify("models/k:1")) == (0, 11)
    assert ALICE in json.dumps(desk.run("attestations", "models/m:1")[1])
