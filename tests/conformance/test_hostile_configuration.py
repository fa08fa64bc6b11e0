"""Configuration in the home, the environment, Git and the current directory changes no verdict.

The same questions are asked twice, in processes of their own: in a clean place, and in
one where everything that some tool reads says that a false instance and a false key are
to be believed. What only they vouch for is refused in both, and what is true verifies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stemma_attestations import canonical, keyless
from stemma_attestations.digest import Digest
from tests.conformance.making.case import BUNDLE
from tests.conformance.making.instance import IDENTITY, Instance
from tests.conformance.making.scene import (
    KEY_GOOD,
    MALLORY,
    by_identity,
    by_key,
    packed,
    signed,
    trust,
)
from tests.world import commit_all

PUBLIC = "https://tuf-repo-cdn.sigstore.dev"
ASK = """
import contextlib, io, json, sys
from stemma_cli.main import main
answers = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as left:
            code = left.code
    answers.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""
BELIEVED = """
from sigstore.models import ClientTrustConfig
print(ClientTrustConfig.production(offline=True).trusted_root._inner.tlogs[0].base_url)
"""


@dataclass
class Place:
    """A home, a working directory and an environment."""

    home: Path
    work: Path
    environment: dict[str, str]

    def run(self, script: str, *arguments: str) -> str:
        command = [sys.executable, "-P", "-c", script, *arguments]
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, questions: list[list[str]]) -> list[tuple[int, str, str]]:
        answers = json.loads(self.run(ASK, json.dumps(questions)))
        return [(code, out, err) for code, out, err in answers]


