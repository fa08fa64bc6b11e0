"""The programs that the store is compared with, each in the way its own documents say.

They live in an environment of their own (peers.txt), made when it is first
needed. One that is missing is left out, and that is said.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import floors
from benchmarks.datasets import DataSet, linked, stamps
from benchmarks.measuring import Sample, process, settle

LIST = Path(__file__).with_name("peers.txt")
SYNCS = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"
# A line of strace -f -y: the call, and the path of the descriptor.
_CALLED = re.compile(rf"\d+ +({SYNCS.replace(',', '|')})\((?:\d+<([^>]*)>)?")
_MLFLOW = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[2])
with mlflow.start_run():
    mlflow.log_artifacts(sys.argv[1])
"""


class PeersMissing(Exception):
    """The environment of the peers cannot be made."""


@dataclass(frozen=True)
class Peers:
    """The environment of the peers, and the folder for what they write."""

    bin: Path
    work: Path

    @classmethod
    def made(cls, folder: Path, work: Path, listed: Path = LIST) -> Peers:
        """Make the environment, unless it is there and of the same list."""
        done, wanted = folder / "peers.txt", listed.read_text()
        if not done.exists() or done.read_text() != wanted:
            print(f"making the environment of the peers in {folder.name} ...", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "-r"]
            if subprocess.run([*install, str(listed)], check=False).returncode != 0:
                raise PeersMissing(f"pip could not install benchmarks/{listed.name}")
            done.write_text(wanted)
        return cls(folder / "bin", work)

    @property
    def environment(self) -> dict[str, str]:
        """No settings of this user, no telemetry, caches in the work folder."""
        home = self.work / "peer-home"
        home.mkdir(parents=True, exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "AWS_", "DVC"))}
        return {
            **kept,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "bench",
            "GIT_AUTHOR_EMAIL": "bench@example.org",
            "GIT_COMMITTER_NAME": "bench",
            "GIT_COMMITTER_EMAIL": "bench@example.org",
            "GIT_TERMINAL_PROMPT": "0",
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ALLOW_FILE_STORE": "true",
        }

    def quietly(self, *argv: str, cwd: Path) -> None:
        """Preparation that is not timed."""
        done = subprocess.run(
            argv, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr[-1000:]}")


@dataclass(frozen=True)
class Task:
    """What one push by a peer runs, where, and the folder that must be durable afterwards."""

    commands: list[list[str]]
    cwd: Path
    store: Path


Prepare = Callable[[Peers, DataSet, Path], Task]


def dvc(peers: Peers, data: DataSet, folder: Path) -> Task:
    """`dvc add` and `dvc push` to a remote in a local folder."""
    repo, store = folder / "repo", folder / "remote"
    linked(data, repo / "data")
    program, site = str(peers.bin / "dvc"), folder / "site"
    peers.quietly("git", "init", "-q", cwd=repo)
    peers.quietly(program, "init", "-q", cwd=repo)
    peers.quietly(program, "config", "core.site_cache_dir", str(site), cwd=repo)
    peers.quietly(program, "remote", "add", "-d", "here", str(store), cwd=repo)
    return Task([[program, "add", "-q", "data"], [program, "push", "-q"]], repo, store)


def git_lfs(peers: Peers, data: DataSet, folder: Path) -> Task:
    """`git lfs`: add, commit and push to a bare repository by file://."""
    repo, store = folder / "repo", folder / "remote.git"
    linked(data, repo / "data")
    peers.quietly("git", "init", "-q", "--bare", str(store), cwd=folder)
    peers.quietly("git", "init", "-q", "-b", "main", cwd=repo)
    peers.quietly("git", "lfs", "install", "--local", cwd=repo)
    peers.quietly("git", "lfs", "track", "data/**", cwd=repo)
    peers.quietly("git", "remote", "add", "origin", f"file://{store}", cwd=repo)
    commands = [
        ["git", "add", ".gitattributes", "data"],
        ["git", "commit", "-q", "-m", "data"],
        ["git", "push", "-q", "origin", "main"],
    ]
    return Task(commands, repo, store)


