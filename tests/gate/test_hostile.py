"""What an attacker writes into names, reasons and places does not become a yes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mounts import mount, unmount
from tests.gate import cells
from tests.gate.desk import GOOD, WEIGHTS, Desk

SPOOF = "bad\n  ✓ 9 nothing upstream is quarantined\nVERIFIED  models/m:1\x1b[2A"


def lines(desk: Desk, *question: str) -> tuple[int, list[str]]:
    code, out, _ = desk.call("verify", *question)
    return code, out.splitlines()


def test_no_line_of_theirs_reads_like_a_verdict(desk: Desk) -> None:
    desk.run("quarantine", "data/raw:1", "--reason", SPOOF)
    code, out = lines(desk, *GOOD)
    assert code == 11
    assert not [line for line in out if line.startswith("VERIFIED")]
    assert "  ✓ 9 nothing upstream is quarantined" not in out
    assert "\x1b" not in "".join(out)
    told = json.loads(desk.call("verify", *GOOD, "--json")[1])
    assert told["steps"][8]["reasons"][0]["text"].endswith(SPOOF), "a machine gets it as it is"


@pytest.mark.parametrize("name", ["x\nVERIFIED  m:1", "\u202eVERIFIED", "a\\b", "..\n"])
def test_a_file_with_such_a_name(desk: Desk, name: str) -> None:
    question = cells.here(desk)
    (desk.work / "served" / name).write_bytes(b"x")
    code, out = lines(desk, *question)
    assert code == 12
    assert [line for line in out if line.startswith(("VERIFIED", "NOT"))] == out[:1]
    assert desk.run("verify", *question, code=12)["steps"][1]["reasons"][0]["about"] == name


@pytest.mark.parametrize("subject", ["none\nVERIFIED  x", "-\nVERIFIED", "models/m:1\nVERIFIED"])
def test_a_subject_with_such_a_name(desk: Desk, subject: str) -> None:
    code, out = lines(desk, subject)
    assert code in (2, 3)
    assert not [line for line in out if line.startswith("VERIFIED")]


def test_a_summary_is_written_whole_or_not_at_all(desk: Desk) -> None:
    """And what another run left is gone, whatever happens; a link of somebody's stays one."""
    vsa = desk.work / "out.vsa"
    assert desk.call("verify", *GOOD, "--vsa", str(vsa))[0] == 0
    passed = vsa.read_bytes()
    assert desk.call("verify", "models/none:1", "--vsa", str(vsa))[0] == 3
    assert not vsa.exists()
    vsa.write_bytes(passed)
    assert desk.call("verify", *GOOD, "--vsa", str(vsa), "--sign", "key:none.pem")[0] == 3
    assert not vsa.exists()
    vsa.write_bytes(passed)
    assert desk.call("verify", *GOOD, "--vsa", str(vsa), "--layout", "none")[0] == 2
    assert not vsa.exists()
    vsa.symlink_to(desk.work / "kept")
    (desk.work / "kept").write_bytes(b"")
    assert desk.call("verify", *GOOD, "--vsa", str(vsa))[0] == 0
    assert vsa.is_symlink()
    assert (desk.work / "kept").stat().st_size > 0
    assert desk.call("verify", "models/none:1", "--vsa", str(vsa))[0] == 3
    assert (desk.work / "kept").read_bytes() == b""
    (desk.work / "there").mkdir()
    assert desk.call("verify", *GOOD, "--vsa", str(desk.work / "there"))[0] != 0
    assert sorted(p.name for p in desk.work.glob(".out*")) == []


