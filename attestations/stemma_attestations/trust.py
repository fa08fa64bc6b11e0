"""The trust root: which signer may say what about which names, and when.

YAML, specified in docs/formats/trust-root.md. The empty trust root trusts
nobody. Assurance is computed here, at question time, from facts that do not
depend on any trust root; it is never stored as truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from typing import Protocol

from stemma_attestations import time_roots, yaml_strict
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadKey, BadName, BadTrustRoot, Malformed
from stemma_attestations.grants import (
    Grant,
    Threshold,
    check_principals,
    needed,
    only,
    parse_grant,
    parse_threshold,
)
from stemma_attestations.identity import IdentityPattern
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import name_matches
from stemma_attestations.times import Dated, Times, parse_time

FORMAT = "urn:stemma:trust-root:v0.1"


class Assurance(StrEnum):
    """How much stands behind an edge or a statement, strongest first."""

    ATTESTED = "attested"
    SIGNED = "signed"
    CLAIMED = "claimed"
    CONTAINS = "contains"


@dataclass(frozen=True)
class Signer:
    """A key or an identity of a `principal` (one person or machine), and what it may say.

    Exactly one of `key` and `identity` is there; `root` is the digest of the
    Sigstore trusted root under which the identity must verify.
    """

    principal: str
    grants: tuple[Grant, ...]
    key: PublicKey | None = None
    identity: IdentityPattern | None = None
    root: Digest | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    revoked: datetime | None = None

    def valid_at(self, now: datetime, signed: datetime | None) -> bool:
        """Whether a signature counts that provably existed at `signed` (None: not known).

        The window [valid_from, valid_until) is of signing where that time is known;
        else of the question, and an identity, which lives minutes, does not count.
        """
        time = now if signed is None else signed
        if self.stands(signed) and (self.key is not None or signed is not None):
            after = self.valid_from is None or self.valid_from <= time
            return after and (self.valid_until is None or time < self.valid_until)
        return False

    def stands(self, signed: datetime | None) -> bool:
        """Whether it was not revoked, or only after the signature had provably existed."""
        return self.revoked is None or (signed is not None and signed < self.revoked)

    @property
    def label(self) -> str:
        """How it is recognised, for people."""
        if self.key is not None:
            return f"key {self.key.id[:12]}"
        return f"identity {self.identity.subject}" if self.identity else "nobody"


class Speaker(Protocol):
    """Somebody who can sign: by the id of a key, or as an identity."""

    @property
    def id(self) -> str:
        """As in the catalogue."""
        ...

    @property
    def certified(self) -> Certified | None:
        """The identity, where it is one."""
        ...


def described(speaker: Speaker) -> str:
    """Somebody who can sign, for people who may never have heard of him."""
    if speaker.certified is not None:
        return f"identity {speaker.certified.identity}"
    return f"key {speaker.id[:12]}"


@dataclass(frozen=True)
class TrustRoot:
    """Signers, and the digest of the file that lists them.

    `time` are the Sigstore trusted roots that are believed about when a key signed.
    `who` tells of a signer's id which identity it stands for: the catalogue knows
    those that it has seen. Ids of keys need no telling.
    """

    signers: tuple[Signer, ...]
    digest: Digest
    thresholds: tuple[Threshold, ...] = ()
    time: tuple[Digest, ...] = ()
    who: Callable[[str], Certified | None] = field(
        default=lambda _: None, repr=False, compare=False
    )

    @classmethod
    def parse(cls, raw: bytes) -> TrustRoot:
        """Read a trust root. Raises BadTrustRoot with the place of the mistake."""
        document = yaml_strict.load(raw, BadTrustRoot)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise BadTrustRoot(f"trust root: `format: {FORMAT}` is missing")
        only(document, {"format", "thresholds", "time", "signers"}, "trust root")
        signers, thresholds = document.get("signers"), document.get("thresholds", [])
        if not isinstance(signers, list):
            raise BadTrustRoot("trust root: `signers` is a list (an empty one trusts nobody)")
        if not isinstance(thresholds, list):
            raise BadTrustRoot("trust root: `thresholds` is a list")
        listed = tuple(_parse_signer(s, i) for i, s in enumerate(signers, 1))
        check_principals(signer.principal for signer in listed)
        rules = (
            parse_threshold(item, f"trust root: threshold {i}")
            for i, item in enumerate(thresholds, 1)
        )
        return cls(listed, Digest.of(raw), tuple(rules), time_roots.parse(document.get("time", [])))

    @cached_property
    def _by_key(self) -> dict[str, list[Signer]]:
        table: dict[str, list[Signer]] = {}
        for signer in self.signers:
            if signer.key is not None:
                table.setdefault(signer.key.id, []).append(signer)
        return table

    @cached_property
    def _patterns(self) -> Callable[..., frozenset[str]]:
        return cache(self.patterns)

    def knowing(self, who: Callable[[str], Certified | None]) -> TrustRoot:
        """The same, for one who can tell which identities more ids stand for."""
        before, known = self.who, dict[str, Certified | None]()

        def ask(signer_id: str) -> Certified | None:
            if signer_id not in known:
                known[signer_id] = before(signer_id) or who(signer_id)
            return known[signer_id]

        return replace(self, who=ask)

    def introducing(self, certified: Certified | None) -> TrustRoot:
        """The same, knowing this identity by its id."""
        if certified is None:
            return self
        known: Mapping[str, Certified] = {certified.id: certified}
        return self.knowing(known.get)

    @property
    def roots(self) -> tuple[Digest, ...]:
        """The Sigstore trusted roots of identities, in the order of the file."""
        return tuple(dict.fromkeys(s.root for s in self.signers if s.root is not None))

    @property
    def all_roots(self) -> tuple[Digest, ...]:
        """These, and those of `time`: all that are asked for."""
        return tuple(dict.fromkeys((*self.roots, *self.time)))

    def since(self, signer_id: str, times: Times) -> datetime | None:
        """Since when a signature provably exists; None where no root proves it that counts.

        For a key those of `time` count, for an identity the roots that it is listed under,
        or, where it is not, those that it verified under. For people: whether a signature
        counts is asked of each entry, by the word of its own root.
        """
        heard = [since for _, since in self._heard(signer_id, times) if since is not None]
        if heard or signer_id in self._by_key:
            return min(heard, default=None)
        certified = self.who(signer_id)
        return time_roots.earliest(times, certified.roots if certified else self.time)

    def entries(self, signer_id: str) -> Iterator[Signer]:
        """The signers that an id stands for: those of the key, or whose pattern fits."""
        listed = self._by_key.get(signer_id)
        if listed is not None:
            yield from listed
            return
        certified = self.who(signer_id)
        if certified is None:
            return
        for signer in self.signers:
            pattern, root = signer.identity, signer.root
            if root in certified.roots and pattern and pattern.matches(certified.identity):
                yield signer

    def _heard(self, signer_id: str, times: Times) -> Iterator[tuple[Signer, datetime | None]]:
        """`entries`, each with the time of the signature by the word that counts for it."""
        for signer in self.entries(signer_id):
            roots = self.time if signer.root is None else (signer.root,)
            yield signer, time_roots.earliest(times, roots)

    def principal(self, signer_id: str) -> str | None:
        """Whose key or identity it is, for people to read."""
        return next((s.principal for s in self.entries(signer_id)), None)

    def label(self, signer_id: str) -> str:
        """The principal, else what can be said of a stranger."""
        certified = self.who(signer_id)
        stranger = f"identity {certified.identity}" if certified else f"key {signer_id[:12]}"
        return self.principal(signer_id) or stranger

    def key(self, hint: str) -> PublicKey | None:
        """The listed key that a bundle's hint names."""
        keys = (s.key for s in self.signers if s.key is not None)
        return next((key for key in keys if hint in key.hints), None)

    def authorises(
        self,
        signer_id: str,
        predicate_type: str,
        name: str | None,
        at: datetime,
        signed: Times = (),
    ) -> bool:
        """Whether the signer may say this about `name`, with what is valid.

        `at` is the time of the question, `signed` what proves when the signature existed.
        """
        return bool(self.principals(signer_id, predicate_type, name, at, signed))

    def principals(
        self,
        signer_id: str,
        predicate_type: str,
        name: str | None,
        at: datetime,
        signed: Times = (),
    ) -> frozenset[str]:
        """As whom the signer may say this about `name`: as several where patterns overlap."""
        return frozenset(
            signer.principal
            for signer, since in self._heard(signer_id, signed)
            if signer.valid_at(at, since)
            and any(g.covers(predicate_type, name) for g in signer.grants)
        )

    def needed(self, predicate_type: str, name: str | None) -> int:
        """How many distinct principals must have said it, for a yes."""
        return needed(self.thresholds, predicate_type, name)

    def lets(self, speaker: Speaker, predicate_type: str, name: str | None, now: datetime) -> bool:
        """Whether somebody who is about to sign would be believed."""
        who = speaker.certified
        signed = (Dated(now, who.root),) if who is not None else ()
        known = self.introducing(who)
        return known.authorises(speaker.id, predicate_type, name, now, signed)

    def is_same(self, signer_id: str | None, speaker: Speaker) -> bool:
        """Whether that was he; each run of one job has an identity of its own."""
        if signer_id is None or speaker.certified is None:
            return signer_id == speaker.id
        before = self.who(signer_id)
        return before is not None and speaker.certified.voice in before.voices

    def refusal(self, signer_id: str, predicate_type: str, subject: str, signed: Times) -> str:
        """Why a signer is not believed about `subject`, for people."""
        listed = list(self._heard(signer_id, signed))
        if not listed:
            return f"{self.label(signer_id)} is not in the trust root"
        who = f"{listed[0][0].principal} ({listed[0][0].label})"
        if not any(entry.stands(since) for entry, since in listed):
            return f"{who} was revoked, and nothing proves that it had signed before"
        return f"{who} may not say {predicate_type} about {subject} at this time"

    def has_authorised(
        self, signer_id: str, predicate_type: str, name: str | None, signed: Times = ()
    ) -> bool:
        """Like `authorises`, at any time.

        What *stops* artifacts is asked this way: a quarantine, or the edge it
        flows along, must not lapse because a key reached the end of its window.
        What a revoked key said counts only if it provably existed before.
        """
        asked = signer_id, predicate_type, None
        found = self.patterns(*asked, signed) if signed else self._patterns(*asked)
        return any(p == "**" or (name is not None and name_matches(p, name)) for p in found)

    def patterns(
        self, signer_id: str, predicate_type: str, at: datetime | None, signed: Times = ()
    ) -> frozenset[str]:
        """What `authorises` would cover, or `has_authorised` where `at` is None."""
        heard = self._heard(signer_id, signed)
        valid = [s for s, t in heard if (s.stands(t) if at is None else s.valid_at(at, t))]
        found = [grant.patterns(predicate_type) for signer in valid for grant in signer.grants]
        return frozenset().union(*found)

    def might_matter(self, signer_id: str, signed: Times) -> bool:
        """Whether a key's word could count if it were proven to be older than `signed` proves."""
        return any(not signer.stands(since) for signer, since in self._heard(signer_id, signed))

    def assurance(
        self,
        signer_id: str | None,
        predicate_type: str,
        name: str | None,
        asked: str | None,
        signed: Times = (),
    ) -> Assurance:
        """What a statement about `name` is worth to a question about `asked`.

        `signer_id` is None where no signature verified. With a name asked about,
        the signer must be trusted for it too: who may speak for `x/*` cannot
        speak about `prod/y` by way of the same bytes.
        """
        if signer_id is None:
            return Assurance.CLAIMED
        about = (name,) if asked in (None, name) else (name, asked)
        if all(self.has_authorised(signer_id, predicate_type, n, signed) for n in about):
            return Assurance.ATTESTED
        return Assurance.SIGNED