def mlflow(peers: Peers, data: DataSet, folder: Path) -> Task:
    """`mlflow.log_artifacts` to a file store."""
    store = folder / "mlruns"
    command = [str(peers.bin / "python"), "-c", _MLFLOW, str(data.root), f"file://{store}"]
    return Task([command], folder, store)


PUSHERS: dict[str, Prepare] = {
    "dvc add + push": dvc,
    "git lfs add + push": git_lfs,
    "mlflow log_artifacts": mlflow,
}
# What each does with the bytes, by its documents and sources; the syncs are counted in the run.
HASHES = {
    "dvc add + push": "MD5 of each file; copies to its cache, then to the remote",
    "git lfs add + push": "SHA-256 of each file; copies to .git/lfs, then to the remote",
    "mlflow log_artifacts": "nothing; one copy",
}


def push(peers: Peers, name: str, data: DataSet) -> Sample:
    """One push by a peer, and (as `extra`) the seconds of syncing what it wrote."""
    folder = peers.work / "peer-push"
    folder.mkdir()
    before = stamps(data)
    try:
        task = PUSHERS[name](peers, data, folder)
        settle()
        samples = [process(argv, peers.environment, task.cwd) for argv in task.commands]
        start = time.perf_counter()
        floors.sync_tree(task.store)
        extra = time.perf_counter() - start
        written = sum(p.stat().st_size for p in task.store.rglob("*") if p.is_file())
        if written < data.size:
            raise RuntimeError(f"{name} stored {written} of {data.size} bytes")
    finally:
        shutil.rmtree(folder)
    if stamps(data) != before:
        raise RuntimeError(f"{name} changed the data")
    whole = Sample(
        sum(s.wall for s in samples), sum(s.cpu for s in samples), max(s.rss for s in samples)
    )
    return replace(whole, extra=extra)


def syncs_of_push(peers: Peers, name: str, data: DataSet) -> str:
    """How often a peer makes something durable, by system call and by what."""
    folder = peers.work / "peer-push"
    folder.mkdir()
    try:
        task = PUSHERS[name](peers, data, folder)
        return count_syncs(task.commands, peers.environment, task.cwd, task.store)
    finally:
        shutil.rmtree(folder)


def count_syncs(
    commands: list[list[str]], environment: dict[str, str], cwd: Path, store: Path
) -> str:
    """System calls of the commands and their children, on the `store` and on anything else.

    Needs strace.
    """
    found: Counter[str] = Counter()
    log = cwd.parent / "syncs.log"
    strace = ["strace", "-f", "-y", "-q", "-e", f"trace={SYNCS}", "-e", "signal=none"]
    for argv in commands:
        subprocess.run(
            [*strace, "-o", str(log), *argv],
            cwd=cwd,
            env=environment,
            capture_output=True,
            check=True,
        )
        for line in log.read_text().splitlines():
            called = _CALLED.match(line)
            if called is not None:
                stored = called[2] is not None and called[2].startswith(str(store))
                found[f"{called[1]} {'in its store' if stored else 'elsewhere'}"] += 1
        log.unlink()
    return ", ".join(f"{count} x {what}" for what, count in sorted(found.items())) or "none"


@dataclass(frozen=True)
class Signature:
    """A model-signing signature of a data set, made before anything is timed."""

    peers: Peers
    data: DataSet
    file: Path
    public: Path

    @classmethod
    def made(cls, peers: Peers, data: DataSet, folder: Path) -> Signature:
        """Make a key and sign."""
        private, public, file = folder / "oms.pem", folder / "oms.pub", folder / "oms.sig"
        new = ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out"]
        peers.quietly(*new, str(private), cwd=folder)
        read = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
        peers.quietly(*read, cwd=folder)
        sign = [str(peers.bin / "model_signing"), "sign", "key", "--private_key", str(private)]
        peers.quietly(*sign, "--signature", str(file), str(data.root), cwd=folder)
        return cls(peers, data, file, public)

    def verify(self) -> Sample:
        """`model_signing verify key`, the whole process."""
        argv = [str(self.peers.bin / "model_signing"), "verify", "key"]
        options = ["--signature", str(self.file), "--public_key", str(self.public)]
        return process([*argv, *options, str(self.data.root)], self.peers.environment)
