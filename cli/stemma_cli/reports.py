"""The options that have a deployment record left, and records as JSON and for people."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from stemma_registry.drawing.places import document, hosts, line, mark, summary

if TYPE_CHECKING:
    from datetime import timedelta

    from stemma_attestations.predicates.deployment import Spot
    from stemma_registry.deploying import Left

__all__ = ["Wish", "document", "document_of", "hosts", "line", "mark", "reporting", "summary"]


@dataclass(frozen=True)
class Wish:
    """What `--report` and its kin say."""

    host: str | None
    service: str | None
    text: str | None

    def spot(self, stage: str | None) -> Spot:
        """Where it runs: this host, if no other is named. Raises Malformed."""
        from stemma_attestations.predicates.deployment import Spot
        from stemma_registry import environment

        host = environment.host() if self.host is None else self.host
        return Spot(host, self.service, stage).check()

    @property
    def life(self) -> timedelta:
        """How long a record counts. Raises Malformed."""
        from stemma_attestations.times import parse_duration
        from stemma_registry.deploying import DEFAULT_LIFE, check_life

        return check_life(parse_duration(self.text)) if self.text is not None else DEFAULT_LIFE


def reporting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command is called with `report`, a `Wish` or None."""

    @click.option("--report", is_flag=True, help="Leave a signed record of where it runs.")
    @click.option("--host", metavar="HOST", help="The host of the record (else this one's name).")
    @click.option("--service", metavar="SERVICE", help="The service of the record.")
    @click.option(
        "--report-for", metavar="TIME", help="How long a record counts: 1h, 7d (else 24h)."
    )
    @functools.wraps(command)
    def call(
        *arguments: Any,
        report: bool,
        host: str | None,
        service: str | None,
        report_for: str | None,
        **others: Any,
    ) -> Any:
        if not report and any(said is not None for said in (host, service, report_for)):
            raise click.UsageError("--host, --service and --report-for are about a --report")
        wish = Wish(host, service, report_for) if report else None
        return command(*arguments, report=wish, **others)

    return call


def document_of(left: Left) -> dict[str, Any]:
    """A record that was left."""
    from stemma_attestations.times import format_time

    said = left.said
    return {
        "state": said.state,
        "host": said.spot.host,
        "service": said.spot.service,
        "stage": said.spot.stage,
        "instance": said.instance,
        "until": format_time(said.until) if said.until else None,
        "statement": str(left.statement),
        "entry": left.entry,
        "warnings": list(left.warnings),
    }
