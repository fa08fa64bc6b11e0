"""Which predicate types may be said about which names, and by how many together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.errors import BadName, BadTrustRoot
from stemma_attestations.names import check_pattern, name_matches

MAX_PRINCIPALS = 100
_NUMBER = re.compile(r"[1-9][0-9]{0,2}\Z", re.ASCII)


@dataclass(frozen=True)
class Grant:
    """Predicate types (or `*`) that may be said about names that match a pattern."""

    predicates: tuple[str, ...]
    names: tuple[str, ...]

    def covers(self, predicate_type: str, name: str | None) -> bool:
        """Whether it covers the claim. Only `**` covers what has no name."""
        patterns = self.patterns(predicate_type)
        if name is None:
            return "**" in patterns
        return any(name_matches(pattern, name) for pattern in patterns)

    def patterns(self, predicate_type: str) -> tuple[str, ...]:
        """The names about which that may be said."""
        allowed = predicate_type in self.predicates or "*" in self.predicates
        return self.names if allowed else ()


@dataclass(frozen=True)
class Threshold:
    """What it covers counts for a *yes* only when that many distinct principals said it.

    What stops an artifact never needs more than one: a threshold makes a yes harder,
    and nothing else.
    """

    about: Grant
    principals: int


def parse_grant(obj: object, where: str, more: Collection[str] = ()) -> Grant:
    """Read `{predicates, names}`; `more` are further fields that it may have.

    Raises BadTrustRoot.
    """
    if not isinstance(obj, dict):
        raise BadTrustRoot(f"{where} is {{{', '.join(('predicates', 'names', *more))}}}")
    only(obj, {"predicates", "names", *more}, where)
    names = _texts(obj.get("names"), where, "names")
    try:
        patterns = tuple(check_pattern(name) for name in names)
    except BadName as error:
        raise BadTrustRoot(f"{where}: {error}") from error
    return Grant(_texts(obj.get("predicates"), where, "predicates"), patterns)


def parse_threshold(obj: object, where: str) -> Threshold:
    """Read `{predicates, names, principals}`. Raises BadTrustRoot."""
    grant = parse_grant(obj, where, ("principals",))
    # Our YAML leaves numbers as they are written.
    count = obj.get("principals") if isinstance(obj, dict) else None
    if not isinstance(count, str) or not _NUMBER.match(count) or int(count) > MAX_PRINCIPALS:
        raise BadTrustRoot(f"{where}: `principals` is a number from 1 to {MAX_PRINCIPALS}")
    return Threshold(grant, int(count))


def needed(thresholds: Iterable[Threshold], predicate_type: str, name: str | None) -> int:
    """How many principals must have said it: the most that any threshold asks for."""
    counts = (t.principals for t in thresholds if t.about.covers(predicate_type, name))
    return max(counts, default=1)


def distinct(voices: Iterable[Collection[str]]) -> int:
    """How many principals surely spoke, where each voice may be that of several.

    Voices that may be of one principal count once, also by way of a third: whoever
    answers to two names is nobody's second.
    """
    return len(groups(voices))


def groups(voices: Iterable[Collection[str]]) -> list[set[str]]:
    """The same voices: those that may be of one principal together, each such group's names."""
    found: list[set[str]] = []
    for voice in voices:
        if not voice:
            continue
        joined = set(voice)
        apart = []
        for group in found:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        found = [*apart, joined]
    return found


def check_principals(principals: Iterable[str]) -> None:
    """Refuse two principals whom only a lawyer could tell apart. Raises BadTrustRoot."""
    seen: dict[str, str] = {}
    for principal in principals:
        folded = " ".join(unicodedata.normalize("NFKC", principal).casefold().split())
        other = seen.setdefault(folded, principal)
        if other != principal:
            raise BadTrustRoot(
                f"trust root: the principals {other!r:.60} and {principal!r:.60} look like one: "
                "write one person's name in one way"
            )


def only(obj: Mapping[Any, Any], fields: Collection[str], where: str) -> None:
    """Refuse fields that are not known. Raises BadTrustRoot."""
    unknown = [str(key) for key in obj if key not in fields]
    if unknown:
        raise BadTrustRoot(f"{where}: unknown field {unknown[0]!r:.40}")


def _texts(value: object, where: str, field: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise BadTrustRoot(f"{where}: `{field}` is a list of texts")
    return tuple(value)
