"""The table: every step of the recipe, with what is good, bad, missing and unreachable.

A cell says how the world is made so, and what must be answered. Where a cell has no meaning
its entry is the reason why.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from tests.gate.desk import GOOD, TRAINED, WEIGHTS, Desk

STATES = ("good", "bad", "missing", "unreachable")
BASE = f"sha256:{'ab' * 32}"
LOOSE = ("--policy", "loose.yaml")
STRICT = ("--policy", "strict.yaml", "--stage", "prod")
TOGETHER = "statements are read together, so one that is lost is told at step 3"


@dataclass(frozen=True)
class Cell:
    """`make` prepares, and gives what is asked.

    `code` is the exit code. `outcome` is that of the step, None where the recipe could not
    begin; `word` is the code of the step's first reason, and `names` has to be in it. `also`
    are further steps that do not pass, with their outcomes.
    """

    make: Callable[[Desk], tuple[str, ...]]
    code: int
    outcome: str | None
    word: str = ""
    names: str = ""
    signer: str | None = None
    also: tuple[tuple[int, str], ...] = ()


def good(desk: Desk) -> tuple[str, ...]:
    """Nothing is wrong."""
    return GOOD


GOOD_CELL = Cell(good, 0, "passed")


# --- 1: the reference -----------------------------------------------------------------------


def a_file(desk: Desk) -> tuple[str, ...]:
    """A digest that is known, and is no artifact."""
    return (weights(desk), *LOOSE)


def no_name(desk: Desk) -> tuple[str, ...]:
    return ("models/none:1", *LOOSE)


def manifest_lost(desk: Desk) -> tuple[str, ...]:
    desk.blob(artifact(desk)).unlink()
    return GOOD


def store_away(desk: Desk) -> tuple[str, ...]:
    desk.store.rename(desk.folder / "away")
    return GOOD


def ledger_damaged(desk: Desk) -> tuple[str, ...]:
    (desk.store / "ledger" / "000" / "000" / "000002.json").write_bytes(b"{}")
    desk.catalogue.unlink()
    return GOOD


def catalogue_unreadable(desk: Desk) -> tuple[str, ...]:
    for file in desk.catalogue.parent.glob(f"{desk.catalogue.name}*"):
        file.unlink()  # its log too, which may have all of it
    desk.catalogue.write_bytes(b"no database at all" * 100)
    return GOOD


def artifact(desk: Desk, ref: str = "models/m:1") -> str:
    """The digest of an artifact."""
    return str(desk.run("show", ref)["digest"])


# --- 2: the bytes ---------------------------------------------------------------------------


def here(desk: Desk) -> tuple[str, ...]:
    folder = desk.work / "served"
    folder.mkdir()
    (folder / "m.safetensors").write_bytes(WEIGHTS)
    return ("served", "--as", *GOOD)


def changed(desk: Desk) -> tuple[str, ...]:
    asked = here(desk)
    (desk.work / "served" / "m.safetensors").write_bytes(WEIGHTS + b" ")
    return asked


def absent(desk: Desk) -> tuple[str, ...]:
    asked = here(desk)
    (desk.work / "served" / "m.safetensors").unlink()
    return asked


def weights(desk: Desk) -> str:
    """The digest of the model's file."""
    (part,) = desk.run("show", "models/m:1")["files"]
    return f"sha256:{part['sha256']}"


def blob_lost(desk: Desk) -> tuple[str, ...]:
    digest = weights(desk)
    desk.blob(digest).unlink()
    return ("models/m:1", *LOOSE)


def blob_lost_strict(desk: Desk) -> tuple[str, ...]:
    blob_lost(desk)
    return GOOD


def blob_rotten(desk: Desk) -> tuple[str, ...]:
    path = desk.blob(weights(desk))
    path.chmod(0o644)
    path.write_bytes(WEIGHTS.replace(b"{", b"["))
    return ("models/m:1", *LOOSE)


