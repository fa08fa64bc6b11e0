"""Model signatures of directories, there and back with the real `model_signing`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.errors import BadPath, SignatureRefused
from stemma_registry import signing
from stemma_registry.errors import AlreadyThere, BadTree, NotFound, Refused
from stemma_registry.foreign import oms, oms_signers
from tests.cli.test_commands import Run, run  # noqa: F401 - a fixture

# Beside the interpreter: the test extra brings it.
MODEL_SIGNING = Path(sys.executable).parent / "model_signing"


@dataclass(frozen=True)
class Model:
    """A directory with a model, and a key."""

    root: Path
    key: Path
    pub: Path

    @property
    def sig(self) -> Path:
        return self.root / "model.sig"

    def theirs(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`model_signing sign key` or `verify key` of the directory."""
        half = ("--private_key", self.key) if words[0] == "sign" else ("--public_key", self.pub)
        return subprocess.run(
            [MODEL_SIGNING, words[0], "key", *half, "--signature", self.sig, *words[1:], self.root],
            capture_output=True,
            text=True,
            timeout=120,
        )

    def signs(self, *words: str) -> None:
        done = self.theirs("sign", *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def verifies(self, *words: str) -> bool:
        return self.theirs("verify", *words).returncode == 0

    def check(self, *ignore: str) -> oms.Checked:
        """What our reader says."""
        return oms.verify(self.root, self.sig, oms_signers.by_key(self.public), ignore, None)

    @property
    def signer(self) -> signing.Signer:
        return signing.load_signer(f"key:{self.key}", lambda: None)

    @property
    def public(self) -> Any:
        return self.signer.public

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    found = Model(tmp_path / "model", tmp_path / "key.pem", tmp_path / "key.pub")
    signing.write_key(found.key, *signing.new_key("ecdsa-p256", None))
    found.write(**{"a/x": "1", "a-b": "2", "weights.bin": "w" * 100_000, "ä/ü.json": "{}"})
    return found


def test_model_signing_accepts_ours_and_gives_the_same_root(model: Model, tmp_path: Path) -> None:
    written = oms.sign(model.root, model.sig, (), oms_signers.with_key(model.signer))
    assert model.verifies()
    assert model.check().signed.root == written.manifest.oms_root
    ours = model.sig.read_bytes()
    model.sig.unlink()
    model.signs()
    assert model.check().differences == ()
    assert model.check().signed.root == written.manifest.oms_root
    model.sig.write_bytes(ours)
    (model.root / "a/x").write_text("!")
    assert not model.verifies()
    assert [line.partition(" (")[0] for line in model.check().differences] == ["a/x: changed"]


def test_ours_covers_what_model_signing_leaves_out(model: Model) -> None:
    model.write(**{".gitattributes": "*.bin filter=lfs\n", ".github/ci.yml": "on: push\n"})
    oms.sign(model.root, model.sig, (), oms_signers.with_key(model.signer))
    assert model.verifies("--no-ignore-git-paths")
    assert not model.verifies()  # it looks for neither and misses both
    assert model.check().differences == ()
    model.write(**{".github/ci.yml": "on: pull_request_target\n"})
    assert [line.partition(" (")[0] for line in model.check().differences] == [
        ".github/ci.yml: changed"
    ]


def test_what_ours_ignores_is_named_and_model_signing_agrees(model: Model) -> None:
    model.write(**{".gitattributes": "x", "logs/run.txt": "x"})
    written = oms.sign(
        model.root, model.sig, ("logs/", "./.gitattributes"), oms_signers.with_key(model.signer)
    )
    assert written.ignored == ("logs", ".gitattributes", "model.sig")
    assert model.verifies()
    assert len(model.check().differences) == 2
    assert model.check("logs", ".gitattributes").differences == ()
    assert model.check("logs", ".gitattributes").passed_over == (".gitattributes", "logs/run.txt")


def test_a_planted_file_that_model_signing_accepts_is_refused(model: Model) -> None:
    model.signs()
    assert model.check().differences == ()
    model.write(**{".github/evil.py": "import os"})
    assert model.verifies()
    (line,) = model.check().differences
    assert line == (
        ".github/evil.py: not signed "
        "(the signature ignores .github; --ignore .github agrees to that)"
    )
    assert model.check("weights.bin").differences
    agreed = model.check(".github")
    assert (agreed.differences, agreed.passed_over) == ((), (".github/evil.py",))


def test_to_ignore_what_the_signature_does_not_ignore_changes_nothing(model: Model) -> None:
    model.signs("--no-ignore-git-paths")
    model.write(**{".github/evil.py": "import os", "extra": "x"})
    assert model.check(".github", "extra", "weights.bin").differences == (
        ".github/evil.py: not signed, and not ignored by the signature",
        "extra: not signed, and not ignored by the signature",
    )
    (model.root / "weights.bin").unlink()
    assert "weights.bin: missing" in model.check("weights.bin").differences


def test_links_and_pipes_are_refused(model: Model) -> None:
    model.signs()
    (model.root / "link").symlink_to("a-b")
    os.mkfifo(model.root / "pipe")
    assert [line.partition(",")[0] for line in model.check().differences] == [
        "link: a symbolic link",
        "pipe: a pipe",
    ]
    model.sig.unlink()
    with pytest.raises(BadTree, match="symbolic link"):
        oms.sign(model.root, model.sig, (), oms_signers.with_key(model.signer))
    assert not model.sig.exists()


def test_a_git_checkout_is_signed_without_its_git(model: Model) -> None:
    model.write(**{".git/HEAD": "ref: refs/heads/main\n"})
    with pytest.raises(BadTree, match=r"\.git"):
        oms.sign(model.root, model.sig, (), oms_signers.with_key(model.signer))
    oms.sign(model.root, model.sig, (".git",), oms_signers.with_key(model.signer))
    assert model.verifies()
    assert len(model.check().differences) == 1
    assert model.check(".git").differences == ()


@pytest.mark.parametrize("method", [("--allow_symlinks",), ("--ignore-paths", "a")])
def test_other_ways_of_signing_are_read_as_strictly(model: Model, method: tuple[str, ...]) -> None:
    words = [str(model.root / word) if word == "a" else word for word in method]
    model.signs(*words)
    assert len(model.check().differences) == (1 if "a" in method else 0)
    assert model.check("a").differences == ()


def test_signatures_that_prove_nothing_are_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        model.check()
    other = signing.new_key("ecdsa-p256", None)[1]
    model.signs()
    with pytest.raises(SignatureRefused, match="names key"):
        oms.verify(model.root, model.sig, oms_signers.by_key(other), (), None)
    good = json.loads(model.sig.read_bytes())
    payload = good["dsseEnvelope"]["payload"]
    for bad in (
        b"",
        b"{}",
        json.dumps({**good, "dsseEnvelope": {**good["dsseEnvelope"], "payload": payload[4:]}}),
        json.dumps({**good, "verificationMaterial": {"publicKey": {"hint": other.pem_id}}}),
        json.dumps({**good, "verificationMaterial": {}}),
    ):
        model.sig.write_bytes(bad if isinstance(bad, bytes) else bad.encode())
        with pytest.raises(SignatureRefused):
            model.check()


def test_a_signed_statement_of_another_kind_is_refused(model: Model) -> None:
    from tests.registry.test_signing import STATEMENT

    model.sig.write_bytes(model.signer.sign(STATEMENT).raw)
    with pytest.raises(SignatureRefused, match="not a model signature"):
        model.check()


def test_what_cannot_be_signed_is_refused_before_it_is_read(model: Model, tmp_path: Path) -> None:
    for kind in ("ed25519", "rsa"):
        path = tmp_path / f"{kind}.pem"
        signing.write_key(path, *signing.new_key(kind, None))
        signer = signing.load_signer(f"key:{path}", lambda: None)
        with pytest.raises(Refused, match="ECDSA P-256"):
            oms.sign(model.root, model.sig, (), oms_signers.with_key(signer))
    for path_ in ("", ".", "/", "/etc", "..", "a/../..", "a\nb"):
        with pytest.raises(BadPath):
            oms.sign(model.root, model.sig, (path_,), oms_signers.with_key(model.signer))
    model.sig.write_text("there already")
    with pytest.raises(AlreadyThere):
        oms.sign(model.root, model.sig, (), oms_signers.with_key(model.signer))
    assert model.sig.read_text() == "there already"


def test_the_commands(model: Model, run: Run, tmp_path: Path) -> None:  # noqa: F811
    """Exit codes and warnings; the rest is in docs/cli.md."""
    model.write(**{".gitattributes": "x"})
    sign = ("sign-oms", str(model.root), "--sign", f"key:{model.key}")
    verify = ("verify-oms", str(model.root), "--key", str(model.pub))
    assert run(*verify).code == 3
    done = run(*sign)
    assert done.code == 0
    assert ".gitattributes: model_signing checks this with --no-ignore-git-paths" in done.err
    assert run(*sign).code == 1
    assert run(*verify).code == 0
    (model.root / "extra").write_text("x")
    done = run(*verify, "--json")
    assert (done.code, done.json["verified"], done.json["code"]) == (12, False, 12)
    assert done.json["differences"] == ["extra: not signed"]
    assert "NOT VERIFIED (bytes differ, exit 12)" in run(*verify).out
    signing.write_key(tmp_path / "o.pem", *signing.new_key("ecdsa-p256", None))
    assert run(*verify[:-1], str(tmp_path / "o.pub")).code == 13
    assert run(*verify[:-1], str(tmp_path / "o.pem")).code == 2
    assert run(*verify, "--ignore", "/x").code == 2