def place(folder: Path, stemma: Path, **more: str) -> Place:
    """A clean one, with Stemma's own home where it was set up."""
    home, work = folder / "home", folder / "work"
    home.mkdir(parents=True)
    work.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "STEMMA_HOME": str(stemma),
        **more,
    }
    return Place(home, work, environment)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def poison(at: Place, false_root: bytes, false_trust: bytes) -> None:
    """Say everywhere that the false instance and the false key are to be believed."""
    url = quote(PUBLIC, safe="")
    for base in (".cache", ".local/share"):
        for where in (url, quote("https://sigstore.example", safe="")):
            folder = at.home / base / "sigstore-python" / "tuf" / where
            write(folder / "trusted_root.json", false_root)
            write(folder / "root.json", b"{}")
    for name in ("root/targets/trusted_root.json", "trusted_root.json"):
        write(at.home / ".sigstore" / name, false_root)
    evil = b"#!/bin/sh\ntouch '%b/ran'\n" % os.fsencode(at.home)
    write(at.home / "evil", evil)
    (at.home / "evil").chmod(0o755)
    git = (
        f"[core]\n\tfsmonitor = {at.home}/evil\n\thooksPath = {at.home}\n\tpager = {at.home}/evil\n"
    )
    write(at.home / ".gitconfig", git.encode())
    write(at.home / ".config" / "git" / "config", git.encode())
    commit_all(at.work)
    with (at.work / ".git" / "config").open("a", encoding="utf-8") as config:
        config.write(git + f'[filter "x"]\n\tsmudge = {at.home}/evil\n\tclean = {at.home}/evil\n')
    write(at.work / ".gitattributes", b"* filter=x\n")
    toml = f'[tool.stemma]\ntrust = "trust.yaml"\nregistry = "{at.work}"\n'.encode()
    for name, data in (
        ("trust.yaml", false_trust),
        ("stemma.yaml", false_trust),
        (".stemma.yaml", false_trust),
        ("config.yaml", b"trust: trust.yaml\n"),
        ("trusted_root.json", false_root),
        (f"roots/{Digest.of(false_root).value}.json", false_root),
        ("pyproject.toml", toml),
        ("stemma.toml", toml),
        (".env", b"STEMMA_HOME=.\nSTEMMA_TRUST=trust.yaml\n"),
        (".sigstore/trusted_root.json", false_root),
    ):
        write(at.work / name, data)
        write(at.work / ".stemma" / name, data)
        write(at.home / ".stemma" / name, data)
        write(at.home / ".config" / "stemma" / name, data)
    root, rules = str(at.work / "trusted_root.json"), str(at.work / "trust.yaml")
    at.environment |= dict.fromkeys(FILES, root) | dict.fromkeys(URLS, NOWHERE)
    at.environment |= {"STEMMA_TRUST": rules, "STEMMA_TRUST_ROOT": rules, "STEMMA_ROOT": root}
    at.environment |= {
        "XDG_CACHE_HOME": str(at.home / ".cache"),
        "XDG_DATA_HOME": str(at.home / ".local" / "share"),
        "XDG_CONFIG_HOME": str(at.home / ".config"),
        "SIGSTORE_CERT_IDENTITY": "mallory@example.com",
        "SIGSTORE_NO_VERIFY_SCT": "1",
        "COSIGN_EXPERIMENTAL": "1",
        "GIT_DIR": str(at.work / ".git"),
        "GIT_CONFIG_GLOBAL": str(at.home / ".gitconfig"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(at.home / "evil"),
    }


NOWHERE = "http://127.0.0.1:1"
FILES = (
    "SIGSTORE_ROOT_FILE",
    "SIGSTORE_TRUSTED_ROOT",
    "SIGSTORE_REKOR_PUBLIC_KEY",
    "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE",
    "SIGSTORE_TSA_CERTIFICATE_FILE",
    "TUF_ROOT",
    "TUF_ROOT_JSON",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
)
URLS = (
    "SIGSTORE_REKOR_URL",
    "SIGSTORE_FULCIO_URL",
    "SIGSTORE_OIDC_ISSUER",
    "REKOR_SERVER",
    "TUF_MIRROR",
    "TUF_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)


@dataclass
class Scene:
    """Two places, questions with the exit codes that they must have, and the false root."""

    clean: Place
    hostile: Place
    questions: dict[str, tuple[int, list[str]]]

    def ask(self, at: Place) -> dict[str, tuple[int, str, str]]:
        asked = [arguments for _, arguments in self.questions.values()]
        return dict(zip(self.questions, at.ask(asked), strict=True))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("hostile")
    at, stemma = Instance(), folder / "stemma"
    false_root = canonical.dumps(at.stranger.trusted_root_json())
    bundles = {
        "true-keyless": packed(at.document()),
        "false-keyless": packed(at.document(stack=at.stranger)),
        "true-key": KEY_GOOD.files[BUNDLE],
        "false-key": packed(signed(key=MALLORY)),
    }
    for name, data in bundles.items():
        write(folder / f"{name}.json", data)
    # Good under the false root, so that believing it would be seen.
    assert keyless.verify(bundles["false-keyless"], false_root).identity.subject
    clean = place(folder / "clean", stemma)
    write(folder / "root.json", at.root)
    write(folder / "model" / "w.bin", b"weights")
    commit_all(folder)
    setup = [
        ["init"],
        ["trust", "root", "add", str(folder / "root.json")],
        ["push", str(folder / "model"), "acme/m:1", "--kind", "model"],
    ]
    assert [code for code, *_ in clean.ask(setup)] == [0, 0, 0]
    mine = (stemma / "trust.yaml").read_bytes()
    signers = [*by_key(), *by_identity(IDENTITY, at.digest)]
    write(stemma / "trust.yaml", mine.rstrip() + b"\n" + "\n".join(signers).encode() + b"\n")
    hostile = place(folder / "hostile", stemma)
    lines = by_identity(IDENTITY, str(Digest.of(false_root)))
    poison(hostile, false_root, trust(by_key(MALLORY), lines))
    questions = {
        name: (
            13 if name.startswith("false") else 0,
            ["trust", "test", str(folder / f"{name}.json")],
        )
        for name in bundles
    }
    questions["trust"] = (0, ["trust", "show"])
    questions["roots"] = (0, ["trust", "root", "list"])
    questions["gate"] = (0, ["verify", "acme/m:1"])
    nobody = folder / "nobody.yaml"
    write(nobody, b"format: urn:stemma:trust-root:v0.1\nsigners: []\n")
    questions["gate-nobody"] = (13, ["verify", "acme/m:1", "--trust", str(nobody)])
    return Scene(clean, hostile, questions)


def test_the_same_verdicts_in_both_places(scene: Scene) -> None:
    clean, hostile = scene.ask(scene.clean), scene.ask(scene.hostile)
    for name, (code, _) in scene.questions.items():
        assert clean[name][0] == code, (name, clean[name])
        assert hostile[name][0] == code, (name, hostile[name])
        if name != "gate":  # its verdict names the time
            assert hostile[name] == clean[name]
    assert not (scene.hostile.home / "ran").exists(), "a command of the configuration was run"


def test_the_place_is_hostile_to_whoever_reads_it(scene: Scene) -> None:
    """sigstore's own client believes what it finds there."""
    assert "other." in scene.hostile.run(BELIEVED)
    assert "other." not in scene.clean.run(BELIEVED)


def test_what_lies_there_would_believe_it(scene: Scene, tmp_path: Path) -> None:
    """So a refusal above is for not having read it: given by name, it is believed."""
    rules = str(scene.hostile.work / "trust.yaml")
    ((code, *_),) = scene.clean.ask([[*scene.questions["false-key"][1], "--trust", rules]])
    assert code == 0
    own: dict[str, Any] = {
        **scene.hostile.environment,
        "STEMMA_HOME": str(scene.hostile.home / ".stemma"),
    }
    misled = Place(scene.hostile.home, scene.hostile.work, own)
    answers = misled.ask([scene.questions["false-key"][1], scene.questions["false-keyless"][1]])
    assert [code for code, *_ in answers] == [0, 0]
