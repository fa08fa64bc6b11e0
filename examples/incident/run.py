"""A poisoned shard, found, traced, stopped and replaced: `python run.py [--output DIR]`.

Everything happens below DIR, which the demo replaces if it made it, and leaves
behind for you to explore. No network is used.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import story
from transcript import DemoFailed, Transcript

HERE = Path(__file__).resolve().parent
DEFAULT_OUTPUT = HERE.parent.parent / "build" / "demo"
MARKER = ".stemma-demo"
MARKER_TEXT = "Made by examples/incident/run.py, which may delete this folder.\n"
NEEDED = ("numpy", "safetensors", "sklearn", "stemma_cli")


def prepare(output: Path) -> None:
    """An empty folder with the marker. Only a folder that has the marker is replaced."""
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise DemoFailed(f"{output} is not a folder: choose another --output")
    marker = output / MARKER
    if output.exists() and any(output.iterdir()):
        ours = not marker.is_symlink() and marker.is_file()
        if not ours or marker.read_text(encoding="utf-8") != MARKER_TEXT:
            raise DemoFailed(f"{output} was not made by this demo: choose another --output")
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    marker.write_text(MARKER_TEXT, encoding="utf-8")


def environment(output: Path) -> Mapping[str, str]:
    """This environment, without what would make the demo depend on its user."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "STEMMA_"))}
    who = {"NAME": "Demo Trainer", "EMAIL": "trainer@example.org"}
    for role in ("AUTHOR", "COMMITTER"):
        kept.update({f"GIT_{role}_{key}": value for key, value in who.items()})
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        kept[threads] = "1"  # sums of floats are then always taken in one order
    kept |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    kept |= {"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "COLUMNS": "80"}
    return kept | {"STEMMA_HOME": str(output / "home"), "STEMMA_REGISTRY": str(output / "registry")}


def check_installation() -> None:
    """Raises DemoFailed where a package or Git is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoFailed(f"not installed: {', '.join(missing)} (`make demo` installs them)")
    if shutil.which("git") is None:
        raise DemoFailed("git is not installed")


def explore(output: Path, seconds: float) -> None:
    """Say how to go on by hand."""
    command = Path(sys.executable).with_name("stemma")
    found = f"export PATH={shlex.quote(str(command.parent))}:$PATH"
    if not command.exists():
        found = f"alias stemma='{shlex.quote(sys.executable)} -P -m stemma_cli.main'"
    print("\nExplore it yourself\n-------------------\n")
    print(f"  {found}")
    for name in ("home", "registry"):
        print(f"  export STEMMA_{name.upper()}={shlex.quote(str(output / name))}")
    print(
        f"""
  stemma list
  stemma show {story.SOUP_2}
  stemma trace {story.SOUP_2} --up
  stemma log data/digits-shard-f:1
  stemma quarantine data/digits-shard-a:1 --reason 'what if?' --dry-run

Every command the demo ran is in
  {output / "commands.log"}

The demo took {seconds:.0f} seconds. Everything went as told."""
    )


def play(output: Path) -> None:
    """Raises DemoFailed."""
    started = time.monotonic()
    check_installation()
    prepare(output)
    training = output / "training"
    shutil.copytree(HERE / "training", training, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("inputs", "outputs"):
        (training / folder).mkdir()
    print("One poisoned shard\n==================")
    print(f"\nA story told with real commands, below {output}")
    story.tell(Transcript(training, environment(output), output / "commands.log"), HERE)
    explore(output, time.monotonic() - started)


def main() -> int:
    """Command line; the exit code is 0 only when everything went as told."""
    parser = argparse.ArgumentParser(description="Stemma's demo: one poisoned shard.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR")
    output = Path(os.path.abspath(parser.parse_args().output))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode is no failure
    try:
        play(output)
    except (DemoFailed, OSError) as failure:
        sys.stdout.flush()
        print(f"\ndemo failed: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
