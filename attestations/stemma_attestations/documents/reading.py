"""What all readers of documents share: claims as they are gathered, and JSON without surprises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDocument, BadJSON, BadName
from stemma_attestations.named import parse, within
from stemma_attestations.predicates.imported import MAX_EDGES, Claim

MAX_NOTES = 20


@dataclass
class Reading:
    """What was read: claims, each once, and what was passed over, for people."""

    claims: dict[Claim, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def claim(self, output: Digest | None, relation: str, item: Digest | None, mark: str) -> None:
        """Say that `output` came from `item`; of what names nothing, nothing can be said."""
        if output is None or item is None or output == item:
            return
        self.claims.setdefault(Claim(output, relation, item, mark))
        if len(self.claims) > MAX_EDGES:
            raise BadDocument(f"more than {MAX_EDGES} edges in one document")

    def cross(self, outputs: Iterable[Digest], inputs: Sequence[tuple[str, Digest]]) -> None:
        """Every (relation, input) into every output."""
        made = list(outputs)
        mark = "cartesian" if len(made) > 1 else "exact"
        for output in made:
            for relation, item in inputs:
                self.claim(output, relation, item, mark)

    def note(self, text: str) -> None:
        """Say what was passed over."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    def named(self, text: str) -> Digest | None:
        """A thing by its name, noted where it is none."""
        try:
            return parse(text)
        except BadName as error:
            self.note(str(error))
            return None

    def scoped(self, scheme: str, scope: str, name: str) -> Digest | None:
        """A path or a name in a scope, noted where it is none."""
        try:
            return within(scheme, scope, name)
        except BadName as error:
            self.note(str(error))
            return None


def load(raw: bytes, what: str, limit: int) -> Any:
    """Strict JSON. Raises BadDocument."""
    try:
        return json_strict.loads(raw, max_bytes=limit)
    except BadJSON as error:
        raise BadDocument(f"{what}: {error}") from error


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list; none where it is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def member(value: object, *path: str) -> Any:
    """What stands at a path of names, None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
