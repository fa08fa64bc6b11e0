"""A wrong byte, and a lost file, in every kind of thing that is stored: never a wrong yes.

`warm` keeps the catalogue, which knows what the store said before the damage;
`cold` starts without one. The numbers are the exit codes of docs/cli.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.faults.scene import PUSH_NEW, QUARANTINE, Scene, one_line
from tests.zygote import Finished

pytestmark = pytest.mark.faults
MODEL = "models/m:1"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "verify": ("verify", MODEL, "--json"),
    "pull": ("pull", MODEL, "out", "--json"),
    "trace": ("trace", "data/raw:1", "--json"),
    "audit": ("audit", "--read-data", "--json"),
}
PROVENANCE = "https://slsa.dev/provenance/v1"
BOM = "https://cyclonedx.org/bom"


def bundle_of(scene: Scene, predicate_type: str) -> Path:
    rows = scene.run("attestations", MODEL, "--json").expect(0).document
    (digest,) = [row["digest"] for row in rows if row["predicate_type"] == predicate_type]
    return scene.blob(digest)


def artifact(scene: Scene) -> str:
    digest: str = scene.names()[MODEL]["artifact"]
    return digest


def file_blob(scene: Scene) -> Path:
    return scene.blob(f"sha256:{scene.files_of(artifact(scene))[0]}")


def key_blob(scene: Scene) -> Path:
    return scene.blob(scene.entries()[2]["events"][0]["keys"][0])


def seen_head(scene: Scene) -> Path:
    (path,) = (scene.seat.home / "heads").glob("*.json")
    return path


# What is damaged -> where it is. Entry 2 is the model's push and the last.
TARGETS: Mapping[str, Callable[[Scene], Path]] = {
    "file": file_blob,
    "manifest": lambda scene: scene.blob(artifact(scene)),
    "provenance": lambda scene: bundle_of(scene, PROVENANCE),
    "bom": lambda scene: bundle_of(scene, BOM),
    "key": key_blob,
    "last entry": lambda scene: scene.entry(2),
    "middle entry": lambda scene: scene.entry(1),
    "first entry": lambda scene: scene.entry(0),
    "checkpoint": lambda scene: scene.registry / "status" / "checkpoint.json",
    "seen head": seen_head,
}


def flip(data: bytes) -> bytes:
    """Another byte in the middle; in a ledger entry, so that it is still well-formed."""
    nonce = data.find(b'"nonce":"')
    if nonce >= 0:
        place = nonce + len(b'"nonce":"')
        return (
            data[:place] + (b"1" if data[place : place + 1] == b"0" else b"0") + data[place + 1 :]
        )
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


SHAPES: Mapping[str, Callable[[bytes], bytes | None]] = {
    "a wrong byte": flip,
    "a wrong first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "cut": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "replaced": lambda data: os.urandom(len(data)),
    "lost": lambda data: None,
}
# What is damaged -> the answers of verify, pull, trace and audit, warm and then cold.
Answers = tuple[int, int, int, int]
CODES: Mapping[str, tuple[Answers, Answers]] = {
    "file": ((12, 12, 0, 12), (12, 12, 0, 12)),
    "manifest": ((14, 14, 0, 12), (14, 14, 14, 12)),
    # pull answers for bytes only, and says so.
    "provenance": ((14, 0, 0, 12), (14, 14, 14, 12)),
    "bom": ((14, 0, 0, 12), (14, 14, 14, 12)),
    # The trust root has the key itself, so the stored copy is not needed for a right yes.
    "key": ((0, 0, 0, 12), (14, 14, 14, 12)),
    "last entry": ((14, 14, 14, 14), (14, 14, 14, 14)),
    # What the catalogue took from it was right then, and the last entry still vouches for it.
    "middle entry": ((0, 0, 0, 14), (14, 14, 14, 14)),
    "first entry": ((14, 14, 14, 14), (14, 14, 14, 14)),
    # It is a help against rewinding, no more: nobody's answer rests on it.
    "checkpoint": ((0, 0, 0, 0), (0, 0, 0, 0)),
    "seen head": ((14, 14, 14, 14), (14, 14, 14, 14)),
}
# Well-formed, and not what was there: who reads the whole chain notices.
WRONG_BYTE: Mapping[str, tuple[Answers, Answers]] = {**CODES, "first entry": CODES["middle entry"]}
LOST: Mapping[str, tuple[Answers, Answers]] = {
    **CODES,
    "file": ((12, 3, 0, 12), (12, 3, 0, 12)),
    "first entry": ((3, 3, 3, 3), (3, 3, 3, 3)),  # no registry at all
    "seen head": ((0, 0, 0, 0), (0, 0, 0, 0)),
}


EXPECTED = {**dict.fromkeys(SHAPES, CODES), "a wrong byte": WRONG_BYTE, "lost": LOST}


def damage(path: Path, shape: str) -> None:
    """Damage the file in place."""
    data = SHAPES[shape](path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def drop_catalogue(scene: Scene) -> None:
    for suffix in ("", "-wal", "-shm"):
        scene.catalogue.with_name(scene.catalogue.name + suffix).unlink(missing_ok=True)


def answers(scene: Scene) -> tuple[int, ...]:
    """The exit codes of all commands; each failure is said in one clear line."""
    return tuple(ask(scene, argv).code for argv in COMMANDS.values())


def ask(scene: Scene, argv: tuple[str, ...]) -> Finished:
    done = scene.run(*argv)
    if done.code != 0:
        if argv[0] == "audit" and "findings" in done.document:
            assert done.document["findings"]
            assert not done.document["whole"]
        else:
            one_line(done)
    if argv[0] == "pull":
        assert (scene.work / "out").exists() == (done.code == 0)
    return done


@pytest.mark.parametrize("temperature", ["warm", "cold"])
@pytest.mark.parametrize(
    "shape",
    [
        *("a wrong byte", "cut", "lost"),
        *(pytest.param(s, marks=pytest.mark.slow) for s in ("a wrong first byte", "emptied")),
        pytest.param("replaced", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("target", TARGETS)
def test_damage_is_no_yes(scene: Scene, target: str, shape: str, temperature: str) -> None:
    assert set(answers(scene)) == {0}, "all is well before"
    (scene.work / "out").rename(scene.work / "out-before")
    damage(TARGETS[target](scene), shape)
    if temperature == "cold":
        drop_catalogue(scene)
    expected = EXPECTED[shape][target][temperature == "cold"]
    assert dict(zip(COMMANDS, answers(scene), strict=True)) == dict(
        zip(COMMANDS, expected, strict=True)
    )


@pytest.mark.parametrize("target", ["file", "manifest", "provenance", "bom", "key"])
@pytest.mark.parametrize("shape", ["a wrong byte", "lost"])
def test_audit_names_what_is_damaged(scene: Scene, target: str, shape: str) -> None:
    path = TARGETS[target](scene)
    damage(path, shape)
    report = scene.run("audit", "--read-data", "--json").expect(12).document
    (finding,) = report["findings"]
    assert finding["subject"] == f"sha256:{path.parent.name}{path.name}"
    assert finding["what"] == ("missing" if shape == "lost" else "damaged")
    assert finding["needed_by"]
    lines = scene.run("audit", "--read-data").expect(12).out.splitlines()
    assert lines[-1] == "NOT WHOLE: 1 finding"


def test_audit_names_every_damaged_object(scene: Scene) -> None:
    paths = [TARGETS[target](scene) for target in ("file", "manifest", "provenance", "bom", "key")]
    for path in paths:
        damage(path, "a wrong byte")
    report = scene.run("audit", "--read-data", "--json").expect(12).document
    found = {finding["subject"] for finding in report["findings"]}
    assert {f"sha256:{path.parent.name}{path.name}" for path in paths} <= found


def test_audit_without_reading_sees_sizes_and_losses(scene: Scene) -> None:
    damage(TARGETS["file"](scene), "cut")
    assert scene.run("audit", "--json").expect(12).document["findings"]


def test_a_damaged_neighbour_harms_nobody(scene: Scene) -> None:
    damage(file_blob(scene), "a wrong byte")
    assert scene.verify("data/raw:1") == 0
    assert scene.verify(MODEL) == 12
    scene.run(*PUSH_NEW).expect(0)
    assert scene.verify("data/new:1") == 0


def test_a_blob_that_was_cut_is_mended_by_pushing_again(scene: Scene) -> None:
    """Under another version: under the same one there is nothing new to store."""
    damage(file_blob(scene), "cut")
    push = ("push", "model", "models/m:2", "--kind", "model", "--input", "trained-on=data/raw:1")
    scene.run(*push).expect(0)
    assert scene.verify(MODEL) == scene.verify("models/m:2") == 0
    scene.assert_whole()


# The ledger, shortened in every way.


def test_an_entry_taken_out_of_the_middle_shows_for_ever(scene: Scene) -> None:
    """Also to a stranger who has seen nothing, has no catalogue and believes no checkpoint."""
    scene.entry(1).unlink()
    (scene.registry / "status" / "checkpoint.json").unlink()
    home = scene.folder / "stranger"
    report = scene.run("audit", "--json", environment={"STEMMA_HOME": str(home)})
    assert report.code == 14
    (finding,) = report.document["findings"]
    assert finding["what"] == "ledger"
    assert finding["subject"] == "entry 1"


@pytest.mark.parametrize("temperature", ["warm", "cold"])
def test_a_quarantine_that_was_cut_off_the_ledger_is_no_yes(scene: Scene, temperature: str) -> None:
    scene.run(*QUARANTINE).expect(0)
    scene.entry(3).unlink()
    if temperature == "cold":
        drop_catalogue(scene)
    assert scene.verify(MODEL) == 14
    assert scene.run("audit").code == 14


def test_and_not_for_a_newcomer_who_believes_the_signer_of_the_checkpoint(scene: Scene) -> None:
    scene.run(*QUARANTINE).expect(0)
    home = scene.folder / "newcomer"
    home.mkdir()
    (home / "trust.yaml").write_bytes((scene.seat.home / "trust.yaml").read_bytes())
    newcomer = {"STEMMA_HOME": str(home)}
    scene.entry(3).unlink()
    done = scene.run("verify", MODEL, "--json", environment=newcomer)
    assert done.code == 14
    assert "trusted signer saw" in one_line(done)


# The catalogue.

GARBAGE: Mapping[str, Callable[[bytes], bytes]] = {
    "text": lambda data: b"this is not a database\n" * 1000,
    "random": lambda data: os.urandom(len(data)),
    "header": lambda data: os.urandom(100) + data[100:],
    "schema": lambda data: data[:100] + os.urandom(3996) + data[4096:],
    "cut in a page": lambda data: data[:5000],
    "last half": lambda data: data[: len(data) // 2] + os.urandom(len(data) - len(data) // 2),
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("quarantined", [False, True], ids=["clean", "quarantined"])
@pytest.mark.parametrize("what", GARBAGE)
def test_a_catalogue_of_garbage_gives_no_answer_and_is_rebuilt(
    scene: Scene, what: str, quarantined: bool
) -> None:
    if quarantined:
        scene.run(*QUARANTINE).expect(0)
    right = 11 if quarantined else 0
    assert scene.verify(MODEL) == right
    before = scene.run("trace", "data/raw:1", "--json").expect(0).out
    scene.catalogue.write_bytes(GARBAGE[what](scene.catalogue.read_bytes()))
    for name, argv in COMMANDS.items():
        done = ask(scene, argv)
        if name == "audit":
            assert done.code == 0, "it does not ask the catalogue"
        elif done.code == 14:
            assert "stemma rebuild" in one_line(done)
        else:  # garbage where nobody looked
            assert done.code == (0 if name == "trace" else right)
    scene.run("rebuild").expect(0)
    assert scene.verify(MODEL) == right
    assert scene.run("trace", "data/raw:1", "--json").expect(0).out == before


def test_a_catalogue_that_is_gone_or_empty_is_made_again(scene: Scene) -> None:
    before = scene.run("trace", "data/raw:1", "--json").expect(0).out
    for empty in (False, True):
        drop_catalogue(scene)
        if empty:
            scene.catalogue.touch()
        assert scene.run("trace", "data/raw:1", "--json").expect(0).out == before
        assert scene.verify(MODEL) == 0


def test_the_catalogue_of_another_registry_is_no_answer(scene: Scene, template: Scene) -> None:
    """Somebody moved files about: entries that were projected are not those of the ledger."""
    other = template.copy(scene.folder / "other")
    scene.run(*QUARANTINE).expect(0)
    other.run(*PUSH_NEW).expect(0)
    scene.catalogue.write_bytes(other.catalogue.read_bytes())
    done = scene.run("verify", MODEL, "--json")
    assert done.code == 14
    one_line(done)


# The home.

HOME_DAMAGE: Mapping[str, bytes] = {
    "empty": b"",
    "garbage": b"\x00\xff\x00",
    "null": b"null",
    "list": b"[]",
    "half": b'{"format":',
}


@pytest.mark.parametrize("what", HOME_DAMAGE)
def test_a_damaged_trust_root_or_key_is_no_yes(scene: Scene, what: str) -> None:
    trust, key = scene.seat.home / "trust.yaml", scene.seat.home / "key.pem"
    good = trust.read_bytes()
    trust.write_bytes(HOME_DAMAGE[what])
    done = scene.run("verify", MODEL, "--json")
    assert done.code in (2, 13, 14)
    one_line(done)
    trust.write_bytes(good)
    key.write_bytes(HOME_DAMAGE[what])
    done = scene.run(*PUSH_NEW)
    assert done.code == 2
    one_line(done)
    assert len(scene.entries()) == 3


def test_a_head_that_was_never_there_is_refused(scene: Scene) -> None:
    scene.run("list").expect(0)
    path = seen_head(scene)
    document = json.loads(path.read_bytes())
    for change in ({"n": 9}, {"n": 1}, {"entry": "sha256:" + "0" * 64}, {"n": -1}):
        path.write_text(json.dumps({**document, **change}))
        done = scene.run("verify", MODEL, "--json")
        assert done.code == 14, change
        assert str(path) in one_line(done) or "rewritten" in done.out
