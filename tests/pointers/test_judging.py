"""`verify --git`: what a commit points to is judged as a directory with those bytes would be."""

from __future__ import annotations

import dataclasses

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Undecided
from stemma_attestations.lfs_pointer import Pointer
from stemma_registry.errors import NotFound
from stemma_registry.gitrepo import repository
from stemma_registry.pointers import contents, judging
from tests.pointers.conftest import MODEL, WEIGHTS, Bench, errors


@pytest.fixture
def two(one: Bench) -> Bench:
    """Two artifacts in one commit."""
    one.write("models/a", MODEL)
    one.add("models/a", "models/a:1")
    one.write("models/b", {"w.bin": WEIGHTS + b"b"})
    one.add("models/b/w.bin", "models/b:1")
    one.commit()
    return one


def test_each_artifact_of_a_commit_is_judged(two: Bench) -> None:
    judged = two.judge()
    assert [(one.path, one.failure) for one in judged] == [("models/a", None), ("models/b", None)]
    names = [str(one.verdict.name) for one in judged if one.verdict]
    assert names == ["models/a:1", "models/b:1"]
    (step,) = [s for s in judged[0].verdict.steps if s.number == 1] if judged[0].verdict else []
    assert two.checkout.git("rev-parse", "HEAD") in step.details[0]


def test_a_quarantine_is_heard_of(two: Bench) -> None:
    two.world.quarantine("models/b:1")
    judged = two.judge()
    assert errors(judged) == ["NoneType", "Quarantined"]
    assert type(judging.worst(judged)).__name__ == "Quarantined"


def test_a_pointer_that_belongs_to_nothing_is_a_no(two: Bench) -> None:
    stray = Pointer(Digest.of(b"stray"), 5).raw
    two.write("models/c", {"w.bin": stray})
    two.commit()
    judged = two.judge()
    assert [one.path for one in judged] == ["models/a", "models/b", "models/c"]
    assert errors(judged) == ["NoneType", "NoneType", "NotVerified"]


def test_what_differs_from_the_artifact_is_seen(two: Bench) -> None:
    for change in (
        {"model-1.safetensors": Pointer(Digest.of(WEIGHTS + b"!"), len(WEIGHTS) + 1).raw},
        {"model-1.safetensors": Pointer(Digest.of(WEIGHTS), len(WEIGHTS) + 1).raw},
        {"config.json": b"{ }\n"},
        {"planted.py": b"import os\n"},
        {".gitattributes": b"* -text\n"},
    ):
        two.write("models/a", change)
        two.commit()
        assert errors(two.judge("models/a", "models/a:1")) == ["BytesDiffer"], change
        assert set(errors(two.judge("models/a"))) <= {"NotVerified", "BytesDiffer"}
        two.checkout.git("reset", "-q", "--hard", "HEAD~1")


def test_links_are_no_part_of_an_artifact(two: Bench) -> None:
    (two.root / "models/a/more.bin").symlink_to("/etc/passwd")
    two.commit()
    (judged,) = two.judge("models/a", "models/a:1")
    assert "symbolic link" in str(judged.failure)


def test_bytes_that_the_registry_has_lost(two: Bench) -> None:
    two.world.blob(Digest.of(WEIGHTS)).unlink()
    (judged,) = two.judge("models/a")
    assert type(judged.failure).__name__ == "BytesDiffer"
    assert "missing from the store" in str(judged.failure)


def test_a_commit_without_anything_known_is_a_no(two: Bench) -> None:
    assert errors(two.judge("readme")) == ["NotVerified"]
    with pytest.raises(NotFound):
        two.judge("models/none")
    with pytest.raises(NotFound):
        two.judge("models/a", "models/none:1")


def test_the_work_tree_is_no_matter(two: Bench) -> None:
    two.write("models/a", {"planted.py": b"import os\n"})
    assert errors(two.judge("models/a")) == ["NoneType"]


def test_all_that_is_read_is_bounded(two: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(contents.LIMITS, git_raw_bytes=100)
    monkeypatch.setattr(contents, "LIMITS", small)
    with pytest.raises(Undecided, match="name a path"):
        two.judge()
    monkeypatch.undo()
    monkeypatch.setattr(judging, "LIMITS", dataclasses.replace(judging.LIMITS, git_artifacts=1))
    with pytest.raises(Undecided, match="more than 1 artifacts"):
        two.judge()


def test_a_large_file_that_is_no_pointer_is_undecided(
    two: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.write("models/a", {"raw.bin": b"x" * 5_000})
    two.commit()
    small = dataclasses.replace(repository.LIMITS, git_object_bytes=4_000)
    monkeypatch.setattr(repository, "LIMITS", small)
    with pytest.raises(Undecided, match=r"raw.bin' is no pointer .*`stemma add` makes it one"):
        two.judge("models/a")
