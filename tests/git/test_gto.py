"""What GTO itself says of tags, recorded (tests/fixtures/gto/write.py), against what is said here.

The repository is made again, commit by commit and tag by tag, with the same ids.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations import gto
from stemma_attestations.gto import Act
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.tagging import creating
from tests.calling import caller
from tests.git.repositories import Checkout

START = 1_700_000_000
FIXTURE = Path(__file__).parents[1] / "fixtures" / "gto" / "recorded.json"
RECORDED: dict[str, Any] = json.loads(FIXTURE.read_text())
EVENTS = {
    "registration": Act.REGISTER,
    "deregistration": Act.DEREGISTER,
    "assignment": Act.ASSIGN,
    "unassignment": Act.UNASSIGN,
    "deprecation": Act.DEPRECATE,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """The commits of which GTO was asked, without the tags."""
    made = Checkout.make(tmp_path / "work")
    parent = ""
    for number, commit in enumerate(RECORDED["commits"]):
        who = f"Ada <ada@example.org> {START + 60 * number} +0000"
        lines = [f"tree {made.git('mktree')}", *([f"parent {parent}"] if parent else [])]
        lines += [f"author {who}", f"committer {who}", "", f"change {number}", ""]
        parent = made.git(
            "hash-object", "-t", "commit", "-w", "--stdin", stdin="\n".join(lines).encode()
        )
        assert parent == commit
    made.git("update-ref", "refs/heads/main", parent)
    return made


def tag_all(checkout: Checkout) -> None:
    """The tags, byte for byte."""
    folder = checkout.root / ".git" / "made"
    folder.mkdir()
    paths = []
    for number, text in enumerate(RECORDED["tags"].values()):
        paths.append(folder / str(number))
        paths[-1].write_text(f"{text}\n")
    asked = "\n".join(map(str, paths)).encode()
    ids = checkout.git("hash-object", "-t", "tag", "-w", "--stdin-paths", stdin=asked).split()
    names = zip(RECORDED["tags"], ids, strict=True)
    moves = "".join(f"create refs/tags/{name} {made}\n" for name, made in names)
    checkout.git("update-ref", "--stdin", stdin=moves.encode())


def test_the_list_is_that_of_gto(
    checkout: Checkout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tag_all(checkout)
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))
    code, out, err = caller(capsys)("--json", "tags", "list", str(checkout.root))
    assert code == 0, err
    ours = {one["name"].replace("=", ":"): one for one in json.loads(out)}
    assert sorted(ours) == sorted(RECORDED["show"])
    for name, shown in RECORDED["show"].items():
        one = ours[name]
        assert one["deprecated"] is not shown["active"], name
        at = {s: v["version"] or v["commit"] for v in one["versions"] for s in v["stages"]}
        assert at == {stage: at for stage, at in shown["stage"].items() if at}, name
        versions = {(v["version"] or v["commit"], v["commit"], v["tag"]) for v in one["versions"]}
        if one["deprecated"]:
            continue  # of these GTO lists no versions
        listed = [v for v in RECORDED["versions"][name] if v["ref"] != v["commit_hexsha"]]
        # What has no version GTO calls by the tag of the stage.
        tags = {v["ref"] if not v["discovered"] else None for v in listed}
        assert {tag for _, _, tag in versions} == tags, name
        assert {(v["version"], v["commit_hexsha"]) for v in listed} == {v[:2] for v in versions}


def test_every_tag_is_read_as_gto_reads_it() -> None:
    history = {one["ref"]: one for one in RECORDED["history"]}
    for tag in RECORDED["tags"]:
        said, theirs = gto.parse(tag), history.get(tag)
        assert (said is None) == (theirs is None), tag
        if said is None or theirs is None:
            continue
        assert said.artifact.replace("=", ":") == theirs["artifact"]
        assert said.act is EVENTS[theirs["event"]], tag
        assert said.stage == theirs["stage"], tag
        if said.stage is None:
            assert said.version == theirs["version"], tag
    assert sum(gto.parse(tag) is None for tag in RECORDED["tags"]) == 1


def test_what_gto_read_of_ours_is_what_we_write(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded tags of "ours" that `git tag` made are those of `stemma tags create`."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Ada")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ada@example.org")
    recorded = {tag: text for tag, text in RECORDED["tags"].items() if tag.startswith("ours")}
    assert len(recorded) == 5
    by_time = sorted(recorded, key=lambda tag: recorded[tag].split("\n")[3])
    with Repository.open(checkout.root) as repository:
        for tag in by_time:
            commit, _, _, tagger = recorded[tag].split("\n")[:4]
            monkeypatch.setenv("GIT_COMMITTER_DATE", tagger.rpartition("> ")[2])
            # The number of a stage is found, not told.
            wanted = tag.rpartition("#")[0] if "#" in tag else tag
            made = creating.create(repository, wanted, commit.split()[1], None, sign=False)
            assert made.tag == tag
            assert checkout.git("cat-file", "tag", made.id).strip() == recorded[tag]
