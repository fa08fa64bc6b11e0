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
from stemma_attestations.errors import BadTrustRoot
from stemma_attestations.grants import (
    Threshold,
    check_principals,
    needed,
    only,
    parse_threshold,
)
from stemma_attestations.keys import PublicKey
from stemma_attestations.listed import Signer, parse_signer
from stemma_attestations.names import name_matches, subject_name
from stemma_attestations.objection import Doubts, Objection, Spoken, Undoubted
from stemma_attestations.times import Dated, Times

FORMAT = "urn:stemma:trust-root:v0.1"


class Assurance(StrEnum):
    """How much stands behind an edge or a statement, strongest first."""

    ATTESTED = "attested"
    SIGNED = "signed"
    CLAIMED = "claimed"
    CONTAINS = "contains"


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
    doubts: Doubts = field(default_factory=Undoubted, repr=False, compare=False)

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
        listed = tuple(parse_signer(s, i) for i, s in enumerate(signers, 1))
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

    def _at_any_time(self, signer_id: str, predicate_type: str, signed: Times) -> frozenset[str]:
        asked = signer_id, predicate_type, None
        return self.patterns(*asked, signed) if signed else self._patterns(*asked)

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

    def doubting(self, doubts: Doubts) -> TrustRoot:
        """The same, with distrust in force."""
        return replace(self, doubts=doubts)

    def _spoken(self, signer_id: str, entry: Signer, since: datetime | None) -> Spoken:
        who = self.who(signer_id) if entry.key is None else None
        return Spoken(signer_id, entry.principal, who, since)

    def objection(self, signer_id: str, name: str | None, signed: Times) -> Objection | None:
        """The distrust that speaks against what somebody signed about `name`."""
        for entry, since in self._heard(signer_id, signed):
            found = self.doubts.against(self._spoken(signer_id, entry, since), name)
            if found is not None:
                return found
        return None

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
            and self.doubts.against(self._spoken(signer_id, signer, since), name) is None
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
        name = subject_name(subject)
        doubt = self.objection(signer_id, name.name if name else None, signed)
        if doubt is not None:
            return f"{who} is distrusted: {doubt.text}"
        return f"{who} may not say {predicate_type} about {subject} at this time"

    def has_authorised(
        self, signer_id: str, predicate_type: str, name: str | None, signed: Times = ()
    ) -> bool:
        """Like `authorises`, at any time.

        What *stops* artifacts is asked this way: a quarantine, or the edge it
        flows along, must not lapse because a key reached the end of its window.
        What a revoked key said counts only if it provably existed before.
        """
        return _covers(self._at_any_time(signer_id, predicate_type, signed), name)

    def supports(
        self, signer_id: str, predicate_type: str, name: str | None, signed: Times = ()
    ) -> bool:
        """Like `has_authorised`, but for what is distrusted: what may hold something up."""
        return any(
            signer.stands(since)
            and any(g.covers(predicate_type, name) for g in signer.grants)
            and self.doubts.against(self._spoken(signer_id, signer, since), name) is None
            for signer, since in self._heard(signer_id, signed)
        )

    def patterns(
        self, signer_id: str, predicate_type: str, at: datetime | None, signed: Times = ()
    ) -> frozenset[str]:
        """What `authorises` would cover at least, or `has_authorised` where `at` is None."""
        heard = list(self._heard(signer_id, signed))
        if at is None:
            valid = [s for s, since in heard if s.stands(since)]
        else:
            valid = [
                s
                for s, since in heard
                if s.valid_at(at, since)
                and not self.doubts.anywhere(self._spoken(signer_id, s, since))
            ]
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
        patterns = self._at_any_time(signer_id, predicate_type, signed)
        worth = _whatever(patterns)
        if worth is not None:
            return worth
        if not _covers(patterns, name):
            return Assurance.SIGNED
        both = asked is None or asked == name or _covers(patterns, asked)
        return Assurance.ATTESTED if both else Assurance.SIGNED

    @cached_property
    def goes_by_name(self) -> bool:
        """Whether anybody's word may hang on the name that it is about (see `anywhere`)."""
        grants = (grant for signer in self.signers for grant in signer.grants)
        return any(set(grant.names) - {"**"} for grant in grants)

    def anywhere(
        self, signer_id: str | None, predicate_type: str, signed: Times = ()
    ) -> Assurance | None:
        """What that is worth whatever it is about, if nobody asks about a name in particular.

        None where it hangs on the name that a statement is about.
        """
        if signer_id is None:
            return Assurance.CLAIMED
        return _whatever(self._at_any_time(signer_id, predicate_type, signed))

    def of_file(
        self, signer_id: str | None, predicate_type: str, asked: str | None, signed: Times = ()
    ) -> Assurance:
        """What a statement about a file, which it gives no name, is worth of what contains it.

        It counts as said about the name that is asked about: whoever may speak about that could
        say the same of the artifact itself. Where nobody asks about a name, as said about any:
        there too he could.
        """
        worth = self.anywhere(signer_id, predicate_type, signed)
        if worth is None and asked is None:
            return Assurance.ATTESTED
        return worth or self.assurance(signer_id, predicate_type, asked, asked, signed)


def _whatever(patterns: frozenset[str]) -> Assurance | None:
    """What the word of somebody who may speak about these is worth, whatever it is about.

    None where it hangs on the name.
    """
    if "**" in patterns:
        return Assurance.ATTESTED
    return None if patterns else Assurance.SIGNED


def _covers(patterns: frozenset[str], name: str | None) -> bool:
    """Whether these are about a name; about none (None) is only what is about everything."""
    if "**" in patterns:
        return True
    return name is not None and any(name_matches(pattern, name) for pattern in patterns)
