"""An estate that is there already: let in with an end, and vouched for piece by piece."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stemma_cli.session import Session
from tests.cli.test_commands import Run, run, write

__all__ = ["run"]

POLICY = """format: urn:stemma:policy:v0.1
rules:
  - names: ["models/**"]
    provenance: {admitted: allow}
    bom: none
    ancestors: {}
"""
ESTATE = ("data/a:1", "data/b:1", "models/old:1")


def count(run: Run, ref: str) -> tuple[int, dict[str, int]]:
    """The exit code of the gate, and what is upstream."""
    done = run("--json", "verify", ref, "--policy", "policy.yaml", "--coverage")
    return done.code, {word: n for word, n in done.json["coverage"].items() if n}


def test_the_admitted_share_goes_down(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("policy.yaml").write_text(POLICY)
    assert run("init").code == 0
    assert run("key", "new", "--out", "import.pem").code == 0
    for ref in ESTATE:  # by a key that nobody believes: that is what an estate is
        name = ref.partition(":")[0]
        Path(name).parent.mkdir(exist_ok=True)
        write(name, file=ref)
        kind = ("--kind", "dataset" if name.startswith("data/") else "model")
        assert run("push", name, ref, *kind, "--sign", "key:import.pem").code == 0
    write("new", weights="new")
    inputs = [part for ref in ESTATE[:2] for part in ("--input", f"trained-on={ref}")]
    assert run("push", "new", "models/new:1", "--kind", "model", *inputs).code == 0

    assert count(run, "models/new:1") == (10, {"signed": 2})
    assert run("verify", "models/old:1", "--policy", "policy.yaml").code == 13

    Path("estate.txt").write_text("# before 2026\n" + "\n".join(ESTATE) + "\n")
    argv = ("--from", "estate.txt", "--reason", "from before", "--until", "90d")
    assert run("admit", *argv).code == 0
    assert count(run, "models/new:1") == (0, {"admitted": 2})
    assert run("verify", "models/old:1", "--policy", "policy.yaml").code == 0
    assert run("verify", "models/old:1").code == 10  # the built-in policy admits nothing

    assert run("push", "data/a", "data/a:1", "--kind", "dataset").code == 0
    assert count(run, "models/new:1") == (0, {"attested": 1, "admitted": 1})

    later = datetime.now(UTC) + timedelta(days=91)
    monkeypatch.setattr(Session, "now", property(lambda _session: later))
    assert count(run, "models/new:1") == (10, {"attested": 1, "signed": 1})
    assert run("verify", "models/old:1", "--policy", "policy.yaml").code == 10

    assert run("push", "data/b", "data/b:1", "--kind", "dataset").code == 0
    assert count(run, "models/new:1") == (0, {"attested": 2})
