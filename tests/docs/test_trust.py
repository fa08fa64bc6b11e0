"""docs/trust.md, run against a Sigstore instance of the tests' own.

`python -m tests.docs.test_trust` runs the page and writes what differs back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.docs.console import ROOT, WIDTH, Command, Digests, examples, play, write
from tests.sigstore.stack import LocalSigstore

PAGE = ROOT / "docs" / "trust.md"
WORKFLOW = "https://git.acme.example/train/.ci/train.yml@refs/heads/main"
REPOSITORY = "https://git.acme.example/train"


class Ci:
    """What the page's CI system gives its jobs."""

    def __init__(self, stack: LocalSigstore) -> None:
        self.stack = stack

    def __call__(self, home: Path) -> Mapping[str, str]:
        folder = home / "ci"
        folder.mkdir()
        (folder / "trust-config.json").write_bytes(self.stack.trust_config(2))
        token = self.stack.oidc.token(WORKFLOW, lifetime=3600, repository_uri=REPOSITORY)
        (folder / "token").write_text(token)
        return {"ISSUER": self.stack.oidc.url}


def test_the_page_prints_what_it_says(sigstore: LocalSigstore) -> None:
    digests, complaints = Digests(), []
    # One by one: what a command prints is what the next one may quote.
    done = [
        (ran, digests.matches(ran.command.expected, ran.lines))
        for ran in play(PAGE, digests, Ci(sigstore))
    ]
    following = [ran.command.text for ran, _ in done[1:]] + [""]
    for (ran, problem), after in zip(done, following, strict=True):
        if problem:
            complaints.append(f"$ {ran.command.text}\n  {problem}")
        if ran.code and after != "echo $?":
            complaints.append(f"$ {ran.command.text}\n  ended with {ran.code}, unsaid")
    assert not complaints, "\n".join(complaints)
    assert len(done) > 40


def test_the_page_fits_a_terminal() -> None:
    for example in examples(PAGE):
        shown = example.text.splitlines()
        if isinstance(example, Command):
            shown = [f"$ {line}" for line in shown] + list(example.expected)
        assert [line for line in shown if len(line) > WIDTH] == []


if __name__ == "__main__":
    print(write(PAGE, Ci(LocalSigstore())))
