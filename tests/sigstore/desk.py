"""A user at a desk: what the tests of keyless from the command line share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.sigstore.stack import LocalSigstore
from tests.world import commit_all

ALICE = "alice@example.com"
Run = Callable[..., tuple[int, Any]]


class Desk:
    """A home with a registry, a checkout with a model in it, and an instance to sign at."""

    def __init__(self, folder: Path, stack: LocalSigstore, run: Run) -> None:
        self.folder, self.stack, self.run = folder, stack, run
        self.config = folder / "trust-config.json"
        self.config.write_bytes(stack.trust_config(2))
        work = folder / "work"
        (work / "model").mkdir(parents=True)
        (work / "model" / "w.bin").write_bytes(b"weights")
        commit_all(work)
        assert run("init")[0] == 0
        self.root = run("trust", "root", "add", str(self.config))[1]["root"]

    def sign(self, email: str = ALICE, subject: str = "alice") -> str:
        """The URI that signs as somebody."""
        token = self.folder / f"{subject}.token"
        token.write_text(self.stack.oidc.token(subject, email=email))
        return f"sigstore:?trust-config={quote(str(self.config))}&token-file={quote(str(token))}"

    def believe(self, email: str = ALICE, **options: str) -> int:
        more = [part for name, value in options.items() for part in (f"--{name}", value)]
        issuer = ("--issuer", self.stack.oidc.url)
        return self.run(
            "trust", "add", "--identity", email, *issuer, "--root", self.root,
            "--principal", email, *more,
        )[0]  # fmt: skip

    def push(self, name: str = "models/m:1", **who: str) -> Any:
        code, said = self.run("push", "model", name, "--kind", "model", "--sign", self.sign(**who))
        assert code == 0, said
        return said

    def verify(self, name: str = "models/m:1") -> int:
        return self.run("verify", name)[0]
