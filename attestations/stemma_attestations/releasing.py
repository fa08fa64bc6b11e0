"""What a release lifts: never more than its signer may speak about.

Who is trusted for `x/*` releases what `x/foo` was stopped for, and `prod/y` with the same
bytes stays stopped. So whether a quarantine is lifted is a question about a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.names import is_within
from stemma_attestations.predicates import status
from stemma_attestations.times import Times
from stemma_attestations.trust import TrustRoot


@dataclass(frozen=True)
class Voice:
    """Who signed a status, and what proves when; `signer` is None where nothing verified."""

    signer: str | None
    signed: Times = ()


def lifts(
    trust: TrustRoot, release: Voice, name: str | None, asked: str | None, now: datetime
) -> bool:
    """Whether it lifts the quarantine of `name` for a question about `asked` (None: no name)."""
    if release.signer is None:
        return False
    about = (name,) if asked is None else (name, asked)
    return all(
        trust.authorises(release.signer, status.TYPE, one, now, release.signed) for one in about
    )


def lifts_wholly(
    trust: TrustRoot, release: Voice, quarantine: Voice, name: str | None, now: datetime
) -> bool:
    """Whether it lifts the quarantine of `name` for every question that this could stop."""
    if not lifts(trust, release, name, None, now):
        return False
    return is_within(_patterns(trust, quarantine, None), _patterns(trust, release, now))


def speaks_for(trust: TrustRoot, voice: Voice, other: Voice) -> bool:
    """Whether a quarantine by `voice` stops at least what the same one by `other` stops."""
    return is_within(_patterns(trust, other, None), _patterns(trust, voice, None))


def adds_nothing(trust: TrustRoot, release: Voice, before: Voice, now: datetime) -> bool:
    """Whether a release lifts no more than the one before did, though its signer is trusted."""
    own = _patterns(trust, release, now)
    return bool(own) and is_within(own, _patterns(trust, before, now))


def _patterns(trust: TrustRoot, voice: Voice, at: datetime | None) -> frozenset[str]:
    if voice.signer is None:
        return frozenset()
    return trust.patterns(voice.signer, status.TYPE, at, voice.signed)