_FIELDS = {"principal", "key", "identity", "may", "valid_from", "valid_until", "revoked"}


def _parse_signer(obj: object, number: int) -> Signer:
    where = f"trust root: signer {number}"
    if not isinstance(obj, dict):
        raise BadTrustRoot(f"{where} is not a mapping")
    only(obj, _FIELDS, where)
    principal, key, may = obj.get("principal"), obj.get("key"), obj.get("may")
    if not isinstance(principal, str) or not principal.isprintable() or not principal:
        raise BadTrustRoot(f"{where} has no `principal`")
    if ("key" in obj) == ("identity" in obj):
        raise BadTrustRoot(f"{where} has a `key` or an `identity`, one of the two")
    if "key" in obj and not isinstance(key, str):
        raise BadTrustRoot(f"{where} has no `key` (a public key in PEM)")
    if not isinstance(may, list):
        raise BadTrustRoot(f"{where} has no `may` (a list of predicates and names)")
    try:
        root, pattern = _parse_identity(obj["identity"]) if "identity" in obj else (None, None)
        return Signer(
            principal=principal,
            grants=tuple(parse_grant(item, f"{where}: each of `may`") for item in may),
            key=PublicKey.parse(key.encode()) if isinstance(key, str) else None,
            identity=pattern,
            root=root,
            valid_from=_time(obj.get("valid_from")),
            valid_until=_time(obj.get("valid_until")),
            revoked=_time(obj.get("revoked")),
        )
    except (BadKey, BadName) as error:
        raise BadTrustRoot(f"{where}: {error}") from error
    except BadTrustRoot as error:
        known = str(error).startswith("trust root: ")
        raise error if known else BadTrustRoot(f"{where}: {error}") from error
    except Malformed as error:
        raise BadTrustRoot(f"{where}: {error}") from error


def _parse_identity(obj: object) -> tuple[Digest, IdentityPattern]:
    if not isinstance(obj, dict):
        raise BadTrustRoot("`identity` is {issuer, subject, root, claims}")
    only(obj, {"issuer", "subject", "root", "claims"}, "identity")
    issuer, subject, root = obj.get("issuer"), obj.get("subject"), obj.get("root")
    claims = obj.get("claims", {})
    if not isinstance(issuer, str) or not isinstance(subject, str):
        raise BadTrustRoot("an identity has `issuer` and `subject`")
    if not isinstance(root, str):
        raise BadTrustRoot("an identity has a `root` (the SHA-256 of a Sigstore trusted root)")
    if not isinstance(claims, dict) or not all(isinstance(v, str) for v in claims.values()):
        raise BadTrustRoot("`claims` are names and texts")
    return Digest.parse(root), IdentityPattern(issuer, subject, tuple(sorted(claims.items())))


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        return parse_time(value)
    raise BadTrustRoot("a time is written as 2026-01-31T12:00:00Z")
