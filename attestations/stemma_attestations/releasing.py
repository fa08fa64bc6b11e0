"""What a release lifts: never more than its signer may speak about.

Who is trusted for `x/*` releases what `x/foo` was stopped for, and `prod/y` with the same
bytes stays stopped. Where the trust root has a threshold for status statements, a release
counts once as many distinct principals have signed one. So whether a quarantine is lifted
is a question about a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.grants import distinct, groups
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
    """Whether it counts against the quarantine of `name` for a question about `asked`.

    `asked` None: about no name. Whether enough of them do is asked of `lifted`.
    """
    if release.signer is None:
        return False
    return all(_may(trust, release, one, now) for one in _about(name, asked))


def lifted(
    trust: TrustRoot,
    releases: Iterable[Voice],
    name: str | None,
    asked: str | None,
    now: datetime,
) -> bool:
    """Whether these together lift the quarantine of `name` for a question about `asked`.

    By as many distinct principals as the trust root asks for, about each of the two names.
    """
    voices = [one for one in releases if one.signer is not None]
    return all(
        principals(trust, [v for v in voices if _may(trust, v, one, now)])
        >= trust.needed(status.TYPE, one)
        for one in _about(name, asked)
    )


def principals(trust: TrustRoot, voices: Iterable[Voice]) -> int:
    """How many distinct principals these surely are."""
    return distinct(people(trust, one) for one in voices)


def people(trust: TrustRoot, voice: Voice) -> frozenset[str]:
    """Whose a signer is, whatever he may say: one of several principals is all of them."""
    signer = voice.signer
    return frozenset(one.principal for one in trust.entries(signer)) if signer else frozenset()


def most_needed(trust: TrustRoot) -> int:
    """The most principals that any threshold asks for, of those about status statements."""
    counts = (t.principals for t in trust.thresholds if t.about.patterns(status.TYPE))
    return max(counts, default=1)


def lifts_wholly(
    trust: TrustRoot,
    releases: Iterable[Voice],
    quarantine: Voice,
    name: str | None,
    now: datetime,
) -> bool:
    """Whether they surely lift the quarantine of `name` for every question it could stop."""
    counting = [one for one in releases if lifts(trust, one, name, None, now)]
    return covers_wholly(trust, counting, quarantine, now)


def covers_wholly(
    trust: TrustRoot, releases: Iterable[Voice], quarantine: Voice, now: datetime
) -> bool:
    """Whether enough of them may speak about every name that `quarantine` may."""
    return _cover(trust, releases, _patterns(trust, quarantine, None), now)


def lifts_everything(trust: TrustRoot, releases: Iterable[Voice], now: datetime) -> bool:
    """Whether enough of them may speak about every name that there can be, and about none."""
    return _cover(trust, releases, {"**"}, now)


def _cover(
    trust: TrustRoot, releases: Iterable[Voice], stopped: Iterable[str], now: datetime
) -> bool:
    """Of those who may speak about some of it only, one may make two of the others one."""
    said = [(one, people(trust, one)) for one in releases]
    whole = [who for one, who in said if is_within(stopped, _patterns(trust, one, now))]
    heard = set[str]().union(*whole)
    apart = [group for group in groups(who for _, who in said) if group & heard]
    return bool(whole) and len(apart) >= most_needed(trust)


def speaks_for(trust: TrustRoot, voice: Voice, other: Voice) -> bool:
    """Whether a quarantine by `voice` stops at least what the same one by `other` stops."""
    return is_within(_patterns(trust, other, None), _patterns(trust, voice, None))


def is_spent(trust: TrustRoot, release: Voice, before: Iterable[Voice], now: datetime) -> bool:
    """Whether one more release by a trusted signer would lift nothing, after those before.

    Those count that may speak about all that it may: they are enough, or he is one of them.
    """
    mine = _patterns(trust, release, now)
    same = [one for one in before if is_within(mine, _patterns(trust, one, now))] if mine else []
    count = principals(trust, same)
    if not same or count >= most_needed(trust):
        return bool(same)
    return principals(trust, [*same, release]) == count


def _about(name: str | None, asked: str | None) -> tuple[str | None, ...]:
    return (name,) if asked is None else (name, asked)


def _may(trust: TrustRoot, voice: Voice, name: str | None, now: datetime) -> bool:
    return voice.signer is not None and trust.authorises(
        voice.signer, status.TYPE, name, now, voice.signed
    )


def _patterns(trust: TrustRoot, voice: Voice, at: datetime | None) -> frozenset[str]:
    if voice.signer is None:
        return frozenset()
    return trust.patterns(voice.signer, status.TYPE, at, voice.signed)
