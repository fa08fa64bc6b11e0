"""`stemma trace --nearest`, at the command line."""

from __future__ import annotations

import json

from tests.cli.test_commands import Run, run, write

__all__ = ["run"]

WITHOUT = (
    ("--up",),
    ("--limit", "3"),
    ("--relation", "trained-on"),
    ("--deployed",),
    ("--to", "models/m:1"),
    ("--only-support",),
)


def test_each_descendant_once_and_as_of_then(run: Run) -> None:
    run("init")
    write("data", a="1")
    write("one", weights="1")
    write("two", weights="2")
    assert run("push", "data", "data/a:1", "--kind", "dataset").code == 0
    for name, inputs in (("one", ["data/a:1"]), ("two", ["data/a:1", "models/one:1"])):
        given = [part for one in inputs for part in ("--input", f"derived-from={one}")]
        assert run("push", name, f"models/{name}:1", "--kind", "model", *given).code == 0
    assert run("quarantine", "models/two:1", "--reason", "bad").code == 0
    ask = ("trace", "data/a:1", "--format", "jsonl", "--nearest")
    first, *found, last = map(json.loads, run(*ask).out.splitlines())
    assert (first["type"], last["type"]) == ("trace", "end")
    assert [one["depth"] for one in found] == [1, 1]
    assert [one["quarantined"] for one in found] == [False, True]
    assert {one["from"] for one in found} == {first["start"]}
    assert {one["signer"] for one in found} == {"owner"}
    assert last == {"type": "end", "nodes": 2, "left_out": 0}
    then = run(*ask, "--as-of", "2").out.splitlines()
    assert len(then) == 3
    for options in WITHOUT:
        refused = run(*ask, *options)
        assert refused.code == 2
        assert "--nearest" in refused.err or "--only-support" in refused.err
    assert run("trace", "data/a:1", "--nearest").code == 2
