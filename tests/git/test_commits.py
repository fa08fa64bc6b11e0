"""What was built from a range of commits, held against what `git rev-list` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import Run, run
from tests.git.repositories import FORMATS, Checkout

__all__ = ["run"]


@pytest.fixture(params=FORMATS)
def code(request: pytest.FixtureRequest, run: Run, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A repository with a branch that was merged, and the current directory in it."""
    checkout = Checkout.make(Path.cwd() / "code", request.param)
    monkeypatch.chdir(checkout.root)
    assert run("init").code == 0
    return checkout


def train(run: Run, code: Checkout, version: str) -> str:
    """Commit something and train a model from it; the commit."""
    commit = code.commit(f"for {version}", **{f"train_{version}__py": version})
    out = code.root.parent / "out"
    out.mkdir(exist_ok=True)
    (out / "weights").write_text(version)
    done = run("push", "../out", f"models/m:{version}", "--kind", "model")
    assert done.code == 0, done.err
    return commit


def found(run: Run, *words: str) -> set[str]:
    done = run("--json", "trace", *words)
    assert done.code == 0, done.err
    return {name for node in done.json["nodes"] for name in node["names"]}


@pytest.fixture
def history(run: Run, code: Checkout) -> dict[str, str]:
    """1 - 2 - bad - merge - 5, where `side` comes from 2 and lacks bad; `gone` has no branch."""
    commits = {version: train(run, code, version) for version in ("1", "2")}
    code.git("checkout", "-q", "-b", "side")
    commits["side"] = train(run, code, "side")
    code.git("checkout", "-q", "main")
    commits["bad"] = train(run, code, "bad")
    code.git("checkout", "-q", "-b", "gone")
    commits["gone"] = train(run, code, "gone")
    code.git("checkout", "-q", "main")
    code.git("branch", "-q", "-D", "gone")
    code.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    commits["5"] = train(run, code, "5")
    return commits


def test_a_range_is_that_of_git(run: Run, history: dict[str, str]) -> None:
    between = found(run, f"git:{history['2']}..main")
    assert between == {"models/m:side", "models/m:bad", "models/m:5"}
    assert found(run, "git:main~1..main") == {"models/m:5"}
    assert found(run, f"git:..{history['2'][:12]}") == {"models/m:1", "models/m:2"}


def test_everything_that_contains_a_commit(run: Run, history: dict[str, str]) -> None:
    """The branch that is gone too: what was trained from it is served somewhere."""
    after = found(run, f"git:{history['bad'][:10]}..")
    assert after == {"models/m:bad", "models/m:gone", "models/m:5"}
    assert found(run, "git:side..") == {"models/m:side", "models/m:5"}


def test_one_commit_by_its_branch(run: Run, history: dict[str, str]) -> None:
    assert found(run, "git:side") == found(run, f"git:{history['side']}") == {"models/m:side"}
    assert run("trace", "git:side", "--up").code == 0


def test_what_a_repository_cannot_tell(
    run: Run, code: Checkout, history: dict[str, str], tmp_path: Path
) -> None:
    code.git("clone", "-q", "--depth=1", f"file://{code.root}", str(tmp_path / "shallow"))
    shallow = run("trace", f"git:{history['5']}..", "--repo", str(tmp_path / "shallow"))
    assert shallow.code == 1
    assert "git fetch --unshallow" in shallow.err
    other = Checkout.make(tmp_path / "other", code.object_format)
    other.commit("one", a="a")
    assert run("trace", "git:main..", "--repo", str(other.root)).code == 3
    part = tmp_path / "part"
    code.git("clone", "-q", "--single-branch", "-b", "side", f"file://{code.root}", str(part))
    done = run("trace", f"git:{history['1']}..", "--repo", str(part))
    assert done.code == 0
    assert "3 commits that the registry knows, and " in done.err
    assert run("trace", f"git:{history['1']}..", "--up").code == 1
    assert run("trace", "git:no-such..main").code == 3
    assert run("trace", "git:--all..main").code == 3
    assert run("trace", "git:main..", "--repo", str(tmp_path)).code == 3


def test_a_range_can_be_shown_in_every_form(run: Run, history: dict[str, str]) -> None:
    for form in ("tree", "table", "jsonl", "csv", "dot", "mermaid", "html"):
        done = run("trace", f"git:{history['2']}..main", "--format", form)
        assert done.code == 0, done.err
        assert "models/m:bad" in done.out


def test_a_sha256_checkout_is_captured(run: Run, code: Checkout) -> None:
    """Dirty or not, as `git status` would say, of either object format."""
    commit = train(run, code, "1")
    git = run("--json", "show", "models/m:1").json["git"]
    assert (git["commit"], git["dirty"]) == (commit, False)
    assert git["tree"] == code.git("rev-parse", "HEAD^{tree}")
    (code.root / "train_1.py").write_text("changed")
    (code.root.parent / "out/weights").write_text("2")
    assert run("push", "../out", "models/m:2", "--kind", "model").code == 0
    shown = run("--json", "show", "models/m:2").json
    assert shown["git"]["dirty"] is True, json.dumps(shown)
