"""`dvc.lock`: what each stage of a DVC pipeline read and wrote, by path and MD5.

https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#dvclock-file . An MD5 identifies
nothing. A file that is there, and is the one the lock means, is its SHA-256; any other is a
path of the project, with the MD5 in its name, so that two states of it are two things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from stemma_attestations import yaml_strict
from stemma_attestations.digest import Digest
from stemma_attestations.documents.reading import Reading, objects
from stemma_attestations.errors import BadDocument

SOURCE = "dvc"
_CODE = (".py", ".ipynb", ".sh", ".r", ".jl", ".cpp", ".rs", ".go")


@dataclass(frozen=True)
class Found:
    """What lies at a path: the digest of its bytes, and the MD5 that DVC would write."""

    digest: Digest
    md5: str


def read(raw: bytes, scope: str, look: Callable[[str], Found | None]) -> Reading:
    """What the lock says. `look` finds what lies at a path of the project, None where nothing.

    Raises BadDocument.
    """
    document = yaml_strict.load(raw, BadDocument)
    stages = document.get("stages") if isinstance(document, dict) else None
    if not isinstance(stages, dict) or str(document.get("schema", "")).split(".")[0] != "2":
        raise BadDocument("dvc.lock has `schema: '2.0'` and `stages`")
    reading = Reading()
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            raise BadDocument(f"the stage {name!r:.60} of dvc.lock is a mapping")
        inputs = [
            (_relation(item), thing)
            for item in objects(stage.get("deps"))
            if (thing := _thing(reading, item, scope, look)) is not None
        ]
        outputs = [_thing(reading, item, scope, look) for item in objects(stage.get("outs"))]
        reading.cross(dict.fromkeys(one for one in outputs if one is not None), inputs)
    return reading


def _relation(item: Mapping[str, Any]) -> str:
    return "built-from" if str(item.get("path", "")).lower().endswith(_CODE) else "derived-from"


def _thing(
    reading: Reading, item: Mapping[str, Any], scope: str, look: Callable[[str], Found | None]
) -> Digest | None:
    path, said = item.get("path"), item.get("md5")
    if not isinstance(path, str) or not path:
        reading.note("a dependency or output without a path")
        return None
    if "://" in path:
        return reading.named(path)
    found = look(path) if isinstance(said, str) else None
    if found is not None:
        if found.md5 == said:
            return found.digest
        reading.note(f"{path}: what lies there is not what the lock means")
    at = f"@md5:{said}" if isinstance(said, str) else ""
    return reading.scoped("path", scope, f"{path}{at}")


def directory_md5(files: Sequence[tuple[str, str]]) -> str:
    """What DVC writes of a directory: (path in it, MD5) of each file."""
    listed = [{"md5": value, "relpath": path} for path, value in sorted(files)]
    text = json.dumps(listed, sort_keys=True).encode()
    return f"{md5(text, usedforsecurity=False).hexdigest()}.dir"
