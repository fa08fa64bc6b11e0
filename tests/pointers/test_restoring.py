"""`checkout`: only pointers are replaced, only by their bytes, and not by what is stopped."""

from __future__ import annotations

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BytesDiffer, Quarantined
from stemma_attestations.lfs_pointer import Pointer
from stemma_registry.errors import BlobMissing, Damaged, NotFound, Refused
from stemma_registry.pointers import restoring
from tests.pointers.conftest import MODEL, WEIGHTS, Bench


@pytest.fixture
def pointed(one: Bench) -> Bench:
    """A model that is pointers, committed."""
    one.write("m", MODEL)
    one.add("m", "models/m:1")
    one.commit()
    return one


def _kinds(bench: Bench, *paths: str) -> dict[str, str]:
    return {one.path: type(one.error).__name__ for one in bench.restore(*paths).left}


def test_what_is_quarantined_stays_a_pointer(pointed: Bench) -> None:
    pointed.world.push("models/clean:1", {"shared": WEIGHTS}, kind="model")
    pointed.world.quarantine("models/m:1")
    kinds = _kinds(pointed)
    assert kinds == {"m/model-2.safetensors": "Quarantined"}
    # The first is a file of something else, too, which is not stopped.
    assert (pointed.root / "m/model-1.safetensors").read_bytes() == WEIGHTS
    assert pointed.restore(quarantined=True).left == ()
    assert (pointed.root / "m/model-2.safetensors").read_bytes() == WEIGHTS[::-1]


def test_what_descends_from_it_too(one: Bench) -> None:
    one.world.push("data/bad:1")
    one.world.push("models/m:1", MODEL, "trained-on=data/bad:1", kind="model")
    one.write("m", MODEL)
    one.add("m")
    one.world.quarantine("data/bad:1")
    assert set(_kinds(one).values()) == {"Quarantined"}


def test_the_worst_is_what_it_ends_with() -> None:
    left = [
        restoring.Left(error.__class__.__name__, error)
        for error in (BlobMissing("a"), Quarantined("b"), BytesDiffer("c"), Refused("d"))
    ]
    assert isinstance(restoring.worst(left), BytesDiffer)
    assert isinstance(restoring.worst(left[:2]), Quarantined)
    assert isinstance(restoring.worst(left[:1]), BlobMissing)
    assert restoring.worst(()) is None


def test_bytes_that_the_registry_lacks_or_has_in_another_length(pointed: Bench) -> None:
    pointed.write(
        "m",
        {
            "lost.safetensors": Pointer(Digest.of(b"nowhere"), 7).raw,
            "huge.safetensors": Pointer(Digest.of(WEIGHTS), 2**63 - 1).raw,
        },
    )
    assert _kinds(pointed) == {
        "m/lost.safetensors": "BlobMissing",
        "m/huge.safetensors": "BytesDiffer",
    }
    assert (pointed.root / "m/model-1.safetensors").read_bytes() == WEIGHTS


def test_bytes_that_rotted_in_the_store_are_not_handed_out(pointed: Bench) -> None:
    blob = pointed.world.blob(Digest.of(WEIGHTS))
    blob.chmod(0o644)
    blob.write_bytes(b"x" * len(WEIGHTS))
    before = (pointed.root / "m/model-1.safetensors").read_bytes()
    (left,) = pointed.restore().left
    assert isinstance(left.error, Damaged)
    assert (pointed.root / "m/model-1.safetensors").read_bytes() == before
    assert sorted(p.name for p in (pointed.root / "m").iterdir()) == sorted(MODEL)


def test_other_changes_are_not_touched(pointed: Bench) -> None:
    mine = pointed.root / "m/model-1.safetensors"
    mine.write_bytes(b"my own new weights")
    looked = mine.stat()
    (pointed.root / "m/config.json").write_bytes(b'{"mine": true}')
    restored = pointed.restore("m")
    assert [entry.path for entry in restored.written] == ["m/model-2.safetensors"]
    assert mine.read_bytes() == b"my own new weights"
    assert mine.stat() == looked or mine.stat().st_mtime_ns == looked.st_mtime_ns
    assert (pointed.root / "m/config.json").read_bytes() == b'{"mine": true}'


def test_only_where_it_is_asked_for(pointed: Bench) -> None:
    restored = pointed.restore("m/model-2.safetensors")
    assert [entry.path for entry in restored.written] == ["m/model-2.safetensors"]
    with pytest.raises(NotFound):
        pointed.restore("nothing")


def test_what_git_would_commit_whole_is_left(pointed: Bench) -> None:
    raw = Pointer(Digest.of(WEIGHTS), len(WEIGHTS)).raw
    pointed.write("notes", {"example.txt": raw})
    assert _kinds(pointed, "notes") == {"notes/example.txt": "Refused"}
    assert (pointed.root / "notes/example.txt").read_bytes() == raw


def test_an_extension_is_never_run(pointed: Bench) -> None:
    raw = Pointer(Digest.of(WEIGHTS), len(WEIGHTS)).raw
    extended = raw.replace(b"oid", b"ext-0-evil sha256:" + b"0" * 64 + b"\noid")
    pointed.write("m", {"x.safetensors": extended})
    assert _kinds(pointed, "m/x.safetensors") == {"m/x.safetensors": "Refused"}


def test_repositories_within_are_their_own(pointed: Bench) -> None:
    raw = (pointed.root / "m/model-1.safetensors").read_bytes()
    pointed.write("inner", {"w.safetensors": raw})
    (pointed.root / "inner/.git").write_text("gitdir: ../elsewhere\n")
    assert pointed.restore("m").left == ()
    assert (pointed.root / "inner/w.safetensors").read_bytes() == raw
    assert pointed.restore() == restoring.Restored((), ())
