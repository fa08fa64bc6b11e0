"""What is committed: no place of one machine, no index address, and pins that are complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture import house
from tests.programs import require_program

ROOT = Path(__file__).resolve().parents[2]

# Written in pieces, or this file would be the first that is refused.
_FOLDERS = ("wo" + "rk", "ro" + "ot", "tm" + "p", "op" + "t", "mn" + "t")
_HOSTS = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "deb.deb" + "ian.org",
    "security.deb" + "ian.org",
    "proxy.go" + "lang.org",
    "crates" + ".io",
    "simple/" + "index",
)
_OTHERS = ("fa" + "rm-bench", "fa" + "rm-studio", "/.lib" + "rary", "." + "pyenv")
# A folder counts at the start of a path only: in `https://host/a/b` or `docs/a` it names nothing.
MACHINE_PATH = re.compile(
    rb"(?<![\w./~$}%-])/(?:"
    + "|".join(_FOLDERS).encode()
    + rb")(?=/[\w.])(?!/models\b)",  # KServe's folder
)
INDEX = re.compile("|".join(map(re.escape, (*_HOSTS, *_OTHERS))).encode(), re.IGNORECASE)
PIN = re.compile(r"[a-z0-9][a-z0-9-]*==[^\s;@/]+( ; [^@/]+)?")


def committed(root: Path) -> list[Path]:
    """What is in the repository, and what is about to be."""
    git = require_program("git")
    done = subprocess.run(
        [git, "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    return [root / name for name in names if (root / name).is_file()]


def traces(path: Path) -> list[str]:
    """The places and hosts a file names, with their lines."""
    return [
        f"{path}:{number}: {match.group().decode()}"
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        for pattern in (MACHINE_PATH, INDEX)
        for match in pattern.finditer(line)
    ]


def test_no_file_names_this_machine_or_an_index() -> None:
    files = committed(ROOT)
    assert ROOT / "pyproject.toml" in files
    found = [trace for path in files for trace in traces(path)]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "text",
    [
        "path = '/" + "wo" + "rk/main'",
        "see /" + "tm" + "p/x.log",
        "#!/" + "ro" + "ot/bin/python",
        "--index-url https://py" + "pi.org/simple",
        "(FILES.PYTHON" + "HOSTED.ORG)",
        "a/." + "pyenv/b",
    ],
)
def test_traces_are_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(f"first line\n{text}\n")
    found = traces(tmp_path / "file")
    assert len(found) == 1
    assert found[0].startswith(f"{tmp_path / 'file'}:2: ")


@pytest.mark.parametrize(
    "text", ["examples/wo" + "rk/a", "https://a.b/ro" + "ot/x", "$HOME/x", "/"]
)
def test_other_text_is_no_trace(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    assert traces(tmp_path / "file") == []


def pins() -> dict[str, list[str]]:
    """Distribution -> its pinned lines; one for each marker."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            found.setdefault(line.partition("==")[0], []).append(line)
    return found


def requirements() -> list[Requirement]:
    """All that pyproject.toml asks for, extras and the build back end included."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *document["build-system"]["requires"]]
    return [Requirement(text) for text in [*wanted, *(one for extra in extras for one in extra)]]


def test_constraints_are_pins_and_nothing_else() -> None:
    lines = [line for group in pins().values() for line in group]
    assert lines
    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_everything_asked_for_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    for wanted in requirements():
        lines = pinned.get(canonicalize_name(wanted.name), [])
        assert lines, f"constraints.txt does not pin {wanted.name}"
        for line in lines:
            version = line.partition("==")[2].partition(" ")[0]
            assert wanted.specifier.contains(version), f"{line} is outside {wanted}"


def test_dependencies_have_lower_bounds() -> None:
    unbounded = [
        str(wanted)
        for wanted in requirements()
        if not any(bound.operator in (">=", "~=", "==") for bound in wanted.specifier)
    ]
    assert unbounded == []


@pytest.mark.parametrize("folder", house.ROOTS)
def test_ruff_refuses_the_folder_names(folder: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--select",
            "TID251",
            "--stdin-filename",
            "a.py",
            "-",
        ],
        input=f"from {folder} import x\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1, done.stderr
    assert "TID251" in done.stdout


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