def linked(desk: Desk) -> tuple[str, ...]:
    asked = here(desk)
    path = desk.work / "served" / "m.safetensors"
    path.rename(desk.work / "elsewhere")
    path.symlink_to(desk.work / "elsewhere")
    return asked


# --- 3: signatures --------------------------------------------------------------------------


def forged(desk: Desk) -> tuple[str, ...]:
    """Pushed with signatures over something else."""
    from tests.gate.forging import push_forged

    push_forged(desk, "models/forged:1")
    return ("models/forged:1", *LOOSE)


def statements_lost(desk: Desk) -> tuple[str, ...]:
    """The catalogue knows the bytes, and of nothing that is said about them."""
    digest = artifact(desk)
    desk.sql("DELETE FROM subject")
    return (digest, *LOOSE)


def bundle_lost(desk: Desk) -> tuple[str, ...]:
    (bundle,) = desk.bundles("models/m:1", "provenance/v1")
    desk.blob(bundle).unlink()
    return GOOD


def bundle_rotten(desk: Desk) -> tuple[str, ...]:
    (bundle,) = desk.bundles("models/m:1", "provenance/v1")
    path = desk.blob(bundle)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    return GOOD


# --- 4: the signer --------------------------------------------------------------------------


def by_a_stranger(desk: Desk) -> tuple[str, ...]:
    desk.push("models/s:1", {"m.safetensors": WEIGHTS + b"s"}, "--sign", "key:stranger.pem")
    return ("models/s:1", *LOOSE)


def nobody(desk: Desk) -> tuple[str, ...]:
    (desk.home / "trust.yaml").unlink()
    return ("models/m:1", *LOOSE)


def trust_lost(desk: Desk) -> tuple[str, ...]:
    """Pinned by its digest, and the registry does not have it."""
    return ("models/m:1", *LOOSE, "--trust", BASE)


# --- 5 and 6: provenance and BOM ------------------------------------------------------------


def dirty(desk: Desk) -> tuple[str, ...]:
    (desk.work / "train.py").write_text("print('changed')\n")
    desk.push("models/d:1", {"m.safetensors": WEIGHTS, "x.txt": b"5"}, *TRAINED)
    desk.vouch("models/d:1")
    return ("models/d:1", *STRICT)


def only(desk: Desk, *types: str) -> tuple[str, ...]:
    """Who signed it is believed about these types alone, and so about the dataset."""
    words = [word for kind in types for word in ("--predicates", kind)]
    trust = str(desk.work / "narrow.yaml")
    for name, public in (("owner", str(desk.home / "key.pub")), ("ada", "ada.pub")):
        desk.run("trust", "add", public, "--principal", name, *words, "--trust", trust)
    return ("models/m:1", *LOOSE, "--trust", trust)


def no_provenance(desk: Desk) -> tuple[str, ...]:
    return only(desk, "https://cyclonedx.org/bom")


def no_bom(desk: Desk) -> tuple[str, ...]:
    return only(desk, "https://slsa.dev/provenance/v1")


def licence(desk: Desk) -> tuple[str, ...]:
    desk.push(
        "models/l:1", {"m.safetensors": WEIGHTS, "x.txt": b"6"}, "--param", "license=GPL-3.0-only"
    )
    desk.vouch("models/l:1")
    return ("models/l:1", *STRICT)


# --- 7: evidence, files, approvals ----------------------------------------------------------


def failing_tests(desk: Desk) -> tuple[str, ...]:
    desk.push("models/f:1", {"m.safetensors": WEIGHTS, "x.txt": b"7"}, *TRAINED)
    desk.vouch("models/f:1", "FAILED")
    return ("models/f:1", *STRICT)


def no_evidence(desk: Desk) -> tuple[str, ...]:
    desk.push("models/e:1", {"m.safetensors": WEIGHTS}, *TRAINED)
    desk.approve("models/e:1")
    return ("models/e:1", *STRICT)


# --- 8: ancestors ---------------------------------------------------------------------------


