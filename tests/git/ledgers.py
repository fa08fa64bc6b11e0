"""Worlds whose ledger is exported, and changed commits of an exported one, made by plumbing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stemma_registry.gitledger.exporting import Exported, export
from stemma_registry.gitledger.verifying import Report, verify
from stemma_registry.gitrepo.repository import Repository
from tests.git.repositories import ENVIRONMENT
from tests.world import World


def exported(world: World, folder: Path, object_format: str | None = None) -> Exported:
    """The world's ledger in a folder."""
    return export(world.store, world.home, world.trust, folder, object_format)  # type: ignore[arg-type]


def verified(world: World, folder: Path, stale_ok: bool = False) -> Report:
    """What an audit of a folder says on the world's machine."""
    with Repository.open(folder) as repository:
        return verify(
            repository, world.home, world.trust, world.store.location, world.now, stale_ok
        )


def git(folder: Path, *arguments: str, stdin: bytes = b"", **more: str) -> str:
    """What a Git command prints; a failure is the test's."""
    environment = {**ENVIRONMENT, **more}
    asked = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(asked, env=environment, input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def files(folder: Path, commit: str) -> dict[str, bytes]:
    """The files of a commit."""
    names = git(folder, "ls-tree", "--name-only", commit).splitlines()
    show = (subprocess.run(["git", "-C", folder, "show", f"{commit}:{n}"], capture_output=True)
            for n in names)  # fmt: skip
    return {name: done.stdout for name, done in zip(names, show, strict=True)}


def rewrite(
    folder: Path,
    content: Mapping[str, bytes],
    message: str | None = None,
    author: str = "Stemma",
    mode: str = "100644",
) -> str:
    """Put another commit in the place of the last one, with these files; its id."""
    kept = git(folder, "log", "-1", "--format=%B", "ledger")
    stamp = git(folder, "log", "-1", "--format=%ct +0000", "ledger")
    lines = []
    for name, data in content.items():
        blob = git(folder, "hash-object", "-w", "--stdin", stdin=data)
        lines.append(f"{mode} blob {blob}\t{name}\n")
    tree = git(folder, "mktree", stdin="".join(lines).encode())
    parent = git(folder, "rev-list", "--max-count=1", "--skip=1", "ledger")
    text = kept + "\n" if message is None else message
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (
            ("NAME", author),
            ("EMAIL", "ledger@stemma.invalid"),
            ("DATE", stamp),
        )
    }
    parents = ["-p", parent] if parent else []
    commit = git(folder, "commit-tree", tree, *parents, stdin=text.encode(), **who)
    git(folder, "update-ref", "refs/heads/ledger", commit)
    return commit


def copied(source: Path, target: Path) -> Path:
    """A bare copy by `git clone --mirror`."""
    git(Path(os.sep), "clone", "-q", "--mirror", str(source), str(target))
    return target
