"""What lies where an artifact should be, and how that is not the artifact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.manifest import Entry, Manifest


@dataclass(frozen=True)
class Observed:
    """What was found where the artifact should be.

    `oddities` are paths that are not regular files, or could not be read, with
    what they are instead. So many were `unread`: they look as they did when they were
    read, the first of them at `since`.
    """

    entries: tuple[Entry, ...]
    oddities: tuple[tuple[str, str], ...] = ()
    unread: int = 0
    since: datetime | None = None


def differences(expected: Manifest, observed: Observed) -> tuple[str, ...]:
    """Every way in which the observed tree is not the expected one, a line each."""
    return tuple(f"{path}: {what}" for path, what in deviations(expected, observed))


def deviations(expected: Manifest, observed: Observed) -> tuple[tuple[str, str], ...]:
    """The same, each as the path and what is wrong with it."""
    found = {entry.path: entry for entry in observed.entries}
    odd = dict(observed.oddities)
    lines = list(observed.oddities)
    missing = [e for e in expected.entries if e.path not in found and e.path not in odd]
    extra = {p: e for p, e in found.items() if p not in expected.by_path}
    for entry in expected.entries:
        other = found.get(entry.path)
        if other is not None and other.sha256 != entry.sha256:
            lines.append((entry.path, f"changed ({_contrast(entry, other)})"))
    for entry in missing:
        twin = next((p for p, e in extra.items() if e.sha256 == entry.sha256), None)
        if twin is None:
            lines.append((entry.path, "missing"))
        else:
            del extra[twin]
            lines.append((entry.path, f"renamed to {twin}"))
    lines.extend((path, "not in the manifest") for path in extra)
    return tuple(lines)


def _contrast(expected: Entry, found: Entry) -> str:
    if expected.size != found.size:
        return f"{expected.size} bytes expected, {found.size} found"
    return f"{expected.sha256.short} expected, {found.sha256.short} found"
