"""The command line: codes, JSON, one-line errors, and nothing read from the current directory."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stemma_cli import exits
from stemma_cli.main import COMMANDS, main
from tests.world import commit_all


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`stemma ...` in a clean Git checkout with a home of its own."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text("print('training')\n")
    commit_all(work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("STEMMA_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> Ran:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        done = capsys.readouterr()
        return Ran(int(caught.value.code or 0), done.out, done.err)

    return call


def write(path: str, **files: str) -> str:
    """A directory in the checkout."""
    root = Path(path)
    root.mkdir()
    for name, text in files.items():
        (root / name).write_text(text)
    return path


@pytest.fixture
def filled(run: Run) -> Run:
    """raw -> model, and a clean sibling."""
    assert run("init").code == 0
    write("raw", a="poison", b="fine")
    write("model", weights="w1")
    write("clean", c="clean")
    write("sibling", weights="w2")
    for arguments in (
        ("raw", "data/raw:1", "--kind", "dataset"),
        ("model", "models/m:1", "--kind", "model", "--input", "trained-on=data/raw:1"),
        ("clean", "data/clean:1", "--kind", "dataset"),
        ("sibling", "models/s:1", "--kind", "model", "--input", "trained-on=data/clean:1"),
    ):
        assert run("push", *arguments).code == 0
    return run


def test_init_makes_a_private_key_and_says_what_to_type(run: Run, tmp_path: Path) -> None:
    done = run("init")
    assert done.code == 0
    assert "stemma push" in done.out
    key = tmp_path / "home/key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    again = run("init")
    assert again.code == 1
    assert "there is a registry" in again.err
    assert key.read_bytes() == before


@pytest.mark.parametrize("arguments", [(), ("tags",)])
def test_no_command_shows_the_help_as_it_is(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    if done.code == exits.USAGE:  # before Click 8.2 it is the help alone, and 0
        assert done.err == f"{run(*arguments, '--help').out}\nstemma: name a command\n"


def test_the_main_job(filled: Run) -> None:
    assert filled("verify", "models/m:1").code == 0
    dry = filled("quarantine", "data/raw:1", "--reason", "poison", "--dry-run")
    assert dry.code == 0
    assert filled("verify", "models/m:1").code == 0
    assert filled("quarantine", "data/raw:1", "--reason", "poison").code == 0
    refused = filled("verify", "models/m:1")
    assert refused.code == 11
    assert "trained-on data/raw:1" in refused.out
    assert filled("verify", "model", "--as", "models/m:1").code == 11
    assert filled("pull", "models/m:1", "out").code == 11
    assert not Path("out").exists()
    assert filled("pull", "models/m:1", "out", "--quarantined").code == 0
    assert filled("verify", "models/s:1").code == 0
    assert filled("verify", "sibling", "--as", "models/s:1").code == 0
    assert filled("release", "data/raw:1", "--reason", "mistake").code == 0
    assert filled("verify", "models/m:1").code == 0
    assert filled("audit", "--read-data").code == 0


def test_a_grand_parent_with_a_quarantined_file(filled: Run) -> None:
    write("tuned", weights="w3")
    filled(
        "push", "tuned", "models/t:1", "--kind", "model", "--input", "fine-tuned-from=models/m:1"
    )
    sha = filled("--json", "show", "data/raw:1").json["files"][0]["sha256"]
    assert filled("quarantine", f"sha256:{sha}", "--reason", "bad file").code == 0
    refused = filled("verify", "models/t:1")
    assert refused.code == 11
    for words in ("fine-tuned-from models/m:1", "trained-on data/raw:1", "which contains a"):
        assert words in refused.out
    assert filled("verify", "models/s:1").code == 0


def test_rebuilding_changes_no_answer(filled: Run, tmp_path: Path) -> None:
    filled("quarantine", "data/raw:1", "--reason", "poison")
    questions = [
        ("list",),
        ("show", "models/m:1"),
        ("log",),
        ("trace", "data/raw:1"),
        ("trace", "models/m:1", "--up"),
        ("attestations", "models/m:1"),
        ("bom", "models/m:1"),
    ]
    before = [filled("--json", *question) for question in questions]
    for path in (tmp_path / "home/catalogues").iterdir():
        path.unlink()
    assert filled("rebuild").code == 0
    assert [filled("--json", *question) for question in questions] == before
    assert filled("verify", "models/m:1").code == 11


def test_every_command_prints_one_json_document(filled: Run) -> None:
    write("more", x="x")
    calls: list[tuple[str, ...]] = [
        ("push", "more", "data/more:1", "--kind", "dataset"),
        ("pull", "data/more:1", "pulled"),
        ("verify", "models/m:1"),
        ("verify", "raw", "--as", "models/m:1"),
        ("verify", "nothing:1"),
        ("trace", "data/raw:1"),
        ("trace", "raw/a"),
        ("trace", "models/m:1", "--up", "--to", "data/raw:1"),
        ("quarantine", "data/raw:1", "--reason", "x", "--dry-run"),
        ("quarantine", "data/raw:1", "--reason", "x"),
        ("release", "data/raw:1", "--reason", "x"),
        ("list",),
        ("show", "models/m:1"),
        ("log",),
        ("bom", "models/m:1"),
        ("attestations", "models/m:1"),
        ("audit",),
        ("rebuild",),
        ("db", "current"),
        ("db", "check"),
        ("db", "upgrade"),
        ("key", "new", "--out", "k.pem"),
        ("trust", "show"),
        ("trust", "add", "k.pub", "--principal", "bob"),
        ("bogus",),
        ("push",),
    ]
    for call in calls:
        for arguments in (("--json", *call), (*call, "--json")):
            done = filled(*arguments)
            document = json.loads(done.out)
            if done.code and "error" in document:
                assert document["error"]["code"] == done.code
                assert "\n" not in document["error"]["message"]
            for path in ("k.pem", "k.pub", "pulled/x"):
                Path(path).unlink(missing_ok=True)
            if Path("pulled").exists():
                Path("pulled").rmdir()
            if call[:2] == ("key", "new"):
                filled("key", "new", "--out", "k.pem")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("verify", "models/none:1"), 3, "nothing is named models/none:1"),
        (("verify", "models/m:9"), 3, "models/m has 1"),
        (("verify", "no/such/folder"), 3, "no directory"),
        (("verify", "model", "--as", "models/m"), 2, "no version"),
        (("verify", "sha256:abc"), 2, "at least 12"),
        (("verify", "sha256:" + "0" * 64), 3, "nothing has the digest"),
        (("trace", "no-such-file"), 3, "neither a reference nor a file"),
        (("push", "none", "x:1", "--kind", "model"), 3, "no directory"),
        (("push", "model", "UPPER:1", "--kind", "model"), 2, "not a name"),
        (("push", "model", "x:1", "--kind", "cake"), 2, "Invalid value"),
        (("push", "model", "x:1", "--kind", "model", "--input", "x"), 2, "RELATION=REF"),
        (("push", "model", "x:1", "--kind", "model", "--input", "x=y:1"), 1, "relation"),
        (("push", "model", "x:1", "--kind", "model", "--sign", "k.pem"), 2, "key:FILE"),
        (("push", "raw", "models/m:1", "--kind", "model"), 12, "immutable"),
        (("pull", "models/m:1", "model"), 1, "exists"),
        (("release", "data/raw:1", "--reason", "x"), 3, "not quarantined"),
        (("quarantine", "data/raw:1", "--reason", " "), 1, "reason"),
        (("trust", "show", "--trust", "model/weights"), 2, "trust root"),
        (("--registry", "nowhere", "list"), 3, "no registry"),
        (("bogus",), 2, "No such command"),
    ],
)
def test_bad_input_gets_one_line_and_its_code(
    filled: Run, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = filled(*arguments)
    assert done.code == code, done
    last = done.err.strip().splitlines()[-1]
    assert words in last
    assert last.startswith("stemma: ")
    assert "Traceback" not in done.err


def test_the_verdict_is_written_and_signed(filled: Run, tmp_path: Path) -> None:
    from stemma_attestations.bundle import Bundle
    from stemma_attestations.keys import PublicKey

    uri = f"key:{tmp_path}/home/key.pem"
    assert filled("verify", "models/m:1", "--vsa", "v.json").code == 0
    assert json.loads(Path("v.json").read_bytes())["predicate"]["verificationResult"] == "PASSED"
    assert filled("verify", "models/m:1", "--vsa", "s.json", "--sign", uri).code == 0
    public = PublicKey.parse((tmp_path / "home/key.pub").read_bytes())
    statement = Bundle.parse(Path("s.json").read_bytes()).verify(public)
    assert statement.predicate_type == "https://slsa.dev/verification_summary/v1"


def test_another_trust_root(filled: Run) -> None:
    Path("nobody.yaml").write_text("format: urn:stemma:trust-root:v0.1\nsigners: []\n")
    assert filled("verify", "models/m:1", "--trust", "nobody.yaml").code == 13
    assert filled("verify", "models/m:1", "--trust", "missing.yaml").code == 3
    assert filled("verify", "models/m:1").code == 0


def test_nothing_is_read_from_the_current_directory(filled: Run) -> None:
    hidden = Path(".stemma")
    hidden.mkdir()
    (hidden / "trust.yaml").write_text("format: urn:stemma:trust-root:v0.1\nsigners: []\n")
    Path(".env").write_text("STEMMA_REGISTRY=/nowhere\n")
    Path("trust.yaml").write_text("evil")
    assert filled("verify", "models/m:1").code == 0


def test_text_from_statements_cannot_steer_the_terminal(filled: Run) -> None:
    assert filled("quarantine", "data/raw:1", "--reason", "\x1b[2J\u202egone\nnot").code == 0
    for arguments in (("verify", "models/m:1"), ("log",), ("show", "data/raw:1")):
        shown = filled(*arguments).out
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_a_rewound_ledger_is_refused(filled: Run, tmp_path: Path) -> None:
    filled("quarantine", "data/raw:1", "--reason", "poison")
    assert filled("verify", "models/m:1").code == 11
    registry = tmp_path / "home/registry"
    (registry / "ledger/000/000/000005.json").unlink()
    for path in (tmp_path / "home/catalogues").iterdir():
        path.unlink()
    done = filled("verify", "models/m:1")
    assert done.code == 14
    assert "rewound" in done.err
    # A reader that has seen nothing is warned by the signed checkpoint.
    for path in (tmp_path / "home/heads").iterdir():
        path.unlink()
    assert filled("verify", "models/m:1").code == 14
    assert filled("audit").code == 14


def test_exit_codes_are_in_every_help(run: Run) -> None:
    for command in COMMANDS:
        assert "Exit codes:" in run(command, "--help").out
    shown = " ".join(run("--help").out.split())
    for code, meaning in exits.MEANING.items():
        assert f"{code} {meaning}" in shown


def test_help_is_as_light_as_click(tmp_path: Path) -> None:
    """User CPU time of `stemma --help` against importing click, the best of several runs."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def cost(*command: str) -> float:
        best = float("inf")
        for _ in range(7):
            before = os.times().children_user
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            best = min(best, os.times().children_user - before)
        return best

    floor = cost(sys.executable, "-c", "import click")
    ours = cost(sys.executable, "-m", "stemma_cli.main", "--help")
    assert ours <= 2 * floor + 0.02  # the clock ticks in hundredths


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom stemma_cli.main import main\ntry:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'sqlalchemy', 'boto3', 'sigstore', 'alembic', 'cryptography', 'pygit2', "
        "'cyclonedx', 'yaml', 'securesystemslib'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


