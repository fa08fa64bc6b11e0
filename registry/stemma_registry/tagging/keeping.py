"""What is known of tag objects, kept in the home: a tag object never changes.

Facts only: what it says, and whose signature verifies by the keys of one trust root. What the
signer may say is asked anew every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_registry import files, stat_cache
from stemma_registry.config import LIMITS, Home

FORMAT = "urn:stemma:tag-facts:v0.1"


@dataclass(frozen=True)
class Fact:
    """A ref's object. `name` is the tag's own header, None of a lightweight tag's commit.

    `fault` is why it is no tag of a commit, `signer` the id of the key that signed it.
    """

    name: str | None
    commit: str
    time: int | None = None
    tagger: str = ""
    signed: bool = False
    signer: str | None = None
    fault: str = ""

    @property
    def values(self) -> list[Any]:
        """The fields, in their order."""
        return [
            self.name,
            self.commit,
            self.time,
            self.tagger,
            self.signed,
            self.signer,
            self.fault,
        ]


class Keeper:
    """The facts of one repository, as one trust root's keys verify them."""

    def __init__(self, home: Home, repository: str, keys: Digest) -> None:
        name = hashlib.sha256(f"{keys} {repository}".encode()).hexdigest()[:32]
        self._path = home.tags / f"{name}.json"
        self._known, self._folders = self._read()
        self._used: dict[str, Fact] = {}
        self._changed = False

    def recall(self, name: str) -> Fact | None:
        """What is known of the object of that id."""
        fact = self._used.get(name) or self._known.get(name)
        if fact is not None:
            self._used[name] = fact
        return fact

    def note(self, name: str, fact: Fact) -> None:
        """Remember it."""
        self._used[name] = fact
        self._changed = True

    @property
    def folders(self) -> Mapping[str, str]:
        """`COMMIT NAME` -> the manifest of what that commit has of NAME (hex), or nothing."""
        return self._folders

    def note_folder(self, commit: str, name: str, manifest: Digest | None) -> None:
        """Remember which artifact a commit has of a name."""
        self._folders[f"{commit} {name}"] = manifest.value if manifest else ""
        self._changed = True

    def save(self) -> None:
        """Write it down. A home that cannot be written is no error."""
        if not self._changed and len(self._used) == len(self._known):
            return
        document = {
            "format": FORMAT,
            "objects": {name: fact.values for name, fact in self._used.items()},
            "folders": self._folders,
        }
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            stat_cache.forget_old(self._path.parent)
            work = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}")
            try:
                work.write_text(json.dumps(document, ensure_ascii=True))
                os.replace(work, self._path)
                self._changed, self._known = False, dict(self._used)
            finally:
                work.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, Fact], dict[str, str]]:
        """What is written there; nothing where it is another's, or not whole."""
        if files.written_by_others(self._path) is not None:
            return {}, {}
        try:
            raw = self._path.read_bytes()
            document = json_strict.load_object(raw, max_bytes=LIMITS.manifest_bytes)
            if document["format"] != FORMAT:
                return {}, {}
            facts = {name: _fact(values) for name, values in document["objects"].items()}
            folders = document["folders"]
        except (OSError, Malformed, KeyError, TypeError, ValueError, AttributeError):
            return {}, {}
        return facts, folders if isinstance(folders, dict) else {}


def _fact(values: list[Any]) -> Fact:
    fact = Fact(*values)
    if not isinstance(fact.commit, str) or type(fact.time) not in (int, type(None)):
        raise ValueError("not a fact")
    return fact
