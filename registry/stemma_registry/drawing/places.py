"""Where something runs, as JSON and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stemma_attestations.times import format_time

if TYPE_CHECKING:
    from stemma_registry.lineage.deployments import Deployed


_THINGS = ("package",)  # marks that are no state, but what it has in it


def document(one: Deployed) -> dict[str, Any]:
    """Where something runs."""
    return {
        "name": str(one.name),
        "artifact": str(one.digest),
        "host": one.spot.host,
        "service": one.spot.service,
        "stage": one.spot.stage,
        "state": str(one.state),
        "since": format_time(one.since),
        "said": format_time(one.said),
        "until": format_time(one.until),
        "instance": one.instance,
        "signer": one.by,
        "believed": one.believed,
        "bundle": str(one.fact.bundle),
        "entry": one.fact.n,
    }


def place(one: Deployed) -> str:
    """The host, service and stage, for people."""
    return ", ".join(part for part in (one.spot.host, one.spot.service, one.spot.stage) if part)


def line(one: Deployed) -> str:
    """One line for people."""
    word = {"running": "runs", "verified": "verified"}.get(str(one.state), str(one.state))
    doubt = "" if one.believed else "  NOT BELIEVED"
    since = f"since {format_time(one.since)}, by {one.by}"
    return f"{word} on {place(one)}  {since}{doubt}"


def mark(word: str) -> str:
    """What stops a node, or that it is let pass, for people."""
    return f"STOPPED ({word})" if word in _THINGS else word.upper()


def summary(found: Sequence[Deployed]) -> str:
    """How many hosts something is deployed on; empty for none."""
    counts = {one.spot.host for one in found if one.believed}
    others = {one.spot.host for one in found if not one.believed} - counts
    parts = [f"deployed on {hosts(len(counts))}"] if counts else []
    parts += [f"said to be on {hosts(len(others))}, not believed"] if others else []
    return "; ".join(parts)


def hosts(count: int) -> str:
    """So many hosts."""
    return f"{count} host{'s' if count != 1 else ''}"
