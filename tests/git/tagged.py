"""A registry, a repository whose tags are about it, and people whose SSH keys sign them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stemma_attestations import gitsigned
from stemma_attestations.keys import PublicKey
from stemma_attestations.policy import BUILTIN
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.stages import holding
from stemma_registry.stages.desk import Desk
from stemma_registry.tagging import reading, signatures, syncing
from stemma_registry.tagging.asked import Asked, Synced
from stemma_registry.tagging.keeping import Keeper
from stemma_registry.tagging.planning import Result
from stemma_registry.trust import file as trust_file
from tests.git.repositories import Checkout
from tests.programs import require_program
from tests.world import World

SCOPE = "example.org/acme/models"


class Tagged:
    """One of each. `now` of tags is a counter: each is a minute after the one before."""

    def __init__(self, folder: Path, object_format: str = "sha1") -> None:
        require_program("ssh-keygen")
        self.folder = folder
        self.world = World(folder / "world")
        self.checkout = Checkout.make(folder / "work", object_format)
        self.world.checkout = self.checkout.root
        self.minutes = 0
        self.keys: dict[str, tuple[Path, PublicKey]] = {}
        self.trust("ada")

    def key(self, who: str) -> tuple[Path, PublicKey]:
        """Somebody's SSH key, made at the first call and trusted by nobody."""
        if who not in self.keys:
            path = self.folder / f"{who}.key"
            made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
            subprocess.run(made, check=True)
            (public,) = gitsigned.keys_of(path.with_name(path.name + ".pub").read_bytes())
            self.keys[who] = path, public
        return self.keys[who]

    def trust(
        self, who: str, names: tuple[str, ...] = ("**",), predicates: tuple[str, ...] = ("*",)
    ) -> None:
        world = self.world
        world.trust = trust_file.add(world.trust_path, who, self.key(who)[1], predicates, names)

    def built(self, name: str, content: str = "weights") -> str:
        """Commit, and push what was made of the commit; the commit's id."""
        commit = self.checkout.commit(f"make {name}", train__py=f"make {name} {content}\n")
        self.world.push(name, {"m.bin": content.encode()}, kind="model", build="train")
        return commit

    def tag(self, name: str, revision: str = "HEAD", by: str | None = "ada") -> str:
        """Tag a commit as `git tag` does; the id of the tag."""
        self.minutes += 1
        when = f"@{1_700_000_000 + 60 * self.minutes} +0000"
        signed = ["-a"] if by is None else ["-s"]
        ours = [] if by is None else self.settings(by)
        env = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        self.checkout.git(*env, *ours, "tag", *signed, "-m", name, name, revision, when=when)
        return self.checkout.git("rev-parse", f"refs/tags/{name}")

    def settings(self, by: str) -> list[str]:
        return ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.key(by)[0]}.pub"]

    def sync(self, *, by: str = "owner", dry_run: bool = False) -> Synced:
        world = self.world
        with Repository.open(self.checkout.root) as repository:
            roots = world.registry.trusted_roots.present(world.trust.roots)
            keeper = Keeper(world.home, SCOPE, signatures.basis(world.trust, roots))
            listed = reading.read(repository, signatures.by(world.trust, roots), keeper)
            keeper.save()
            desk = Desk(world.registry, world.trust, world.signer(by), world.now)
            done = syncing.sync(desk, Asked(repository, SCOPE, listed, keeper, BUILTIN), dry_run)
            keeper.save()
        return done

    def outcomes(self, **options: object) -> dict[str, str]:
        """Sync, and say what came of each tag that was not settled."""
        done = self.sync(**options)  # type: ignore[arg-type]
        return {one.tag.name: one.outcome for one in done.plan.results}

    def at(self, name: str, stage: str = "prod") -> str | None:
        """The version that is at a stage."""
        with self.world.view() as view:
            found = holding.holder(view, name, stage)
        return found.name.version if found else None


def result(done: Synced, tag: str) -> Result:
    """What came of one tag."""
    return next(one for one in done.plan.results if one.tag.name == tag)
