"""`urn:stemma:deployment:v0.1`: an artifact runs somewhere, was let in there, or has ended.

The subjects are what runs together, by digest, each under its NAME:VERSION. See
docs/formats/deployment.md. A record lasts until `until` at most, so that a host that
died, which says nothing any more, is not shown as running for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.names import subject_name
from stemma_attestations.statement import Statement, text
from stemma_attestations.times import format_time, parse_time

TYPE = "urn:stemma:deployment:v0.1"
STARTED, STOPPED, VERIFIED = "started", "stopped", "verified"
STATES = (STARTED, STOPPED, VERIFIED)
MAX_WORD = 255  # characters of a host's, service's or stage's name: DNS has as many
MAX_LIFE = timedelta(days=366)
_INSTANCE = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True)
class Spot:
    """Where something runs: the host, and what of it is known besides."""

    host: str
    service: str | None = None
    stage: str | None = None

    def check(self) -> Spot:
        """Itself. Raises BadStatement for what no terminal should show."""
        for what, word in (("host", self.host), ("service", self.service), ("stage", self.stage)):
            if word is not None and not _is_word(word):
                raise BadStatement(
                    f"{word!r:.80} is no {what}: 1 to {MAX_WORD} printable characters, "
                    "no blank at either end"
                )
        return self


@dataclass(frozen=True)
class Deployment:
    """What is said. `instance` tells one run from another; `until` is None once it stopped.

    `since` is when the run began, of which a later record may speak too. `entry` is the
    ledger entry that the verdict was of, where there was one.
    """

    spot: Spot
    state: str
    instance: str
    since: datetime
    issued: datetime
    until: datetime | None
    entry: int | None = None


def build(said: Deployment, nonce: str) -> dict[str, Any]:
    """The predicate. `nonce` is any unique text. Raises BadStatement."""
    predicate = {
        "host": said.spot.host,
        "service": said.spot.service,
        "stage": said.spot.stage,
        "state": said.state,
        "instance": said.instance,
        "since": format_time(said.since),
        "issuedAt": format_time(said.issued),
        "until": None if said.until is None else format_time(said.until),
        "entry": said.entry,
        "nonce": nonce,
    }
    parse(predicate)
    return predicate


def parse(predicate: Mapping[str, Any]) -> Deployment:
    """Read the predicate. Raises BadStatement."""
    host, state, instance = (text(predicate, key) for key in ("host", "state", "instance"))
    since, issued = text(predicate, "since"), text(predicate, "issuedAt")
    until = text(predicate, "until")
    if host is None or since is None or issued is None or "until" not in predicate:
        raise BadStatement("a deployment has a host, since, issuedAt and until")
    if state not in STATES:
        raise BadStatement(f"a deployment's state is one of {', '.join(STATES)}")
    if instance is None or not _INSTANCE.match(instance):
        raise BadStatement("a deployment's instance is 32 hex digits")
    spot = Spot(host, text(predicate, "service"), text(predicate, "stage")).check()
    entry = predicate.get("entry")
    if entry is not None and (not isinstance(entry, int) or isinstance(entry, bool) or entry < 0):
        raise BadStatement("a deployment's entry is the number of a ledger entry")
    try:
        begun, begin = parse_time(since), parse_time(issued)
        end = parse_time(until) if until is not None else None
    except Malformed as error:
        raise BadStatement(f"deployment: {error}") from error
    if (end is None) is not (state == STOPPED):
        raise BadStatement("a deployment has an until, and one that stopped has none")
    if begun > begin:
        raise BadStatement("a deployment began before it was spoken of")
    # Subtracted, since a time near the end of the calendar has nothing a year after it.
    if end is not None and not timedelta(0) < end - begin <= MAX_LIFE:
        raise BadStatement(f"a deployment lasts {MAX_LIFE.days} days at most: it is renewed")
    return Deployment(spot, state, instance, begun, begin, end, entry)


def check(statement: Statement) -> Deployment:
    """Read the predicate of a whole statement, whose subjects all have a NAME:VERSION."""
    if not all(s.digest() and subject_name(s.name) for s in statement.subjects):
        raise BadStatement("a deployment is of artifacts, each under its NAME:VERSION")
    return parse(statement.predicate)


def _is_word(word: str) -> bool:
    return 0 < len(word) <= MAX_WORD and word.isprintable() and word == word.strip()
