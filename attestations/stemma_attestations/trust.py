"""The trust root: which signer may say what about which names, and when.

YAML, specified in docs/formats/trust-root.md. The empty trust root trusts
nobody. Assurance is computed here, at question time, from facts that do not
depend on any trust root; it is never stored as truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from stemma_attestations import yaml_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadKey, BadName, BadTrustRoot, Malformed
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import check_pattern, name_matches
from stemma_attestations.times import parse_time

FORMAT = "urn:stemma:trust-root:v0.1"


class Assurance(StrEnum):
    """How much stands behind an edge or a statement, strongest first."""

    ATTESTED = "attested"
    SIGNED = "signed"
    CLAIMED = "claimed"
    CONTAINS = "contains"


@dataclass(frozen=True)
class Grant:
    """Predicate types (or `*`) that may be said about names that match a pattern."""

    predicates: tuple[str, ...]
    names: tuple[str, ...]

    def covers(self, predicate_type: str, name: str | None) -> bool:
        """Whether it covers the claim. Only `**` covers what has no name."""
        if predicate_type not in self.predicates and "*" not in self.predicates:
            return False
        if name is None:
            return "**" in self.names
        return any(name_matches(pattern, name) for pattern in self.names)


@dataclass(frozen=True)
class Signer:
    """A key of a `principal` (one person or machine), and what it may say."""

    principal: str
    key: PublicKey
    grants: tuple[Grant, ...]
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def valid_at(self, time: datetime) -> bool:
        """Whether `time` lies in [valid_from, valid_until)."""
        after = self.valid_from is None or self.valid_from <= time
        return after and (self.valid_until is None or time < self.valid_until)


@dataclass(frozen=True)
class TrustRoot:
    """Signers, and the digest of the file that lists them."""

    signers: tuple[Signer, ...]
    digest: Digest

    @classmethod
    def parse(cls, raw: bytes) -> TrustRoot:
        """Read a trust root. Raises BadTrustRoot with the place of the mistake."""
        document = yaml_strict.load(raw, BadTrustRoot)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise BadTrustRoot(f"trust root: `format: {FORMAT}` is missing")
        _only(document, {"format", "signers"}, "trust root")
        signers = document.get("signers")
        if not isinstance(signers, list):
            raise BadTrustRoot("trust root: `signers` is a list (an empty one trusts nobody)")
        return cls(tuple(_parse_signer(s, i) for i, s in enumerate(signers, 1)), Digest.of(raw))

    @cached_property
    def _by_key(self) -> dict[str, list[Signer]]:
        table: dict[str, list[Signer]] = {}
        for signer in self.signers:
            table.setdefault(signer.key.id, []).append(signer)
        return table

    def principal(self, key_id: str) -> str | None:
        """Who holds the key, for people to read."""
        return next((s.principal for s in self._by_key.get(key_id, [])), None)

    def key(self, hint: str) -> PublicKey | None:
        """The listed key that a bundle's hint names."""
        return next((s.key for s in self.signers if hint in s.key.hints), None)

    def authorises(self, key_id: str, predicate_type: str, name: str | None, at: datetime) -> bool:
        """Whether the holder of the key may say this about `name`, with a key valid at `at`."""
        return any(
            signer.valid_at(at) and any(g.covers(predicate_type, name) for g in signer.grants)
            for signer in self._by_key.get(key_id, [])
        )

    def has_authorised(self, key_id: str, predicate_type: str, name: str | None) -> bool:
        """Like `authorises`, at any time.

        What *stops* artifacts is asked this way: a quarantine, or the edge it
        flows along, must not lapse because a key reached the end of its window.
        """
        return any(
            g.covers(predicate_type, name)
            for signer in self._by_key.get(key_id, [])
            for g in signer.grants
        )

    def assurance(
        self, key_id: str | None, predicate_type: str, name: str | None, asked: str | None
    ) -> Assurance:
        """What a statement about `name` is worth to a question about `asked`.

        `key_id` is None where no signature verified. With a name asked about,
        the signer must be trusted for it too: who may speak for `x/*` cannot
        speak about `prod/y` by way of the same bytes.
        """
        if key_id is None:
            return Assurance.CLAIMED
        about = (name,) if asked is None else (name, asked)
        if all(self.has_authorised(key_id, predicate_type, n) for n in about):
            return Assurance.ATTESTED
        return Assurance.SIGNED


def _parse_signer(obj: object, number: int) -> Signer:
    where = f"trust root: signer {number}"
    if not isinstance(obj, dict):
        raise BadTrustRoot(f"{where} is not a mapping")
    _only(obj, {"principal", "key", "may", "valid_from", "valid_until"}, where)
    principal, key, may = obj.get("principal"), obj.get("key"), obj.get("may")
    if not isinstance(principal, str) or not principal.isprintable() or not principal:
        raise BadTrustRoot(f"{where} has no `principal`")
    if not isinstance(key, str):
        raise BadTrustRoot(f"{where} has no `key` (a public key in PEM)")
    if not isinstance(may, list):
        raise BadTrustRoot(f"{where} has no `may` (a list of predicates and names)")
    try:
        return Signer(
            principal=principal,
            key=PublicKey.parse(key.encode()),
            grants=tuple(_parse_grant(item, where) for item in may),
            valid_from=_time(obj.get("valid_from")),
            valid_until=_time(obj.get("valid_until")),
        )
    except (BadKey, BadName) as error:
        raise BadTrustRoot(f"{where}: {error}") from error
    except BadTrustRoot:
        raise
    except Malformed as error:
        raise BadTrustRoot(f"{where}: {error}") from error


def _parse_grant(obj: object, where: str) -> Grant:
    if not isinstance(obj, dict):
        raise BadTrustRoot(f"{where}: each of `may` is {{predicates, names}}")
    _only(obj, {"predicates", "names"}, where)
    predicates = _texts(obj.get("predicates"), where, "predicates")
    names = _texts(obj.get("names"), where, "names")
    return Grant(predicates, tuple(check_pattern(name) for name in names))


def _texts(value: object, where: str, field: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise BadTrustRoot(f"{where}: `{field}` is a list of texts")
    return tuple(value)


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        return parse_time(value)
    raise BadTrustRoot("a time is written as 2026-01-31T12:00:00Z")


def _only(obj: dict[Any, Any], fields: Sequence[str] | set[str], where: str) -> None:
    unknown = [str(key) for key in obj if key not in fields]
    if unknown:
        raise BadTrustRoot(f"{where}: unknown field {unknown[0]!r:.40}")