def test_coverage_that_cannot_be_counted(desk: Desk) -> None:
    """A yes that left it out would be none; a no stays the no that it is."""
    cells.parents_word_lost(desk)
    vsa = desk.work / "out.vsa"
    question = ("models/m:1", *cells.LOOSE, "--vsa", str(vsa))
    assert desk.call("verify", *question)[0] == 0
    code, out, _ = desk.call("verify", *question, "--coverage")
    assert (code, vsa.exists()) == (14, False)
    assert out.startswith("NOT VERIFIED (stale or unavailable")
    cells.quarantined(desk)
    assert desk.run("verify", *question, "--coverage", code=11)["coverage"] is None
    assert json.loads(vsa.read_bytes())["predicate"]["verificationResult"] == "FAILED"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE statement SET signer = 'junk'",
        "UPDATE node SET value = 7",
        "UPDATE node SET scheme = 'junk'",
        "UPDATE statement SET predicate_type = X'00'",
        "UPDATE edge SET relation = 'junk'",
        "UPDATE status SET payload = 'junk'",
    ],
)
def test_a_rotten_catalogue_decides_nothing(desk: Desk, damage: str) -> None:
    cells.quarantined(desk)
    desk.sql(damage)
    told = desk.ask(*GOOD)
    assert (told.code, told.steps) == (14, ())
    assert "the catalogue is damaged" in told.reason


# --- the machine ----------------------------------------------------------------------------

RUN = (sys.executable, "-m", "stemma_cli.main")


def started(desk: Desk, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "STEMMA_HOME": str(desk.home), "STEMMA_REGISTRY": str(desk.store)}
    pipe = subprocess.PIPE
    return subprocess.Popen([*RUN, *arguments], env=environ, stdout=pipe, stderr=pipe, text=True)


def test_several_at_once_on_a_machine_that_knows_nothing_yet(desk: Desk) -> None:
    """The catalogue is made while all of them ask; one of them is killed."""
    desk.catalogue.unlink()
    cells.quarantined(desk)
    desk.catalogue.unlink()
    asking = [started(desk, "verify", *GOOD) for _ in range(3)]
    asking[0].kill()
    for one in asking:
        out, err = one.communicate(timeout=120)
        if one is not asking[0]:
            assert one.returncode == 11, err
            assert out.startswith("NOT VERIFIED (quarantined, exit 11)")
    assert desk.ask(*GOOD).code == 11


@pytest.fixture
def small(desk: Desk, tmp_path: Path) -> Iterator[Desk]:
    """The home, without its catalogue, on a small disk of its own."""
    folder = tmp_path / "small"
    mount(folder, "-t", "tmpfs", "-o", "size=96k", "tmpfs")
    shutil.copytree(desk.home, folder / "home", ignore=shutil.ignore_patterns("*.sqlite3*"))
    yield Desk(folder, desk.call)
    unmount(folder)


def asked(small: Desk, store: Path) -> tuple[int, str, str]:
    one = started(small, "--registry", str(store), "verify", *GOOD)
    out, err = one.communicate(timeout=120)
    return one.returncode, out.partition("\n")[0], err


@pytest.mark.faults
def test_a_full_disk_decides_nothing(desk: Desk, small: Desk) -> None:
    with pytest.raises(OSError, match="space"), (small.folder / "rest").open("wb", 0) as rest:
        while True:
            rest.write(b"x" * 4096)
    code, first, err = asked(small, desk.store)
    assert (code, len(err.splitlines())) == (14, 1)
    assert first == "NOT VERIFIED (stale or unavailable: cannot decide, exit 14)  models/m:1"


@pytest.mark.faults
def test_a_home_that_may_only_be_read_decides_as_well(desk: Desk, small: Desk) -> None:
    mount(small.folder, "-o", "remount,ro")
    assert asked(small, desk.store) == (0, "VERIFIED  models/m:1", "")
    cells.quarantined(desk)
    assert asked(small, desk.store)[:2] == (11, "NOT VERIFIED (quarantined, exit 11)  models/m:1")


def test_a_directory_behind_a_link_is_what_it_leads_to(desk: Desk) -> None:
    question = cells.here(desk)
    (desk.work / "served").rename(desk.work / "v1")
    (desk.work / "served").symlink_to("v1")
    assert desk.ask(*question).code == 0
    other = desk.work / "v2"
    other.mkdir()
    (other / "m.safetensors").write_bytes(WEIGHTS + b" ")
    (desk.work / "served").unlink()
    (desk.work / "served").symlink_to("v2")
    assert desk.ask(*question).code == 12
