"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemma_cli.main import main

# `stemma ...` -> exit code, stdout, stderr
Call = Callable[..., tuple[int, str, str]]


def caller(capsys: pytest.CaptureFixture[str]) -> Call:
    """A function that calls `stemma` with its arguments."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return call
