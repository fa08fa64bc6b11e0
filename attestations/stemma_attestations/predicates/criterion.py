"""What a status stops by a rule, not by digest: a signer in a window, a name, a package, records.

The subject of such a status is the SHA-256 of the criterion's canonical JSON. A kind of
criterion that is not known is refused, so that nothing is decided where it is believed.
See docs/formats/status.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadName, BadStatement, Malformed
from stemma_attestations.names import (
    NameVersion,
    check_name,
    check_pattern,
    check_version,
    name_matches,
)
from stemma_attestations.packages import Wanted
from stemma_attestations.predicates import record_index
from stemma_attestations.times import Window, format_time, parse_time

SIGNER = "signer"
NAME = "name"
PACKAGE = "package"
RECORDS = "records"
EVERYTHING = ("**",)
MAX_NAMES = 100
MAX_TEXT = 2_000
MAX_SETS = 100
_KEY = re.compile(r"[0-9a-f]{64}\Z")
_MAX_INT = 2**53


@dataclass(frozen=True)
class Distrusted:
    """A signer in a window of time: exactly one of `key`, `identity` and `principal` says who.

    `key` is the id of a key (hex), `identity` an issuer and a subject, `principal` as a trust
    root calls it. The window is [since, until); None: no such end. `names` are patterns.
    """

    key: str | None = None
    identity: tuple[str, str] | None = None
    principal: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    names: tuple[str, ...] = EVERYTHING

    def holds(self, time: datetime | None) -> bool:
        """Whether a signature that provably existed at `time` (None: not known) is inside."""
        return Window(self.since, self.until).holds(time)

    def is_about(self, name: str | None) -> bool:
        """Whether statements about that name are meant; about no name, only by `**`."""
        if name is None:
            return "**" in self.names
        return any(name_matches(pattern, name) for pattern in self.names)

    @property
    def label(self) -> str:
        """Who it is, for people."""
        if self.key is not None:
            return f"key {self.key[:12]}"
        return f"identity {self.identity[1]}" if self.identity else str(self.principal)

    @property
    def window(self) -> str:
        """When, for people."""
        if self.since is None and self.until is None:
            return "at any time"
        start = f"from {format_time(self.since)} " if self.since else ""
        return f"{start}until {format_time(self.until)}" if self.until else start.strip()

    def document(self) -> dict[str, Any]:
        """The criterion, as it is signed."""
        found: dict[str, Any] = {"type": SIGNER}
        if self.key is not None:
            found["key"] = self.key
        if self.identity is not None:
            found["identity"] = {"issuer": self.identity[0], "subject": self.identity[1]}
        if self.principal is not None:
            found["principal"] = self.principal
        found |= {"from": format_time(self.since)} if self.since else {}
        found |= {"until": format_time(self.until)} if self.until else {}
        return found if self.names == EVERYTHING else found | {"names": list(self.names)}


@dataclass(frozen=True)
class Retired:
    """A name that is to mean nothing any more; with `version`, one version of it."""

    name: str
    version: str | None = None

    def is_about(self, name: NameVersion) -> bool:
        """Whether it is that one."""
        return self.name == name.name and self.version in (None, name.version)

    @property
    def label(self) -> str:
        """NAME or NAME:VERSION."""
        return self.name if self.version is None else f"{self.name}:{self.version}"

    def document(self) -> dict[str, Any]:
        """The criterion, as it is signed."""
        found = {"type": NAME, "name": self.name}
        return found if self.version is None else {**found, "version": self.version}


@dataclass(frozen=True)
class Packaged:
    """Whatever has some versions of a package, as a believed BOM of it says."""

    wanted: Wanted

    @property
    def label(self) -> str:
        """The package, for people."""
        return str(self.wanted)

    def document(self) -> dict[str, Any]:
        """The criterion, as it is signed."""
        found = {"type": PACKAGE, "package": self.wanted.name}
        return {**found, "versions": self.wanted.versions} if self.wanted.versions else found


@dataclass(frozen=True)
class Recorded:
    """Whatever has any of some records, as a believed record index of it says.

    `sets` are blobs by the id of the record key they are hashed with: the hashes, ascending, 8
    bytes each. `count` says how many records there are, and `searched` is the ledger entry up to
    which whoever signs has looked for them.
    """

    canonical: str
    fields: tuple[str, ...] | None
    count: int
    searched: int
    sets: tuple[tuple[str, Digest], ...]

    @property
    def label(self) -> str:
        """What is met, for people."""
        which = subject(self).value[:12]
        return f"any of {self.count} record{'s' if self.count != 1 else ''} ({which})"

    def document(self) -> dict[str, Any]:
        """The criterion, as it is signed."""
        return {
            "type": RECORDS,
            "canonical": self.canonical,
            "fields": None if self.fields is None else list(self.fields),
            "count": self.count,
            "searched": self.searched,
            "sets": [{"key": key, "sha256": blob.value} for key, blob in self.sets],
        }


Criterion = Distrusted | Retired | Packaged | Recorded


def encode(criterion: Criterion) -> bytes:
    """Canonical JSON."""
    return canonical.dumps(criterion.document())


def subject(criterion: Criterion) -> Digest:
    """What stands for it as the subject of a statement."""
    return Digest.of(encode(criterion))


@lru_cache(maxsize=1_000)  # every verdict reads those in force
def load(text: str) -> Criterion:
    """Read what `encode` wrote. Raises BadStatement."""
    return parse(json_strict.load_object(text.encode()))


def parse(value: object) -> Criterion:
    """Read a criterion. Raises BadStatement, also for a kind that is not known."""
    if not isinstance(value, dict):
        raise BadStatement("a criterion is an object")
    try:
        if value.get("type") == SIGNER:
            return _distrusted(value)
        if value.get("type") == NAME:
            return _retired(value)
        if value.get("type") == PACKAGE:
            return _packaged(value)
        if value.get("type") == RECORDS:
            return _recorded(value)
    except (BadDigest, BadName, Malformed) as error:
        raise BadStatement(f"criterion: {error}") from error
    raise BadStatement(f"unknown criterion {value.get('type')!r:.40}")


def _distrusted(value: Mapping[str, Any]) -> Distrusted:
    _only(value, ("type", "key", "identity", "principal", "from", "until", "names"))
    if sum(field in value for field in ("key", "identity", "principal")) != 1:
        raise BadStatement("a signer is a key, an identity or a principal, one of these")
    key, principal = _maybe(value, "key"), _maybe(value, "principal")
    if key is not None and not _KEY.match(key):
        raise BadStatement("the id of a key is 64 hex digits")
    since, until = _maybe(value, "from"), _maybe(value, "until")
    found = Distrusted(
        key,
        _identity(value["identity"]) if "identity" in value else None,
        principal,
        parse_time(since) if since is not None else None,
        parse_time(until) if until is not None else None,
        _names(value.get("names", list(EVERYTHING))),
    )
    if found.since and found.until and found.since >= found.until:
        raise BadStatement("the window is empty")
    return found


def _retired(value: Mapping[str, Any]) -> Retired:
    _only(value, ("type", "name", "version"))
    name, version = _maybe(value, "name"), _maybe(value, "version")
    if name is None:
        raise BadStatement("which name is not said")
    return Retired(check_name(name), check_version(version) if version is not None else None)


def _packaged(value: Mapping[str, Any]) -> Packaged:
    _only(value, ("type", "package", "versions"))
    name, versions = _maybe(value, "package"), _maybe(value, "versions")
    if name is None:
        raise BadStatement("which package is not said")
    return Packaged(Wanted.of(name, versions or ""))


def _recorded(value: Mapping[str, Any]) -> Recorded:
    _only(value, ("type", "canonical", "fields", "count", "searched", "sets"))
    form, sets, fields = _maybe(value, "canonical"), value.get("sets"), value.get("fields")
    if form is None:
        raise BadStatement("in which canonical form records are is not said")
    if not isinstance(sets, list) or not 0 < len(sets) <= MAX_SETS:
        raise BadStatement(f"records are in 1 to {MAX_SETS} sets")
    found = Recorded(
        form,
        None if fields is None else _texts(fields, record_index.MAX_FIELDS),
        _count(value, "count"),
        _count(value, "searched"),
        tuple(map(_set, sets)),
    )
    if len({key for key, _ in found.sets}) < len(found.sets):
        raise BadStatement("of each record key there is one set")
    return found


def _set(value: object) -> tuple[str, Digest]:
    if not isinstance(value, dict):
        raise BadStatement("a set of records is {key, sha256}")
    _only(value, ("key", "sha256"))
    key, blob = _maybe(value, "key"), _maybe(value, "sha256")
    if key is None or blob is None or not record_index.KEY.match(key):
        raise BadStatement("a set of records is {key, sha256}, the key `public` or 16 hex digits")
    return key, Digest("sha256", blob)


def _count(value: Mapping[str, Any], field: str) -> int:
    found = value.get(field)
    if type(found) is not int or not 0 <= found < _MAX_INT:
        raise BadStatement(f"{field} is a number from 0")
    return found


def _texts(value: object, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise BadStatement(f"a list of 1 to {most} texts is expected")
    if not all(isinstance(item, str) and len(item) <= MAX_TEXT for item in value):
        raise BadStatement(f"a text of at most {MAX_TEXT} characters is expected")
    return tuple(value)


def _identity(value: object) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise BadStatement("an identity is {issuer, subject}")
    _only(value, ("issuer", "subject"))
    issuer, subject = _maybe(value, "issuer"), _maybe(value, "subject")
    if issuer is None or subject is None:
        raise BadStatement("an identity is {issuer, subject}")
    return issuer, subject


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_NAMES:
        raise BadStatement(f"names are 1 to {MAX_NAMES} patterns")
    if not all(isinstance(item, str) for item in value):
        raise BadStatement("names are texts")
    return tuple(check_pattern(item) for item in value)


def _maybe(value: Mapping[str, Any], field: str) -> str | None:
    if field not in value:
        return None
    found = value[field]
    if not isinstance(found, str) or not 0 < len(found) <= MAX_TEXT:
        raise BadStatement(f"{field} is a text of 1 to {MAX_TEXT} characters")
    return found


def _only(value: Mapping[str, Any], fields: Sequence[str]) -> None:
    """Refuse what is not known: it might have made the criterion mean something else."""
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise BadStatement(f"a criterion with an unknown {unknown[0]!r:.40}")
