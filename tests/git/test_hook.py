"""The pre-push hook and the check of pull requests, with the real `git push` and `git lfs`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadName
from stemma_attestations.lfs_pointer import Pointer
from stemma_cli import exits, markdown
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.errors import AlreadyThere, NotFound, Refused
from stemma_registry.gate import TERMS
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.pointers import hook, pushed
from stemma_registry.pointers.pushed import State, Vouched
from tests.docs import console
from tests.docs.commands import SHIM
from tests.git.repositories import ENVIRONMENT, FORMATS, Checkout
from tests.programs import require_program
from tests.registry.stores import Disk

WEIGHTS = bytes(range(256)) * 40
ZERO = "0" * 40
EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"


def pointer(data: bytes) -> str:
    return Pointer(Digest.of(data), len(data)).raw.decode()


@dataclass
class Bench:
    """A registry with a model, a repository, the one it is pushed to, and `stemma` as a command."""

    world: Disk
    checkout: Checkout
    remote: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **ENVIRONMENT,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "STEMMA_HOME": str(self.world.home.path),
            "STEMMA_REGISTRY": str(self.world.root),
        }

    def run(self, *arguments: str, at: Path | None = None) -> tuple[int, str]:
        """Exit code, and all that was printed."""
        done = subprocess.run(
            arguments,
            cwd=at or self.checkout.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def push(self, *what: str) -> tuple[int, str]:
        return self.run("git", "push", "-q", "origin", *what)

    def commit(self, files: dict[str, str | bytes | None], message: str = "a change") -> str:
        for path, data in files.items():
            whole = self.checkout.root / path
            if data is None:
                whole.unlink()
                continue
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(data.encode() if isinstance(data, str) else data)
        self.checkout.git("add", "-A")
        self.checkout.git("commit", "-q", "--allow-empty", "-m", message)
        return self.checkout.git("rev-parse", "HEAD")

    def asked(self, text: str) -> list[tuple[str, State]]:
        """What the registry says of a range."""
        with Repository.open(self.checkout.root) as repo:
            changed = pushed.of_range(repo, text)
        with self.world.view() as view:
            found = pushed.judge(self.world.registry, view, changed, TERMS)
        return [(one.changed.path, one.state) for one in found]


def made(folder: Path, form: str) -> Bench:
    world = Disk(folder / "world")
    world.home.path.mkdir(parents=True, exist_ok=True)
    world.home.trust.write_bytes(world.trust_path.read_bytes())
    world.push("models/m:1", {"m.safetensors": WEIGHTS, "config.json": b"{}"}, kind="model")
    checkout = Checkout.make(folder / "work", form)
    remote = Checkout.make(folder / "remote", form, bare=True)
    checkout.git("remote", "add", "origin", str(remote.root))
    bench = Bench(world, checkout, remote.root, folder)
    shim = folder / "bin" / "stemma"
    shim.parent.mkdir()
    text = SHIM.format(python=sys.executable, door=str(console._door()))
    shim.write_text(text, encoding="utf-8")
    shim.chmod(0o755)
    bench.commit({"README": "read me\n"})
    return bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = made(tmp_path, "sha1")
    yield found
    found.world.registry.close()


@pytest.mark.parametrize("form", FORMATS)
def test_a_real_push(tmp_path: Path, form: str) -> None:
    bench = made(tmp_path, form)
    assert bench.run("stemma", "hook", "install")[0] == 0
    assert bench.push("main") == (0, "stemma: 0 pointers verified\n")
    bench.commit({"m.safetensors": pointer(WEIGHTS)})
    code, said = bench.push("main")
    assert code == 0, said
    assert "1 pointer verified" in said
    head = bench.commit({"new.bin": pointer(b"elsewhere" * 200)})
    code, said = bench.push("main", "HEAD:refs/heads/new")
    assert code != 0
    assert "new.bin  missing" in said
    assert head[:12] in said
    assert "`stemma add`" in said
    assert bench.checkout.git("ls-remote", "origin", "refs/heads/new") == ""
    assert bench.push("--no-verify", "HEAD:refs/heads/new")[0] == 0
    assert bench.push(":refs/heads/new")[0] == 0  # what is deleted holds nothing
    bench.world.registry.close()


def test_whatever_is_pushed(bench: Bench) -> None:
    """Quarantine, force, tags, linked worktrees, a registry that is gone."""
    bench.run("stemma", "hook", "install")
    bench.commit({"m.safetensors": pointer(WEIGHTS)})
    bench.world.quarantine("models/m:1")
    code, said = bench.push("main")
    assert code != 0
    assert "m.safetensors  quarantined" in said
    tree = bench.checkout.root.parent / "linked"
    bench.checkout.git("worktree", "add", "-q", str(tree), "-b", "linked")
    code, said = bench.run("git", "push", "-q", "origin", "linked", at=tree)
    assert (code != 0, "quarantined" in said) == (True, True)
    bench.checkout.git("tag", "-a", "-m", "t", "v1")
    assert "quarantined" in bench.push("v1")[1]
    blob = bench.checkout.git("hash-object", "-w", "m.safetensors")
    bench.checkout.git("tag", "odd", blob)
    assert "is no commit" in bench.push("odd")[1]
    bench.world.release("models/m:1")
    assert bench.push("main", "v1")[0] == 0
    bench.commit({"other": "x"})
    bench.checkout.git("commit", "-q", "--amend", "-m", "again")
    assert bench.push("--force", "main")[0] == 0
    bench.commit({"n.bin": pointer(b"n")})
    os.rename(bench.world.root, bench.folder / "away")
    code, said = bench.push("main")
    assert code != 0
    assert bench.checkout.git("ls-remote", "origin", "main") != bench.checkout.git("rev-parse", "@")
    (bench.folder / "bin" / "stemma").unlink()
    (bench.folder / "bin" / "stemma").symlink_to("/nonexistent")
    assert bench.push("main")[0] != 0


def test_the_hook_of_git_lfs_goes_on(bench: Bench) -> None:
    require_program("git-lfs")
    bench.checkout.git("lfs", "install", "--local")
    bench.checkout.git("lfs", "track", "*.bin")
    own = bench.checkout.root / ".git" / "hooks" / "pre-push"
    theirs = own.read_text()
    assert bench.run("stemma", "hook", "install")[0] == 0
    assert "unchanged" in bench.run("stemma", "hook", "install")[1]
    assert (own.parent / hook.BEFORE).read_text() == theirs
    bench.world.push("models/b:1", {"w.bin": b"weights" * 500}, kind="model")
    bench.commit({"w.bin": b"weights" * 500})
    bench.checkout.git("config", "lfs.locksverify", "false")
    code, said = bench.push("main")
    assert code == 0, said
    name = Digest.of(b"weights" * 500).value
    assert (bench.remote / "lfs" / "objects" / name[:2] / name[2:4] / name).is_file()


def test_hooks_elsewhere(bench: Bench) -> None:
    """`core.hooksPath`; a hook that is a link; one that is kept, and fails."""
    bench.checkout.git("config", "core.hooksPath", "our-hooks")
    (bench.checkout.root / "our-hooks").mkdir()
    theirs = bench.checkout.root / "our-hooks" / "pre-push"
    theirs.write_text('#!/bin/sh\ncat > "told"\nexit 1\n')
    theirs.chmod(0o755)
    with Repository.open(bench.checkout.root) as repo:
        done = hook.install(repo)
        assert (done.path, done.before) == (theirs, theirs.with_name(hook.BEFORE))
        assert bench.push("main")[0] != 0
        told = (bench.checkout.root / "told").read_text()
        assert told.startswith("refs/heads/main ")
        assert told.endswith(f"{ZERO}\n")
        theirs.write_text("#!/bin/sh\n# another again\n")
        with pytest.raises(AlreadyThere, match="add to the first"):
            hook.install(repo)
        theirs.unlink()
        theirs.symlink_to("elsewhere")
        with pytest.raises(Refused, match="is a link"):
            hook.install(repo)


def test_every_commit_of_a_range_counts(bench: Bench) -> None:
    base = bench.checkout.git("rev-parse", "HEAD")
    bench.commit({"a.bin": pointer(b"gone")})
    bench.commit({"a.bin": pointer(WEIGHTS)})
    bench.checkout.git("checkout", "-q", "-b", "side", base)
    bench.commit({"b.bin": pointer(WEIGHTS)})
    bench.checkout.git("merge", "-q", "--no-commit", "main")
    bench.commit({"evil.bin": pointer(b"only in the merge")}, "merge")
    assert sorted(bench.asked(f"{base}..HEAD")) == [
        ("a.bin", State.MISSING),
        ("a.bin", State.VERIFIED),
        ("b.bin", State.VERIFIED),
        ("evil.bin", State.MISSING),
    ]
    # One that comes back was not there.
    here = bench.commit({"a.bin": None})
    bench.commit({"again.bin": pointer(b"gone")})
    assert bench.asked(f"{here}..HEAD") == [("again.bin", State.MISSING)]
    assert bench.asked("HEAD..HEAD") == []
    for text, kind in (("HEAD", BadName), ("a...b", BadName), ("x..HEAD", NotFound)):
        with pytest.raises(kind):
            bench.asked(text)


def test_what_is_not_vouched_for(bench: Bench) -> None:
    world, base = bench.world, bench.checkout.git("rev-parse", "HEAD")
    world.push("x/stranger:1", {"s.bin": b"stranger"}, kind="model", by="stranger")
    put_bytes(world.store, b"loose")
    long = Pointer(Digest.of(WEIGHTS), 5).raw
    extended = pointer(WEIGHTS).replace("oid ", "ext-0-foo sha256:" + "a" * 64 + "\noid ")
    bench.commit(
        {
            "extended": extended,
            "loose": pointer(b"loose"),
            "size": long,
            "stranger": pointer(b"stranger"),
            "text": "version https://git-lfs.github.com/spec/v1\n",
        }
    )
    (bench.checkout.root / "link").symlink_to("loose")
    bench.commit({})
    states = dict(bench.asked(f"{base}..HEAD"))
    assert states == dict.fromkeys(("extended", "loose", "size", "stranger"), State.UNVERIFIED)
    # A file that is stopped by itself, whatever holds it.
    world.quarantine(str(Digest.of(b"loose")))
    assert dict(bench.asked(f"{base}..HEAD"))["loose"] is State.QUARANTINED
    # What a stranger stops is not stopped.
    world.quarantine("models/m:1", by="stranger")
    bench.commit({"m": pointer(WEIGHTS)})
    assert dict(bench.asked("HEAD^..HEAD")) == {"m": State.VERIFIED}


@pytest.mark.parametrize("text", ["x", "a b c", f"refs/heads/a {ZERO} refs/heads/a --help"])
def test_lines_that_git_does_not_give(text: str) -> None:
    with pytest.raises(Refused, match="not a line"):
        pushed.lines(text)


HOSTILE = [
    "a|b.bin",
    "@maintainers please merge.bin",
    "</code><img src=x onerror=y>.bin",
    "[x](https://evil.example)`*_~#.bin",
    "line\nbreak | ok | verified |.bin",
    "\x1b[2J\u202e.bin",
    "-rf.bin",
    "&lt;&#124;.bin",
]


def test_names_in_comments(bench: Bench) -> None:
    base = bench.checkout.git("rev-parse", "HEAD")
    for name in HOSTILE:
        (bench.checkout.root / name.replace("/", "∕")).write_text(pointer(b"gone"))
    bench.commit({})
    code, said = bench.run("stemma", "hook", "check", f"{base}..HEAD", "--format", "markdown")
    assert code == exits.NOT_VERIFIED
    rows = [line for line in said.splitlines() if line.startswith("| <code>")]
    assert len(rows) == len(HOSTILE)
    for row in rows:
        assert row.count("|") == 5
        assert not set(row) & set("@[`*\x1b\u202e")
    assert said.startswith(markdown.MARK)
    code, said = bench.run("stemma", "hook", "check", f"{base}..HEAD", "--json")
    assert code == exits.NOT_VERIFIED
    assert {one["state"] for one in json.loads(said)["pointers"]} == {"missing"}
    code, said = bench.run("stemma", "hook", "check", f"{base}..HEAD")
    assert "\x1b" not in said


@given(st.text())
def test_quoted_is_one_cell(text: str) -> None:
    inner = markdown.quoted(text).removeprefix("<code>").removesuffix("</code>")
    assert not set(inner) & set("|<>@`*_[]()!\\\r\n\t~:/.-")
    assert inner.isascii()


def test_a_comment_of_many(bench: Bench) -> None:
    one = Vouched(
        pushed.Changed("a" * 40, "x", Pointer(Digest.of(b""), 0)), State.MISSING, "not there"
    )
    text = markdown.comment([one] * 300, [one] * 300)
    assert "And 200 more." in text
    assert len(text) < 60_000
    assert "**Verified**: 1 pointer" in markdown.comment([one], [])


def test_nothing_of_the_repository_runs(bench: Bench) -> None:
    marker = bench.folder / "ran"
    evil = bench.folder / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {marker}\n")
    evil.chmod(0o755)
    bench.commit({".gitattributes": "* diff=x filter=x\n", "m.bin": pointer(WEIGHTS)})
    with (bench.checkout.root / ".git" / "config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {evil}\n[diff]\n\texternal = {evil}\n"
            f'[diff "x"]\n\tcommand = {evil}\n\ttextconv = {evil}\n'
            f'[filter "x"]\n\tclean = {evil}\n\tsmudge = {evil}\n'
        )
    assert bench.asked("HEAD^..HEAD") == [("m.bin", State.VERIFIED)]
    assert not marker.exists()


@pytest.mark.parametrize("name", ["github-pointers.yml", "gitlab-pointers.yml"])
def test_the_jobs_of_forges(bench: Bench, name: str) -> None:
    """Their own commands, run on a pull request that is good and on one that is not."""
    base = bench.checkout.git("rev-parse", "HEAD")
    document = yaml.safe_load((EXAMPLES / name).read_text())
    if name.startswith("github"):
        steps = document["jobs"]["pointers"]["steps"]
        (script,) = [step["run"] for step in steps if step.get("id") == "check"]
        assert document["permissions"] == {"contents": "read", "pull-requests": "write"}
        variables = ("BASE", "HEAD")
    else:
        (script,) = [line for line in document["pointers"]["script"] if "hook check" in line]
        variables = ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "CI_COMMIT_SHA")
    assert "${{" not in script
    for content, code in ((pointer(WEIGHTS), 0), (pointer(b"gone"), exits.NOT_VERIFIED)):
        head = bench.commit({"m.bin": content})
        environment = {**bench.environment, **dict(zip(variables, (base, head), strict=True))}
        output = bench.folder / "outputs"
        environment["GITHUB_OUTPUT"] = str(output)
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=bench.checkout.root, env=environment, check=False
        )
        assert done.returncode == code
        comment = (bench.checkout.root / "verdict.md").read_text()
        assert ("**Verified**" in comment) == (code == 0)
        (bench.checkout.root / "verdict.md").unlink()
        base = head
