"""`python -m tests.demo.forked SHIM [OPTION...]`: the demo, without the imports of each `stemma`.

It is played by `examples/incident/run.py` as ever. The first command of each kind (`stemma init`,
`stemma push`, ...) is started as the demo starts it; the others go to the program SHIM, which
forks a process for each from one that has imported everything (see tests.docs.commands).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

PLAYED = Path(__file__).resolve().parents[2] / "examples/incident"


def forked(shim: str) -> int:
    """Play the demo; its exit code."""
    sys.path.insert(0, str(PLAYED))
    transcript: Any = importlib.import_module("transcript")
    started, stemma = set[str](), transcript.stemma

    def command(*arguments: str, expect: int = 0) -> Any:
        made = stemma(*arguments, expect=expect)
        verb = next(word for word in arguments if not word.startswith("-"))
        if verb not in started:
            started.add(verb)
            return made
        assert made.executed[-len(arguments) :] == arguments
        return transcript.Command(made.shown, (shim, *arguments), expect)

    transcript.stemma = command  # before those that take it from there
    code: int = importlib.import_module("run").main()
    return code


if __name__ == "__main__":
    shim = sys.argv.pop(1)
    sys.exit(forked(shim))
