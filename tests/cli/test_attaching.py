"""attest, attach, run and verify --layout at the command line: codes, JSON, words for people."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from in_toto.models.metadata import Metadata

from stemma_attestations.keys import PublicKey
from tests.cli.test_commands import Run, run, write
from tests.foreign_forms import Maker, compact, statement
from tests.supply_chain import MODEL, Chain, pem

__all__ = ["run"]

PYTHON = sys.executable
COPY = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_bytes(open(sys.argv[1], 'rb').read())"


@pytest.fixture
def model(run: Run) -> Run:
    """A registry with one model, whose file holds `MODEL`."""
    run("init")
    write("out", **{"model.bin": MODEL.decode()})
    assert run("push", "out", "models/m:1", "--kind", "model").code == 0
    return run


def about(run: Run) -> dict[str, str]:
    digest = run("show", "models/m:1", "--json").json["digest"]
    return {"sha256": digest.removeprefix("sha256:")}


def test_attest(model: Run) -> None:
    Path("score.json").write_text('{"result": "PASSED"}')
    kind = "https://in-toto.io/attestation/test-result/v0.1"
    done = model("attest", "models/m:1", "--predicate", "score.json", "--type", kind)
    assert done.code == 0
    assert done.out.startswith("models/m:1  added, ledger entry 2\n")
    again = model("--json", "attest", "models/m:1", "--predicate", "score.json", "--type", kind)
    assert (again.json["outcome"], again.json["entry"]) == ("unchanged", None)
    assert kind in model("attestations", "models/m:1").out


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("urn:stemma:status:v0.1", "{}", 1),
        ("https://slsa.dev/provenance/v1", "{}", 1),
        ("no uri", "{}", 2),
        ("https://example.org/t", "{", 2),
        ("https://example.org/t", '{"a":1,"a":2}', 2),
    ],
)
def test_attest_refuses_in_one_line(model: Run, kind: str, text: str, code: int) -> None:
    Path("p.json").write_text(text)
    done = model("attest", "models/m:1", "--predicate", "p.json", "--type", kind)
    assert done.code == code
    assert len(done.err.splitlines()) == 1


def test_attach_and_attestations(model: Run) -> None:
    maker, payload = Maker(), statement(about(model), "https://example.org/t")
    Path("maker.pub").write_bytes(maker.pem)
    Path("a.intoto.jsonl").write_bytes(
        maker.key_bundle(payload) + b"\nnull\n" + compact(Maker().keyless_bundle(payload))
    )
    refused = model("attach", "models/m:1", "a.intoto.jsonl", "--key", "maker.pub")
    assert refused.code == 2
    assert "a.intoto.jsonl line 2: expected a JSON object" in refused.err
    done = model("attach", "models/m:1", "a.intoto.jsonl", "--key", "maker.pub", "--skip-bad")
    assert done.code == 0
    assert "skipped: a.intoto.jsonl line 2" in done.err
    assert "line 1: https://example.org/t about the artifact  verified" in done.out
    assert "line 3: https://example.org/t about the artifact  unverified" in done.out
    assert "keyless, and no trusted root of this machine verifies it" in done.out
    again = model(
        "attach", "models/m:1", "a.intoto.jsonl", "--key", "maker.pub", "--skip-bad", "--json"
    )
    assert again.json["outcome"] == "unchanged"
    shown = model("attestations", "models/m:1")
    assert "nobody" in shown.out, "no trusted root of this machine verifies the keyless line"
    listed = model("attestations", "models/m:1", "--json").json
    assert [(i["assurance"], i["file"]) for i in listed if i["predicate_type"][-1] == "t"] == [
        ("signed", None),
        ("claimed", None),
    ]
    assert model("verify", "models/m:1").code == 0


def test_attach_refuses_what_is_about_something_else(model: Run) -> None:
    Path("other.json").write_bytes(Maker().key_bundle(statement({"sha256": "0" * 64})))
    done = model("attach", "models/m:1", "other.json", "--json")
    assert (done.code, done.json["error"]["kind"]) == (1, "Refused")
    assert model("attach", "models/m:1", "not-there.json").code == 2
    Path("bom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    bare = model("attach", "models/m:1", "bom.json")
    assert (bare.code, "--type https://cyclonedx.org/bom` does" in bare.err) == (2, True)
    assert model("attach", "models/none:1", "other.json").code == 3


def test_run_makes_a_link_that_in_toto_reads(model: Run) -> None:
    done = model(
        *("run", "--step", "train", "--material", "out", "--product", "copy.bin"),
        *("--", PYTHON, "-c", COPY, "out/model.bin", "copy.bin"),
    )
    assert done.code == 0
    (path,) = Path().glob("train.*.link")
    assert path.name in done.err
    metadata = Metadata.load(str(path))
    key = PublicKey.parse((Path().absolute().parent / "home" / "key.pub").read_bytes())
    signature = bytes.fromhex(metadata.signatures[0]["sig"])
    key.verify(signature, metadata.signed.signable_bytes)
    assert path.name == f"train.{metadata.signatures[0]['keyid'][:8]}.link"
    assert list(metadata.signed.materials) == ["out/model.bin"]
    assert list(metadata.signed.products) == ["copy.bin"]
    assert metadata.signed.products["copy.bin"] == metadata.signed.materials["out/model.bin"]
    assert metadata.signed.command[0] == PYTHON
    assert metadata.signed.byproducts["return-value"] == 0


@pytest.mark.parametrize("code", [1, 7, 13, 255])
def test_run_passes_the_exit_code_on_and_a_failed_step_has_no_link(run: Run, code: int) -> None:
    run("init")
    done = run("run", "--step", "s", "--", PYTHON, "-c", f"raise SystemExit({code})")
    assert done.code == code
    assert not list(Path().glob("*.link"))


def test_run_of_a_command_that_was_killed(run: Run) -> None:
    run("init")
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run("run", "--step", "s", "--", PYTHON, "-c", kill).code == 137


def test_run_refuses_before_the_command_runs(run: Run) -> None:
    run("init")
    touch = ("--", PYTHON, "-c", "open('ran', 'w')")
    for options, code in (
        (("--step", "../up"), 2),
        (("--step", "s", "--material", "not-there"), 3),
        (("--step", "s", "--sign", "key:none.pem"), 3),
        (("--stpe", "s"), 2),
    ):
        done = run("run", *options, *touch)
        assert (done.code, Path("ran").exists()) == (code, False), options
    assert run("run", "--step", "s", "--", "no-such-program").code == 3
    assert run("run", "--step", "s", *touch).code == 0
    again = run("run", "--step", "s", *touch)
    assert again.code == 1
    assert "exists" in again.err


def test_run_says_where_a_product_is_missing(run: Run) -> None:
    run("init")
    done = run("run", "--step", "s", "--product", "none", "--", PYTHON, "-c", "")
    assert (done.code, list(Path().glob("*.link"))) == (3, [])


def test_run_with_json_prints_one_document(model: Run) -> None:
    done = model(
        *("run", "--json", "--step", "evaluate", "--material", "out", "--attach", "models/m:1"),
        *("--", PYTHON, "-c", "print('--json')", "--json"),
    )
    assert done.code == 0
    assert done.json["step"] == "evaluate"
    assert done.json["entry"] == 2
    assert "link of evaluate" in model("attestations", "models/m:1").out
    # `--json` behind the dashes is the command's.
    plain = model("run", "--step", "x", "--material", "none", "--", PYTHON, "--json")
    assert (plain.code, plain.out) == (3, "")


def test_verify_with_a_layout(model: Run) -> None:
    chain = Chain()
    Path("root.layout").write_bytes(chain.signed())
    Path("owner.pub").write_bytes(pem(chain.owner))
    for number, raw in enumerate(chain.links()):
        Path(f"{number}.link").write_bytes(raw)
    asked = ("verify", "models/m:1", "--layout", "root.layout", "--layout-key", "owner.pub")
    assert model("attach", "models/m:1", "0.link", "2.link").code == 0
    missing = model(*asked)
    assert missing.code == 10
    assert missing.out.splitlines()[0] == "NOT VERIFIED (exit 10)  models/m:1"
    assert "7 the links satisfy the layout\n      step 'train' needs 1" in missing.out
    assert model("attach", "models/m:1", "1.link").code == 0
    assert model(*asked).code == 0
    document = model(*asked, "--json").json
    assert (document["verified"], [s["number"] for s in document["steps"]][-5:]) == (
        True,
        [7, 7, 8, 9, 10],
    )
    Path("owner.pub").write_bytes(pem(chain.trainer))
    refused = model(*asked, "--json")
    assert (refused.code, refused.json["kind"]) == (13, "SignatureRefused")
    assert "not signed by key" in refused.json["reason"]


def test_layout_options_go_together(model: Run) -> None:
    Path("x").write_text("{}")
    assert model("verify", "models/m:1", "--layout", "x").code == 2
    assert model("verify", "models/m:1", "--layout-key", "x").code == 2
    assert model("verify", "models/m:1", "--run-inspections").code == 2
    assert json.loads(model("verify", "models/m:1", "--json").out)["verified"] is True
