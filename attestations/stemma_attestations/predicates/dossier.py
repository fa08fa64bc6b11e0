"""`urn:stemma:dossier:v0.1`: what one file holds for a verdict without the registry.

The subject is the artifact, by its digest, under its name. Every member is listed in the
one order in which it lies in the file. See docs/formats/dossier.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.statement import text
from stemma_attestations.times import format_time, parse_time

TYPE = "urn:stemma:dossier:v0.1"
MAX_MEMBERS = 100_000
_MOST = 2**53 - 1


class Role(StrEnum):
    """What a member is, in the order in which they are listed."""

    MANIFEST = "manifest"
    STATEMENT = "statement"
    KEY = "key"
    ENTRY = "entry"
    PROOFS = "proofs"
    CHECKPOINT = "checkpoint"
    TRUST_ROOT = "trust-root"
    TRUSTED_ROOT = "sigstore-trusted-root"
    POLICY = "policy"
    MODULE = "rego-module"
    FEED = "feed"


_ORDER = {role: number for number, role in enumerate(Role)}
_ONE = (Role.PROOFS, Role.CHECKPOINT, Role.TRUST_ROOT, Role.POLICY, Role.FEED)


@dataclass(frozen=True)
class Member:
    """Bytes that are in the file, once."""

    role: Role
    digest: Digest
    size: int

    @property
    def order(self) -> tuple[int, str]:
        """Its place in the list."""
        return _ORDER[self.role], self.digest.value


@dataclass(frozen=True)
class Dossier:
    """What is said of the file. `entry` ends the ledger (number `n`) that it was made from.

    `age` is how old the status was that a feed proved then, in seconds; None without one.
    `boms`: the BOMs of all that is above the artifact are in it too.
    """

    issued: datetime
    expires: datetime
    n: int
    entry: Digest
    tree_root: str
    trust_root: Digest
    policy: Digest
    policy_name: str
    members: Sequence[Member]
    policy_source: Mapping[str, str] = field(default_factory=dict)
    stage: str | None = None
    age: int | None = None
    boms: bool = False

    def of(self, role: Role) -> list[Member]:
        """The members that are this."""
        return [member for member in self.members if member.role is role]


def build(said: Dossier) -> dict[str, Any]:
    """The predicate."""
    return {
        "issuedAt": format_time(said.issued),
        "expires": format_time(said.expires),
        "ledger": {"n": said.n, "entry": str(said.entry), "treeRoot": said.tree_root},
        "trustRoot": str(said.trust_root),
        "policy": {
            "name": said.policy_name,
            "digest": str(said.policy),
            "source": dict(said.policy_source),
        },
        "stage": said.stage,
        "statusAge": said.age,
        **({"ancestorBoms": True} if said.boms else {}),
        "members": [
            {"role": str(one.role), "sha256": one.digest.value, "size": one.size}
            for one in said.members
        ],
    }


def parse(predicate: Mapping[str, Any]) -> Dossier:
    """Read the predicate. Raises BadStatement."""
    try:
        return _parse(predicate)
    except BadStatement:
        raise
    except (Malformed, KeyError, TypeError, AttributeError) as error:
        raise BadStatement(f"dossier: {error!s:.200}") from error


def _parse(predicate: Mapping[str, Any]) -> Dossier:
    ledger, policy, stage = predicate["ledger"], predicate["policy"], predicate["stage"]
    source, age = policy["source"], predicate["statusAge"]
    if not all(isinstance(value, str) for value in source.values()):
        raise BadStatement("a dossier's policy.source has texts")
    if stage is not None and not isinstance(stage, str):
        raise BadStatement("a dossier's stage is a text or null")
    return Dossier(
        issued=parse_time(_text(predicate, "issuedAt")),
        expires=parse_time(_text(predicate, "expires")),
        n=_count(ledger["n"]),
        entry=_digest(ledger, "entry"),
        tree_root=sha256(_text(ledger, "treeRoot")).value,
        trust_root=_digest(predicate, "trustRoot"),
        policy=_digest(policy, "digest"),
        policy_name=_text(policy, "name"),
        members=_members(predicate["members"]),
        policy_source=dict(source),
        stage=stage,
        age=None if age is None else _count(age),
        boms=predicate.get("ancestorBoms") is True,
    )


def _members(listed: object) -> tuple[Member, ...]:
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_MEMBERS:
        raise BadStatement(f"a dossier lists 1 to {MAX_MEMBERS} members")
    try:
        found = tuple(
            Member(Role(one["role"]), sha256(_text(one, "sha256")), _count(one["size"]))
            for one in listed
        )
    except ValueError as error:  # a role that only a newer version understands
        raise BadStatement(f"dossier: {error!s:.100}") from error
    if any(a.order >= b.order for a, b in itertools.pairwise(found)):
        raise BadStatement("the members of a dossier are not in their order")
    if len({one.digest for one in found}) != len(found):
        raise BadStatement("a dossier lists a member twice")
    roles = [one.role for one in found]
    if any(roles.count(role) > 1 for role in _ONE):
        raise BadStatement("a dossier has two of what it has one of")
    return found


def _text(document: Mapping[str, Any], key: str) -> str:
    found = text(document, key)
    if not found:
        raise BadStatement(f"a dossier has `{key}`, a text")
    return found


def _digest(document: Mapping[str, Any], key: str) -> Digest:
    digest = Digest.parse(_text(document, key))
    if digest.algorithm != "sha256":
        raise BadStatement(f"a dossier's `{key}` is a SHA-256")
    return digest


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise BadStatement("a dossier's numbers are whole and not below 0")
    return value
