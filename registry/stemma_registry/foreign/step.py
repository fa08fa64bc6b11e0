"""Making the link of a step: what it used, what it made, which command it was, signed.

By in-toto's run library. The command has the terminal to itself: what it prints is not
recorded, since a link is kept for ever and an output may hold anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma_attestations.errors import BadName
from stemma_registry.errors import AlreadyThere, NotFound, Refused
from stemma_registry.foreign.links import reason
from stemma_registry.signing import KeyHolder, KeySigner
from stemma_registry.signing.remote import RemoteSigner

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


@dataclass(frozen=True)
class Task:
    """A step: its name in the layout, paths that it uses and makes, and its command."""

    name: str
    materials: Sequence[str]
    products: Sequence[str]
    command: Sequence[str]


@dataclass(frozen=True)
class Ran:
    """How the command ended, and the link of a step that was done: its file and bytes."""

    code: int
    path: Path | None
    raw: bytes


def run(task: Task, signer: KeyHolder, directory: Path, stdout: int | None = None) -> Ran:
    """Run a step's command in the working directory; its link goes into `directory`.

    A command that fails leaves no link: the step was not done. Paths are recorded as they
    are given, relative to the working directory, files in directories too. `stdout` is a
    descriptor for what the command prints. Raises BadName, NotFound, Refused, AlreadyThere.
    """
    if not _NAME.match(task.name):
        raise BadName(f"{task.name!r:.60} is not the name of a step (letters, digits, . _ -)")
    lacking = next((path for path in task.materials if not os.path.exists(path)), None)
    if lacking is not None:
        raise NotFound(f"no material at {lacking}")
    key = _library_signer(signer)
    target = directory / _file_name(task.name, key.public_key.keyid)
    if os.path.lexists(target):
        raise AlreadyThere(f"{target} exists: attach it or move it away")
    before = _recorded(task.materials)
    try:
        code = subprocess.run(list(task.command), stdout=stdout, check=False).returncode  # noqa: S603
    except FileNotFoundError as error:
        raise NotFound(f"no command {task.command[0]:.200}") from error
    except OSError as error:
        raise Refused(f"cannot run {task.command[0]:.200}: {error.strerror}") from error
    if code != 0:
        return Ran(code if code > 0 else 128 - code, None, b"")
    lacking = next((path for path in task.products if not os.path.exists(path)), None)
    if lacking is not None:
        raise NotFound(f"the step made no {lacking}")
    return Ran(0, target, _write(task, before, key, target))


def _write(task: Task, before: Any, key: Any, target: Path) -> bytes:
    """Sign the link and put it at its place, whole or not at all; its bytes."""
    from in_toto.models.link import Link  # type: ignore[import-untyped]
    from in_toto.models.metadata import Metablock  # type: ignore[import-untyped]

    link = Link(
        name=task.name,
        materials=before,
        products=_recorded(task.products),
        command=list(task.command),
        byproducts={"stdout": "", "stderr": "", "return-value": 0},
        environment={},
    )
    try:
        metadata = Metablock(signed=link)
        metadata.create_signature(key)
        with tempfile.TemporaryDirectory(prefix=".stemma-", dir=target.parent) as folder:
            metadata.dump(f"{folder}/link")
            shutil.move(f"{folder}/link", target)
    except Exception as error:
        raise Refused(f"the link cannot be written: {reason(error)}") from error
    return target.read_bytes()


def _recorded(paths: Sequence[str]) -> Any:
    """Every file at or below the paths, with its SHA-256, as in-toto records them."""
    from in_toto.runlib import record_artifacts_as_dict  # type: ignore[import-untyped]

    try:
        return record_artifacts_as_dict(list(paths), follow_symlink_dirs=True)
    except Exception as error:
        raise Refused(f"cannot record {', '.join(paths)[:200]}: {reason(error)}") from error


def _library_signer(signer: KeyHolder) -> Any:
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

    if isinstance(signer, RemoteSigner):
        return signer.backend
    if not isinstance(signer, KeySigner):
        raise Refused("this signer cannot sign a link: --sign key:FILE, hsm:ID, ...")
    try:
        return CryptoSigner(signer.private)
    except Exception as error:
        raise Refused(f"this key cannot sign a link: {reason(error)}") from error


def _file_name(step: str, keyid: str) -> str:
    from in_toto.models.link import FILENAME_FORMAT

    return str(FILENAME_FORMAT.format(step_name=step, keyid=keyid))
