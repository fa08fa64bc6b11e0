"""A registry on disk and a work tree of each object format, with the real `git lfs` in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stemma_attestations.names import NameVersion
from stemma_registry.gate import TERMS, Terms
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.pointers import adding, contents, judging, restoring
from stemma_registry.pointers.adding import Added, Named, Wish
from stemma_registry.pointers.judging import Judged
from stemma_registry.pointers.restoring import Restored
from tests.git.repositories import FORMATS, Checkout
from tests.registry.stores import Disk

WEIGHTS = bytes(range(256)) * 40
MODEL = {
    "model-1.safetensors": WEIGHTS,
    "model-2.safetensors": WEIGHTS[::-1],
    "config.json": b"{}\n",
    "empty": b"",
}


@dataclass
class Bench:
    """A registry and a work tree."""

    world: Disk
    checkout: Checkout

    @property
    def root(self) -> Path:
        return self.checkout.root

    def lfs(self) -> None:
        """Have the real `git lfs` at work in it."""
        self.checkout.git("lfs", "install", "--local", "--force")

    def write(self, folder: str, files: dict[str, bytes]) -> Path:
        for path, data in files.items():
            whole = self.root / folder / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(data)
        return self.root / folder

    def add(
        self, path: str, name: str | None = None, wish: Wish | None = None, kind: str = "model"
    ) -> Added:
        named = Named(NameVersion.parse(name), kind) if name else None
        world = self.world
        signer = world.signer("owner") if name else None
        return adding.add(
            world.registry,
            world.trust,
            signer,
            self.root / path,
            named,
            wish or Wish(),
            datetime.now(UTC),
        )

    def restore(self, *paths: str, quarantined: bool = False) -> Restored:
        where = [self.root / path for path in paths] or [self.root]
        with self.world.view() as view:
            return restoring.checkout(
                self.world.registry, view, where, allow_quarantined=quarantined
            )

    def judge(
        self, path: str = "", expected: str | None = None, terms: Terms = TERMS
    ) -> list[Judged]:
        """The verdicts on what HEAD holds at a path."""
        name = NameVersion.parse(expected) if expected else None
        with Repository.open(self.root) as repo, self.world.view() as view:
            held = contents.read(repo, repo.resolve("HEAD"), path)
            return judging.judge(self.world.registry, view, held, "repo", name, terms)

    def commit(self, *paths: str) -> str:
        self.checkout.git("add", *(paths or ["-A"]))
        self.checkout.git("commit", "-q", "-m", "a change")
        return self.checkout.git("rev-parse", "HEAD")


def errors(judged: Sequence[Judged]) -> list[str]:
    """The kinds of the failures."""
    return [type(one.failure).__name__ for one in judged]


@pytest.fixture(params=FORMATS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(Disk(tmp_path / "world"), Checkout.make(tmp_path / "work", request.param))
    made.checkout.commit("one", readme="read me\n")
    yield made
    made.world.registry.close()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bench]:
    """The same, of SHA-1 alone, where the format is no matter."""
    made = Bench(Disk(tmp_path / "world"), Checkout.make(tmp_path / "work"))
    made.checkout.commit("one", readme="read me\n")
    yield made
    made.world.registry.close()
