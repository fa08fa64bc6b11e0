"""A case: a folder that says what is asked, and what the answer has to be. See README.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stemma_attestations.times import parse_time

BUNDLES = ("bundle.sigstore.json", "bundle.json")
FURTHER = "bundle-*.json"
QUESTION = "case.json"
SHARED_ARTIFACTS = ("artifact", "a.txt")
BEACON = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/"
    "workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
GITHUB = "https://token.actions.githubusercontent.com"
_TEXTS = (
    "identity",
    "issuer",
    "predicate",
    "name",
    "expect",
    "reason",
    "at",
    "make",
    "trusted_root",
)
_LIMITS = ("max_seconds", "max_mib")


class BadCase(Exception):
    """A folder that is no case that can be judged: a mistake of the corpus, never a verdict."""


@dataclass(frozen=True)
class Case:
    """What a folder asks.

    `reason` is text that the refusal must have in it, `at` the time of the question,
    `make` the function that completes the folder at run time, `trusted_root` the path
    of a trusted root that cases share, from the folder. Limits are seconds of CPU and
    MiB of memory. `home` is the folder; of a copy, the one that was copied.
    """

    folder: Path
    home: Path
    expected: bool
    identity: str = BEACON
    issuer: str = GITHUB
    predicate: str | None = None
    name: str | None = None
    reason: str = ""
    at: datetime | None = None
    make: str | None = None
    trusted_root: str | None = None
    max_seconds: float | None = None
    max_mib: float | None = None

    @classmethod
    def read(cls, folder: Path, home: Path | None = None) -> Case:
        """Read a folder; `home` is where it stood before it was copied. Raises BadCase."""
        stood = home or folder
        asked = _asked(folder)
        expected = not stood.name.endswith("_fail")
        if "expect" in asked:
            expected = {"pass": True, "fail": False}[asked.pop("expect")]
        if expected and "reason" in asked:
            raise BadCase("a reason is of a refusal, and the case is to pass")
        for name in ("identity", "issuer"):
            path = folder / name
            if path.exists():
                asked.setdefault(name, path.read_text(encoding="utf-8").strip())
        if "at" in asked:
            asked["at"] = parse_time(asked["at"])
        case = cls(folder, stood, expected, **asked)
        if case.make is None and case.path(*BUNDLES) is None:
            raise BadCase(f"it has no {' or '.join(BUNDLES)}")
        return case

    def path(self, *names: str) -> Path | None:
        """The first of its files that is there."""
        return next((self.folder / name for name in names if (self.folder / name).exists()), None)

    def bundles(self) -> list[bytes]:
        """The bundle, and those beside it. Raises BadCase."""
        path = self.path(*BUNDLES)
        if path is None:
            raise BadCase("there is no bundle")
        return [p.read_bytes() for p in (path, *sorted(self.folder.glob(FURTHER)))]

    def artifact(self) -> bytes:
        """The artifact: its own, else what the corpus shares. Raises BadCase."""
        own = self.path("artifact")
        places = [own] if own else [self.home.parent / name for name in SHARED_ARTIFACTS]
        for place in places:
            if place.is_file():
                return place.read_bytes()
        raise BadCase("there is no artifact, here or in the folder above")

    def optional(self, name: str) -> bytes | None:
        """One of its other files, if it is there."""
        path = self.path(name)
        return path.read_bytes() if path else None

    def root(self) -> bytes | None:
        """The trusted root: its own, or one that cases share. Raises BadCase."""
        path = self.path("trusted_root.json")
        if path is None and self.trusted_root is not None:
            path = self.home / self.trusted_root
        try:
            return path.read_bytes() if path else None
        except OSError as error:
            raise BadCase(f"the trusted root cannot be read: {error}") from error


def _asked(folder: Path) -> dict[str, Any]:
    path = folder / QUESTION
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadCase(f"{QUESTION}: {error}") from error
    if not isinstance(document, dict):
        raise BadCase(f"{QUESTION} is an object")
    for name, value in document.items():
        if name in _TEXTS:
            good = isinstance(value, str) and bool(value)
        else:
            good = name in _LIMITS and type(value) in (int, float) and value > 0
        if not good:
            raise BadCase(f"{QUESTION}: {name!r} is not a field, or not of its type")
    if document.get("expect", "pass") not in ("pass", "fail"):
        raise BadCase(f"{QUESTION}: expect is pass or fail")
    return document


def find(folder: Path) -> Iterator[Path]:
    """The folders of cases in a corpus, sorted: the folder itself, or those below it.

    A folder without folders in it is a case even if it lacks a bundle, so that a case
    whose bundle was lost is seen and not passed over.
    """
    inner = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._")
    here = [folder / name for name in (*BUNDLES, QUESTION)]
    lone = not inner and any(path.is_file() for path in folder.iterdir())
    if lone or any(path.exists() for path in here):
        yield folder
    for path in inner:
        yield from find(path)