def strange_parent(desk: Desk) -> tuple[str, ...]:
    desk.push("data/s:1", {"a.csv": b"7\n"}, "--sign", "key:stranger.pem")
    files = {"m.safetensors": WEIGHTS, "x.txt": b"8"}
    desk.push("models/p:1", files, "--input", "trained-on=data/s:1", "--param", "license=MIT")
    desk.vouch("models/p:1")
    return ("models/p:1", *STRICT)


def outside_parent(desk: Desk) -> tuple[str, ...]:
    files = {"m.safetensors": WEIGHTS, "x.txt": b"9"}
    more = ("--input", f"fine-tuned-from={BASE}", "--param", "license=MIT")
    desk.push("models/o:1", files, *more)
    desk.vouch("models/o:1")
    return ("models/o:1", *STRICT)


def parents_word_lost(desk: Desk) -> tuple[str, ...]:
    (bundle,) = desk.bundles("data/raw:1", "provenance/v1")
    desk.blob(bundle).unlink()
    return GOOD


# --- 9: status ------------------------------------------------------------------------------


def quarantined(desk: Desk) -> tuple[str, ...]:
    desk.run("quarantine", "data/raw:1", "--reason", "labels were flipped")
    return GOOD


def feed(desk: Desk) -> None:
    """A status feed, which is read from a folder beside the registry."""
    desk.run("key", "new", "--out", "root.pem")
    desk.run("feed", "init", "--root-key", "key:root.pem", "--out", "ROOT.json")
    shutil.copytree(desk.store / "status" / "feed", desk.work / "mirror")
    desk.run("feed", "trust", "ROOT.json", "--from", str(desk.work / "mirror"))


def fresh(desk: Desk) -> tuple[str, ...]:
    feed(desk)
    return (*GOOD, "--max-age", "10m")


def no_feed(desk: Desk) -> tuple[str, ...]:
    return (*GOOD, "--max-age", "10m")


def feed_down(desk: Desk) -> tuple[str, ...]:
    feed(desk)
    shutil.rmtree(desk.work / "mirror")
    return (*GOOD, "--max-age", "10m")


def stop_lost(desk: Desk) -> tuple[str, ...]:
    """The catalogue lost a quarantine that the feed has."""
    quarantined(desk)
    feed(desk)
    desk.sql("DELETE FROM status")
    return (*GOOD, "--max-age", "10m")


# --- 10: the policy -------------------------------------------------------------------------


def no_stage(desk: Desk) -> tuple[str, ...]:
    return ("models/m:1", *LOOSE, "--stage", "porod")


def no_rule(desk: Desk) -> tuple[str, ...]:
    return ("data/raw:1", "--policy", "strict.yaml")


def no_policy(desk: Desk) -> tuple[str, ...]:
    return ("models/m:1", "--policy", str(desk.work / "none.yaml"))


def policy_is_a_folder(desk: Desk) -> tuple[str, ...]:
    (desk.work / "folder.yaml").mkdir()
    return ("models/m:1", "--policy", str(desk.work / "folder.yaml"))


