"""What a command is run on: one artifact, several that are named, or the members of a lock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stemma_attestations.errors import Malformed
from stemma_attestations.lock import Lock
from stemma_registry.blobs.streams import Progress
from stemma_registry.gate import Terms
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.serving.asking import Approved, Question, approve
from stemma_registry.serving.private import PrivateDirectory
from stemma_registry.serving.sets import approve_set
from stemma_registry.serving.verified import MODEL, fetch_for

MAIN = "path"  # what the first of a set is called in the command; of a lock, the folder of all
SET = "set"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")


@dataclass(frozen=True)
class Served:
    """A set that is verified together: what `{path}` and each `{NAME}` of a command stand for.

    The members of a `lock` are in one folder, which is `{path}`, each under its word.
    """

    questions: Mapping[str, Question]
    lock: Lock | None = None

    @classmethod
    def of(cls, main: Question, also: Sequence[str]) -> Served:
        """The main question, and each NAME=REF. Raises Malformed."""
        found = {MAIN: main}
        for text in also:
            name, separator, reference = text.partition("=")
            if not separator or not _NAME.match(name) or name in (MAIN, MODEL):
                raise Malformed(
                    f"{text!r:.80} is not NAME=REF with a NAME of small letters, digits and _ "
                    f"(and none of {MAIN}, {MODEL})"
                )
            if name in found:
                raise Malformed(f"{name} is there twice")
            found[name] = Question(reference, terms=main.terms)
        return cls(found)

    @classmethod
    def locked(cls, lock: Lock, terms: Terms) -> Served:
        """The members of a lock, as they are stored."""
        questions = {
            member.word: Question(str(member.name), terms=replace(terms, locked=member))
            for member in lock.members
        }
        return cls(questions, lock)

    @property
    def names(self) -> tuple[str, ...]:
        """What may stand in braces in a command."""
        return tuple(dict.fromkeys((MAIN, *self.questions)))

    def check(self, command: Sequence[str]) -> None:
        """Raise Malformed where the command is not told where something is."""
        if self.lock is not None and _has(command, MAIN):
            return
        for name, question in self.questions.items():
            if not _has(command, name):
                whole = " (or {path}: the folder of all)" if self.lock is not None else ""
                raise Malformed(
                    f"the command has no {{{name}}}: write it where the command takes "
                    f"the directory of {question.subject}{whole}"
                )

    def fill(self, command: Sequence[str], places: Mapping[str, Path]) -> list[str]:
        """The command with every {NAME} replaced, once: what comes in is not looked at again."""
        pattern = re.compile("|".join(re.escape("{" + name + "}") for name in self.names))
        return [pattern.sub(lambda found: str(places[found[0][1:-1]]), part) for part in command]

    def approve(
        self, registry: Registry, view: Snapshot, progress: Progress | None
    ) -> list[Approved]:
        """A yes to every question, in their order. Raises as the gate."""
        if self.lock is not None:
            return approve_set(registry, view, self.questions, progress)
        return approve(registry, view, list(self.questions.values()), progress)

    def put(
        self,
        private: PrivateDirectory,
        registry: Registry,
        approved: Sequence[Approved],
        progress: Progress | None,
    ) -> dict[str, Path]:
        """Copy what was approved, and say what each of `names` stands for."""
        trees = list(zip(self.questions, approved, strict=True))
        if self.lock is None:
            return {
                name: private.put(
                    MODEL if name == MAIN else name,
                    one.manifest,
                    fetch_for(registry, one),
                    progress,
                )
                for name, one in trees
            }
        with private.folder(SET) as root:
            places = {
                word: private.put(f"{SET}/{word}", one.manifest, fetch_for(registry, one), progress)
                for word, one in trees
            }
        return {**places, MAIN: root}


def _has(command: Sequence[str], name: str) -> bool:
    return any("{" + name + "}" in part for part in command)
