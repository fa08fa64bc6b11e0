"""What is known of tag objects, kept in the home: a tag object never changes.

Facts only: what it says, and whose signature verifies by the keys and Sigstore roots of one trust
root. What the signer may say is asked anew every time.
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
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.gitsigner import GitSigner
from stemma_attestations.times import Dated, format_time, parse_time
from stemma_registry import files, stat_cache
from stemma_registry.config import LIMITS, Home

FORMAT = "urn:stemma:tag-facts:v0.2"


@dataclass(frozen=True)
class Fact:
    """A ref's object. `name` is the tag's own header, None of a lightweight tag's commit.

    `fault` is why it is no tag of a commit, `by` who signed it, and `why` why a certificate's
    signature is nobody's.
    """

    name: str | None
    commit: str
    time: int | None = None
    tagger: str = ""
    signed: bool = False
    by: GitSigner | None = None
    why: str = ""
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
            _said(self.by),
            self.why,
            self.fault,
        ]


class Keeper:
    """The facts of one repository, as one trust root's keys and roots verify them."""

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


def _said(by: GitSigner | None) -> list[Any] | None:
    """An id; of an identity its document, and the times."""
    if by is None:
        return None
    document = by.certified.encode().decode() if by.certified is not None else None
    return [by.id, document, [[format_time(one.time), str(one.root)] for one in by.signed]]


def _by(values: list[Any] | None) -> GitSigner | None:
    if values is None:
        return None
    name, document, signed = values
    who = Certified.parse(document.encode()) if document is not None else None
    if not isinstance(name, str) or (who is not None and who.id != name):
        raise ValueError("not who signed")
    times = tuple(Dated(parse_time(time), Digest.parse(root)) for time, root in signed)
    return GitSigner(name, who, times)


def _fact(values: list[Any]) -> Fact:
    name, commit, time, tagger, signed, by, why, fault = values
    if not isinstance(commit, str) or type(time) not in (int, type(None)):
        raise ValueError("not a fact")
    return Fact(name, commit, time, tagger, signed, _by(by), why, fault)