FAILED, UNDECIDED = "failed", "undecided"
NO_SIGNATURE = ((4, FAILED), (5, FAILED), (6, FAILED))
TABLE: dict[tuple[int, str], Cell | str | list[Cell]] = {
    (1, "good"): GOOD_CELL,
    (1, "bad"): Cell(a_file, 3, None, names="is not an artifact"),
    (1, "missing"): Cell(no_name, 3, None, names="models/none:1"),
    (1, "unreachable"): [
        Cell(manifest_lost, 14, None, names="the manifest of models/m:1 is lost"),
        Cell(store_away, 3, None, names="no registry at"),
        Cell(ledger_damaged, 14, None, names="ledger entry 2"),
        Cell(catalogue_unreadable, 14, None, names="catalogue"),
    ],
    (2, "good"): Cell(here, 0, "passed"),
    (2, "bad"): [
        Cell(changed, 12, FAILED, "bytes-differ", "m.safetensors"),
        Cell(linked, 12, FAILED, "bytes-differ", "m.safetensors"),
    ],
    (2, "missing"): Cell(absent, 12, FAILED, "bytes-differ", "m.safetensors"),
    (2, "unreachable"): [
        Cell(blob_lost, 12, FAILED, "bytes-differ", "missing from the store"),
        Cell(
            blob_lost_strict,
            *(12, FAILED, "bytes-differ", "missing from the store"),
            also=((7, FAILED),),
        ),
        Cell(blob_rotten, 12, FAILED, "bytes-differ", "damaged in the store"),
    ],
    (3, "good"): GOOD_CELL,
    (3, "bad"): Cell(forged, 13, FAILED, "signature-refused", also=NO_SIGNATURE),
    (3, "missing"): Cell(
        statements_lost, 13, FAILED, "statement-missing", also=(*NO_SIGNATURE, (10, "passed"))
    ),
    (3, "unreachable"): [
        Cell(bundle_lost, 14, None, names="a statement is lost or damaged"),
        Cell(bundle_rotten, 14, None, names="a statement is lost or damaged"),
    ],
    (4, "good"): GOOD_CELL,
    (4, "bad"): Cell(
        by_a_stranger,
        *(13, FAILED, "signer-refused", "is not in the trust root", "key "),
        also=((5, FAILED), (6, FAILED)),
    ),
    (4, "missing"): Cell(
        nobody,
        *(13, FAILED, "signer-refused", "is not in the trust root", "key "),
        also=((5, FAILED), (6, FAILED)),
    ),
    (4, "unreachable"): Cell(trust_lost, 14, None, names="trust root"),
    (5, "good"): GOOD_CELL,
    (5, "bad"): Cell(dirty, 10, FAILED, "provenance-refused", "uncommitted", "owner"),
    (5, "missing"): Cell(no_provenance, 10, FAILED, "provenance-missing", "provenance"),
    (5, "unreachable"): TOGETHER,
    (6, "good"): GOOD_CELL,
    (6, "bad"): Cell(licence, 10, FAILED, "bom-refused", "GPL-3.0-only", "owner"),
    (6, "missing"): Cell(no_bom, 10, FAILED, "bom-missing", "ML-BOM"),
    (6, "unreachable"): TOGETHER,
    (7, "good"): GOOD_CELL,
    (7, "bad"): Cell(failing_tests, 10, FAILED, "evidence-refused", "failed", "owner"),
    (7, "missing"): Cell(no_evidence, 10, FAILED, "evidence-missing", "test-result"),
    (7, "unreachable"): TOGETHER + "; a file that is lost is told at step 2",
    (8, "good"): GOOD_CELL,
    (8, "bad"): Cell(strange_parent, 10, FAILED, "ancestor-not-believed", "data/s:1", "key "),
    (8, "missing"): Cell(outside_parent, 10, FAILED, "ancestor-unknown", "abababab"),
    (8, "unreachable"): Cell(parents_word_lost, 14, None, names="a statement is lost"),
    (9, "good"): [GOOD_CELL, Cell(fresh, 0, "passed")],
    (9, "bad"): Cell(quarantined, 11, FAILED, "quarantined", "data/raw:1", "owner"),
    (9, "missing"): Cell(no_feed, 14, UNDECIDED, "stale", "no feed"),
    (9, "unreachable"): [
        Cell(feed_down, 14, UNDECIDED, "stale", "mirror"),
        Cell(stop_lost, 14, UNDECIDED, "undecided", "the catalogue has lost it"),
    ],
    (10, "good"): GOOD_CELL,
    (10, "bad"): Cell(no_stage, 10, FAILED, "stage-unknown", "porod"),
    (10, "missing"): [
        Cell(no_rule, 10, FAILED, "rule-missing", "data/raw"),
        Cell(no_policy, 3, None, names="none.yaml"),
    ],
    (10, "unreachable"): Cell(policy_is_a_folder, 14, None, names="folder.yaml"),
}
