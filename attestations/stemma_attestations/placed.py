"""Values that know where they stand in a file, so that a mistake is found by its line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from stemma_attestations.errors import Malformed
from stemma_attestations.times import parse_duration

_INTEGER = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?\Z", re.ASCII)


@dataclass(frozen=True)
class Placed:
    """A value of a YAML file: text, a bool, nothing, a list or a mapping of such values.

    `line` counts from 1, `path` is how people find it (`rules[2].names`). Everything
    here raises `error` with both.
    """

    value: Any
    line: int
    path: str
    error: type[Malformed]

    def fail(self, text: str) -> NoReturn:
        """Refuse the file because of this value."""
        where = f"line {self.line}: " + (f"`{self.path}`: " if self.path else "")
        raise self.error(where + text)

    def fields(
        self, known: Collection[str], required: Collection[str] = ()
    ) -> Mapping[str, Placed]:
        """The fields of a mapping that has these and no others."""
        if not isinstance(self.value, dict):
            self.fail(f"a mapping of {', '.join(known)} is expected")
        for name, item in self.value.items():
            if name not in known:
                item.fail(f"unknown field (there are {', '.join(known)})")
        for name in required:
            if name not in self.value:
                self.fail(f"`{name}` is missing")
        return self.value

    def items(self) -> list[Placed]:
        """The items of a list."""
        if not isinstance(self.value, list):
            self.fail("a list is expected")
        return self.value

    def text(self) -> str:
        """A text that can be printed, and is not empty."""
        if not isinstance(self.value, str) or not self.value or not self.value.isprintable():
            self.fail("a text is expected")
        return self.value

    def texts(self) -> tuple[str, ...]:
        """A list of different texts, one at least."""
        found = tuple(item.text() for item in self.items())
        if not found or len(set(found)) != len(found):
            self.fail("a list of different texts is expected, one at least")
        return found

    def choice(self, *known: str) -> str:
        """One of some words."""
        if self.value not in known:
            self.fail(f"one of {', '.join(known)} is expected")
        return self.text()

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.fail("true or false is expected")
        return self.value

    def integer(self, low: int, high: int) -> int:
        """A number without a point, from `low` to `high`."""
        written = isinstance(self.value, str) and _INTEGER.match(self.value)
        if not written or not low <= int(self.value) <= high:
            self.fail(f"a whole number from {low} to {high} is expected")
        return int(self.value)

    def decimal(self) -> float:
        """A number as people write one: 0.93."""
        if not isinstance(self.value, str) or not _DECIMAL.match(self.value):
            self.fail("a number is expected (0.93)")
        return float(self.value)

    def length(self) -> timedelta:
        """A length of time: 15m."""
        try:
            return parse_duration(self.text())
        except Malformed as cause:
            self.fail(str(cause))
