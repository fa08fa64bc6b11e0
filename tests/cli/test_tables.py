"""Tables: whole where there is room, and folded on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios

import pytest

from stemma_cli import output

HEADERS = ["DEPTH", "NODE", "RELATION", "INPUT", "SIGNER"]
ROW = ["12", "models/" + "long-name-" * 5 + "x:1", "trained-on", "data/web-crawl " * 4, "ci"]


def words(text: str, column: int) -> str:
    """What a column of a folded table has, put together again."""
    head, *lines = text.splitlines()
    starts = [head.index(name) for name in HEADERS] + [len(text)]
    return "".join(line[starts[column] : starts[column + 1]].strip() for line in lines)


@pytest.mark.parametrize("columns", [80, 60])
def test_a_table_is_folded_and_nothing_is_cut(
    capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    output.table(HEADERS, [ROW], columns)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    for number, cell in enumerate(ROW):
        assert words(text, number).replace(" ", "") == cell.replace(" ", "")


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(HEADERS, [ROW])
    head, line = capsys.readouterr().out.splitlines()
    assert len(line) > 120
    assert line.index(ROW[2]) == head.index("RELATION")


def test_what_cannot_fit_is_as_narrow_as_it_gets(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(HEADERS, [ROW], 10)
    first = capsys.readouterr().out.splitlines()
    assert first[:2] == ["DEPTH  NODE   RELAT  INPUT  SIGNE", "              ION           R"]
    assert "".join(line[7:12].strip() for line in first[2:]) == ROW[1]


def test_the_terminal_says_how_wide_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, child = pty.openpty()
    try:
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
        with os.fdopen(child, "w", closefd=False) as terminal:
            monkeypatch.setattr("sys.stdout", terminal)
            output.table(HEADERS, [ROW])
        shown = os.read(parent, 100_000).decode()
    finally:
        os.close(parent)
        os.close(child)
    assert 60 < max(map(len, shown.splitlines())) <= 72