# What neither a question about what is there nor a sync of tags with nothing new has a use for.
SELDOM = (
    "alembic",
    "boto3",
    "cryptography.x509",
    "cyclonedx",
    "pydantic",
    "rich",
    "securesystemslib",
    "sigstore",
    "sqlalchemy.dialects.postgresql",
    "stemma_registry.catalogue.project",
)
RARE = (
    "stemma_attestations.edges",
    "stemma_attestations.predicates.mlbom",
    "stemma_registry.gate",
    "stemma_registry.lineage",
)


@pytest.mark.parametrize(
    ("arguments", "more"),
    [(["list"], ()), (["tags", "sync"], RARE)],
    ids=["list", "tags"],
)
def test_what_is_not_used_is_not_loaded(
    run: Run, arguments: list[str], more: tuple[str, ...]
) -> None:
    assert run("init").code == 0
    subprocess.run(["git", "tag", "models/m@v1.0.0"], check=True)
    assert "1 claimed" in run("tags", "sync").out
    code = (
        f"import sys\nfrom stemma_cli.main import main\ntry:\n    main({arguments!r})\n"
        f"finally:\n    print('SELDOM', [m for m in {(*SELDOM, *more)!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "SELDOM []" in done.stdout


def test_a_closed_pipe_is_no_traceback(filled: Run) -> None:
    command = f"{sys.executable} -m stemma_cli.main log | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    time.sleep(0)
    assert "Traceback" not in done.stderr
