"""Every step with what is good, bad, missing and unreachable: all ways of asking agree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stemma_attestations.verdict import SEVERITY
from tests.gate import cells
from tests.gate.cells import STATES, TABLE, Cell
from tests.gate.desk import GOOD, Desk, Told


def _cells() -> Iterator[object]:
    for (number, state), entry in TABLE.items():
        several = entry if isinstance(entry, list) else [entry]
        for cell in several:
            if isinstance(cell, Cell):
                yield pytest.param(number, cell, id=f"{number}-{state}-{cell.make.__name__}")


def test_the_table_is_complete(desk: Desk) -> None:
    assert set(TABLE) == {(number, state) for number in range(1, 11) for state in STATES}
    told = desk.ask(*GOOD)
    assert [step["number"] for step in told.steps] == list(range(1, 11))
    for (_, state), entry in TABLE.items():
        if isinstance(entry, str):
            assert state == "unreachable"
            assert len(entry) > 20, "a cell that is left out says why"
        for cell in entry if isinstance(entry, list) else []:
            assert isinstance(cell, Cell)


@pytest.mark.parametrize(("number", "cell"), list(_cells()))
def test_every_way_of_asking_agrees(desk: Desk, number: int, cell: Cell) -> None:
    told = desk.ask(*cell.make(desk))
    assert told.code == cell.code, told
    if cell.outcome is None:
        assert told.steps == ()
        assert cell.names in told.reason
        return
    assert told.outcome(number) == cell.outcome, told
    expected = {n: o for n, o in (*cell.also, (number, cell.outcome)) if o != "passed"}
    assert {n: told.outcome(n) for n in told.against} == expected
    if cell.code:
        _check_reason(told, number, cell)


def _check_reason(told: Told, number: int, cell: Cell) -> None:
    first = told.against[number][0]
    assert first["code"] == cell.word
    assert cell.names in first["text"]
    if cell.signer is not None:
        assert first["signer"].startswith(cell.signer)
        assert len(first["key_id"]) == 64
        assert first["bundle"].startswith("sha256:")
    if number in (8, 9) and cell.word in ("quarantined", "ancestor-not-believed"):
        (edge,) = first["edges"]
        assert edge["output"] == told.artifact
        assert edge["relation"] == "trained-on"
        assert edge["input_label"] == first["about"] == cell.names
        assert (edge["assurance"], edge["signer"]) == ("attested", "owner")
        assert edge["bundle"].startswith("sha256:")
    if number == 8 and cell.word == "ancestor-unknown":
        (edge,) = first["edges"]
        assert (edge["input"], edge["relation"]) == (cells.BASE, "fine-tuned-from")


def test_the_most_severe_of_what_failed_is_the_code(desk: Desk) -> None:
    """12, 13, 11, 10 in that order; 14 only where nothing failed."""
    assert [kind.__name__ for kind in SEVERITY] == [
        *("BytesDiffer", "SignatureRefused", "Quarantined", "NotVerified")
    ]
    cells.here(desk)
    question = ["served", "--as", *GOOD, "--max-age", "1m"]
    assert desk.ask(*question).code == 14
    question[question.index("prod")] = "porod"
    assert set(desk.ask(*question).against) == {7, 9, 10}
    assert desk.ask(*question).code == 10
    cells.quarantined(desk)
    assert desk.ask(*question).code == 11
    trust = ("--trust", cells.only(desk, "urn:stemma:status:v0.1", "urn:stemma:lineage:v0.1")[-1])
    told = desk.ask(*question, *trust)
    assert {9, 10} <= set(told.against)
    assert told.code == 11
    desk.run("trust", "revoke", "owner", "--trust", trust[1], "--at", "2026-01-01T00:00:00Z")
    desk.run("trust", "revoke", "ada", "--trust", trust[1], "--at", "2026-01-01T00:00:00Z")
    told = desk.ask(*question, *trust)
    assert {4, 10} <= set(told.against)
    assert told.code == 13
    (desk.work / "served" / "extra").write_bytes(b"x")
    told = desk.ask(*question, *trust)
    assert {2, 4, 9, 10} <= set(told.against)
    assert told.code == 12
    assert told.reason == "served: extra: not in the manifest"
