"""The wheel: what is in it, and that it works where nothing else is."""

from __future__ import annotations

import email
import email.message
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from stemma_attestations import __version__
from tests.architecture import house
from tests.once import Once

ROOT = Path(__file__).resolve().parents[2]
# What an environment has before anything is installed.
BASE = {"pip", "setuptools", "wheel"}
# Variables of the environment that runs the tests, which would lead the new one back here.
OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")


def outside() -> dict[str, str]:
    """The environment without what points at the environment that runs the tests.

    The fixtures that install are module-wide, so they still have the user's own
    settings (index, cache), which no single test sees.
    """
    return {name: value for name, value in os.environ.items() if name not in OURS}


def run(*command: str | Path, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def done(*command: str | Path, cwd: Path, env: dict[str, str]) -> str:
    """The output of a command that must succeed."""
    ran = run(*command, cwd=cwd, env=env)
    assert ran.returncode == 0, f"{command}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(once: Once) -> Path:
    """The wheel, built from the work tree by the pinned back end."""

    def build() -> Path:
        target = once.folder("the wheel")
        command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target)
        done(*command, ROOT, cwd=target, env=outside())
        (built,) = target.glob("*.whl")
        return built

    return once.make("the wheel", build)


@pytest.fixture(scope="module")
def contents(wheel: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheel) as archive:
        yield archive


@pytest.fixture(scope="module")
def python(wheel: Path, once: Once) -> Path:
    """The interpreter of an empty environment into which only the wheel was installed."""

    def install() -> Path:
        place = once.folder("where the wheel is installed")
        venv.create(place / "env", with_pip=True, symlinks=True)
        interpreter = place / "env" / "bin" / "python"
        pip = (interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        # Compiling what is run four times takes longer than running it uncompiled.
        constraints = ("--no-compile", "--constraint", ROOT / "constraints.txt")
        done(*pip, *constraints, wheel, cwd=place, env=outside())
        return interpreter

    return once.make("where the wheel is installed", install)


def test_contents_are_the_four_packages_and_nothing_else(contents: zipfile.ZipFile) -> None:
    sources = {
        str(path.relative_to(ROOT / folder))
        for folder, package in house.ROOTS.items()
        for path in (ROOT / folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    information = f"stemma_registry-{__version__}.dist-info/"
    packed = {name for name in contents.namelist() if not name.startswith(information)}
    assert packed == sources


@pytest.mark.parametrize(
    "name",
    [
        *(f"{package}/py.typed" for package in house.ROOTS.values()),
        "stemma_migrations/env.py",
        "stemma_migrations/script.py.mako",
        "stemma_migrations/versions/v0001_first.py",
        "stemma_migrations/versions/v0002_collecting.py",
        "stemma_migrations/versions/v0003_compact.py",
        "stemma_migrations/versions/v0004_dated.py",
        "stemma_migrations/versions/v0005_stages.py",
        "stemma_migrations/versions/v0006_deployed.py",
        "stemma_migrations/versions/v0007_edges.py",
        "stemma_migrations/versions/v0008_packages.py",
        "stemma_migrations/versions/v0009_acts.py",
        "stemma_migrations/versions/v0010_record_index.py",
        "stemma_migrations/versions/v0011_tensors.py",
        "stemma_cli/main.py",
        f"stemma_registry-{__version__}.dist-info/licenses/LICENSE",
    ],
)
def test_contents_have(contents: zipfile.ZipFile, name: str) -> None:
    assert name in contents.namelist()


def test_contents_are_described(contents: zipfile.ZipFile) -> None:
    information = f"stemma_registry-{__version__}.dist-info"
    text = contents.read(f"{information}/METADATA").decode()
    metadata: email.message.Message = email.message_from_string(text)
    assert metadata["Name"] == "stemma-registry"
    assert metadata["Version"] == __version__
    assert set(metadata["Requires-Python"].split(",")) == {">=3.11", "<3.14"}
    assert metadata["License-Expression"] == "Apache-2.0"
    assert str(metadata.get_payload()).strip()
    scripts = contents.read(f"{information}/entry_points.txt").decode()
    assert scripts.split() == ["[console_scripts]", "stemma", "=", "stemma_cli.main:main"]


def test_installs_what_is_pinned_and_nothing_else(python: Path, tmp_path: Path) -> None:
    pinned = {
        line.partition(" ")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    listed = done(python, "-m", "pip", "list", "--format=freeze", cwd=tmp_path, env=outside())
    pairs = [line.partition("==") for line in listed.splitlines()]
    installed = {f"{canonicalize_name(name)}=={version}" for name, _, version in pairs}
    loose = {line for line in installed - pinned if line.partition("==")[0] not in BASE}
    assert loose == {f"stemma-registry=={__version__}"}
    done(python, "-m", "pip", "check", cwd=tmp_path, env=outside())


def test_works_where_nothing_else_is(python: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "STEMMA_HOME": str(tmp_path / "home")}
    stemma = python.parent / "stemma"
    for package in house.ROOTS.values():
        where = f"import {package}; print({package}.__file__)"
        file = done(python, "-c", where, cwd=elsewhere, env=env).strip()
        assert Path(file).is_relative_to(python.parents[1])

    assert "quarantine" in done(stemma, "--help", cwd=elsewhere, env=env)
    assert __version__ in done(stemma, "--version", cwd=elsewhere, env=env)
    done(stemma, "init", cwd=elsewhere, env=env)
    done(stemma, "db", "upgrade", cwd=elsewhere, env=env)
    done(stemma, "db", "check", cwd=elsewhere, env=env)
    assert run(stemma, "show", "no/such:v1", cwd=elsewhere, env=env).returncode == 3
    assert run(stemma, "no-such-command", cwd=elsewhere, env=env).returncode == 2
    assert list(elsewhere.iterdir()) == []
