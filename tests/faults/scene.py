"""A small registry on disk, its user, and what can be asked of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma_attestations.digest import Digest
from stemma_registry.blobs.local import LocalStore
from stemma_registry.config import Home
from tests.world import commit_all
from tests.zygote import Finished, Seat, Zygote

NEW: Mapping[str, bytes] = {"part-0.txt": b"new zero\n", "deep/part-1.txt": b"new one\n"}
PUSH_NEW = (
    *("push", "new", "data/new:1", "--kind", "dataset", "--json"),
    *("--input", "filtered-from=data/raw:1", "--param", "rule=short"),
)
QUARANTINE = ("quarantine", "data/raw:1", "--reason", "poisoned", "--json")


@dataclass(frozen=True)
class Scene:
    """Everything below `folder`: `home`, `registry`, and the checkout `work` with what is pushed.

    `data/raw:1` is there, and `models/m:1` that was trained on it. `PUSH_NEW`
    is the push that a test interrupts; what it pushes is in `work/new`.
    """

    folder: Path
    zygote: Zygote

    @property
    def seat(self) -> Seat:
        return Seat(self.folder / "home", self.folder / "registry", self.folder / "work")

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @classmethod
    def build(cls, folder: Path, zygote: Zygote) -> Scene:
        """Make it."""
        scene = cls(folder, zygote)
        scene.write("work", {"train.py": b"print('training')\n"})
        commit_all(scene.work)
        scene.write("work/raw", {"a.txt": b"raw a\n", "b.txt": b"raw b\n"})
        scene.write("work/model", {"w.bin": b"weights", "config.json": b"{}"})
        scene.write("work/new", NEW)
        scene.run("init").expect(0)
        scene.run("push", "raw", "data/raw:1", "--kind", "dataset").expect(0)
        pushed = ("push", "model", "models/m:1", "--kind", "model")
        scene.run(*pushed, "--input", "trained-on=data/raw:1").expect(0)
        return scene

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write files below a folder of the scene."""
        for path, data in files.items():
            target = self.folder / folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def copy(self, folder: Path) -> Scene:
        """The same at another place, as if it had been made there."""
        shutil.copytree(self.folder, folder, symlinks=True)
        shutil.rmtree(folder / "home" / "heads", ignore_errors=True)
        copied = Scene(folder, self.zygote)
        # A catalogue is named by the place of its registry.
        old = folder / self.catalogue.relative_to(self.folder)
        if old.exists():
            old.rename(copied.catalogue)
        return copied

    @property
    def catalogue(self) -> Path:
        """The catalogue of the registry."""
        return Home(self.seat.home).catalogue(LocalStore(self.registry).location)

    def run(self, *argv: str | Path, **options: Any) -> Finished:
        """Run a command to its end."""
        return self.zygote.run(self.seat, *argv, **options)

    # Questions.

    def assert_whole(self) -> dict[str, Any]:
        """`audit --read-data` finds nothing; its document."""
        report: dict[str, Any] = self.run("audit", "--read-data", "--json").expect(0).document
        assert report["whole"]
        return report

    def names(self) -> dict[str, dict[str, Any]]:
        """NAME:VERSION -> its line in `stemma list`."""
        rows = self.run("list", "--json").expect(0).document
        return {f"{row['name']}:{row['version']}": row for row in rows}

    def verify(self, reference: str) -> int:
        """The exit code of `stemma verify`."""
        done = self.run("verify", reference, "--json")
        assert "Traceback" not in done.err
        return done.code

    def entries(self) -> list[dict[str, Any]]:
        """The ledger, read from its files."""
        paths = sorted((self.registry / "ledger").rglob("*.json"))
        return [json.loads(path.read_bytes()) for path in paths]

    def blob(self, digest: str, store: str = "registry") -> Path:
        """Where a blob is; `digest` with its algorithm."""
        value = Digest.parse(digest).value
        return self.folder / store / "blobs" / "sha256" / value[:2] / value[2:]

    def files_of(self, artifact: str, store: str = "registry") -> list[str]:
        """The SHA-256 (hex) of each file of an artifact, read from its manifest blob."""
        manifest = json.loads(self.blob(artifact, store).read_bytes())
        return [entry["sha256"] for entry in manifest["entries"]]

    def entry(self, n: int) -> Path:
        """Where ledger entry `n` is."""
        return self.registry / "ledger" / "000" / "000" / f"{n:06d}.json"

    def leftovers(self) -> list[Path]:
        """Temporary files: those of all stores, and work files in the home and beside a pull."""
        tmp = [*self.folder.glob("*/tmp/*"), *self.work.glob(".*.stemma-*")]
        work = [p for p in self.seat.home.rglob("*") if p.name.startswith(".")]
        return sorted(tmp + work)

    def temporary(self) -> list[str]:
        """Their names."""
        return [path.name for path in self.leftovers()]

    def remove(self) -> None:
        """Throw it away."""
        shutil.rmtree(self.folder)


def one_line(done: Finished) -> str:
    """What a failing command said: one clear line on stderr, or one document on stdout."""
    assert done.code != 0, done
    assert "Traceback" not in done.out + done.err, done.err
    if "--json" in done.argv:
        assert done.err == "", done.err
        said = done.document
        if said.get("failed"):  # a report of what was done, and of what was not
            return f"{len(said['failed'])} failed"
        said = said.get("error", said)
        assert said["code"] == done.code
        message = said["message"] if "message" in said else said["reason"]
    else:
        (message,) = done.lines
        assert message.startswith("stemma: ")
    assert "bug" not in message, message
    assert 10 < len(message) < 600, message
    assert "\n" not in message
    return str(message)
