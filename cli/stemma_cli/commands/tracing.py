"""trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import durations, exits, output, record_trace, slips
from stemma_cli.session import Session, pass_session, progress

if TYPE_CHECKING:
    from stemma_attestations.times import Window
    from stemma_registry.lineage.trace import Direction, Only, Trace, TraceEdge
    from stemma_registry.registry import Registry, Snapshot

FORMATS = ("tree", "table", "json", "jsonl", "csv", "dot", "mermaid", "html", "cyclonedx")
ASSURANCES = ("attested", "signed", "claimed")
MOST_PATHS = 1_000
TENSOR = "tensor:"


@dataclass(frozen=True)
class Asked:
    """The options of `stemma trace`."""

    up: bool
    depth: int | None
    target: str | None
    paths: int | None
    relations: tuple[str, ...]
    assurance: str | None
    deployed: bool
    stage: str | None
    between: tuple[str, str] | None
    only_support: bool
    coverage: bool
    limit: int | None
    as_of: str | None
    nearest: bool
    repo: Path | None

    @property
    def direction(self) -> Direction:
        """Which way."""
        from stemma_registry.lineage.trace import Direction

        return Direction.UP if self.up else Direction.DOWN

    @property
    def only(self) -> Only:
        """Which edges."""
        from stemma_attestations.trust import Assurance
        from stemma_registry.lineage.trace import Only

        least = Assurance(self.assurance or Assurance.CLAIMED)
        return Only(frozenset(self.relations) or None, least)

    @property
    def window(self) -> Window:
        """The window of time of `--between`. Raises UsageError."""
        return durations.window(self.between)

    def placed(self, view: Snapshot, found: Trace) -> Trace:
        """With where it runs, and what is at the stage that is asked about."""
        from stemma_registry.catalogue.deployed import Wanted
        from stemma_registry.lineage import deployments, whereabouts

        running = deployments.load(view, Wanted(stage=self.stage))
        found = whereabouts.with_deployments(found, running)
        return found if self.stage is None else whereabouts.with_stages(found, view, self.stage)

    def below(self, view: Snapshot, node: int) -> Trace:
        """What came from a node, as far as it is asked about."""
        from stemma_registry.lineage import whereabouts
        from stemma_registry.lineage.trace import trace as walk

        found = walk(view, node, self.direction, self.depth, self.only, self.limit)
        if not self.deployed and self.stage is None:
            return found
        return whereabouts.only_deployed(self.placed(view, found))

    def check_downward(self, subject: str) -> None:
        """Raise UsageError for options that records and tensors do not go together with."""
        for given, option in (
            (self.up, "--up"),
            (self.target is not None, "--to"),
            (self.between is not None, "--between"),
            (self.only_support, "--only-support"),
            (self.depth is not None and subject.startswith(TENSOR), "--depth"),
        ):
            if given:
                scheme = subject.partition(":")[0]
                raise click.UsageError(f"{scheme}:... is traced to what came from it; no {option}")

    def check(self) -> None:
        """Raise UsageError for options that do not go together."""
        if self.target is not None:
            for given, option in (
                (self.depth is not None, "--depth"),
                (self.deployed or self.stage is not None, "--deployed, --stage"),
                (self.limit is not None, "--limit"),
                (self.coverage, "--coverage"),
            ):
                if given:
                    raise click.UsageError(f"--to shows whole ways between two; no {option}")
        elif self.paths is not None:
            raise click.UsageError("--paths is how many ways --to shows")
        if self.nearest and self != replace(
            _NOTHING, depth=self.depth, as_of=self.as_of, nearest=True
        ):
            raise click.UsageError("--nearest takes --depth, --as-of and --trust alone")
        if self.coverage and not self.up:
            raise click.UsageError("--coverage is of what something came from: with --up")
        if self.only_support and (self.target is not None or self.up or self.coverage):
            raise click.UsageError("--only-support lists what a signer's word holds up, alone")


_NOTHING = Asked(
    up=False,
    depth=None,
    target=None,
    paths=None,
    relations=(),
    assurance=None,
    deployed=False,
    stage=None,
    between=None,
    only_support=False,
    coverage=False,
    limit=None,
    as_of=None,
    nearest=False,
    repo=None,
)


@click.command()
@click.argument("subject", metavar="REF|FILE|record:FILE|tensor:DIGEST")
@click.option("--up", is_flag=True, help="What it came from, instead of what came from it.")
@click.option("--depth", type=click.IntRange(min=1), help="At most so many edges away.")
@click.option("--to", "target", metavar="REF", help="Only the ways from REF to this one.")
@click.option("--paths", type=click.IntRange(1, MOST_PATHS), help="So many ways.  [default: 10]")
@click.option("--relation", "relations", multiple=True, metavar="R", help="Only along R; repeats.")
@click.option("--assurance", type=click.Choice(ASSURANCES), help="Only edges worth that, or more.")
@click.option("--deployed", is_flag=True, help="Only what runs somewhere, and the ways there.")
@click.option("--stage", metavar="STAGE", help="Only what is at that stage, or runs at it.")
@click.option("--between", nargs=2, metavar="FROM UNTIL", help="What signer:... signed then.")
@click.option("--only-support", is_flag=True, help="What only that signer's word holds up.")
@click.option("--coverage", is_flag=True, help="With --up: how much of it is vouched for.")
@click.option("--limit", type=click.IntRange(min=1), help="The nearest so many.")
@click.option("--as-of", metavar="ENTRY|TIME", help="As it was known then.")
@click.option("--nearest", is_flag=True, help="As jsonl: each once, by its nearest edge, as found.")
@click.option("--repo", type=click.Path(path_type=Path), help="Where git:A..B is.  [default: here]")
@click.option("--format", "form", type=click.Choice(FORMATS), default="tree", show_default=True)
@click.option("--fields", metavar="A,B", help="Of record:FILE: compare these fields alone.")
@click.option(
    "--near",
    type=click.FloatRange(0.5, 1),
    is_flag=False,
    flag_value=0.8,
    metavar="[SIMILARITY]",
    help="Of record:FILE: also what is nearly the same, apart.  [alone: 0.8]",
)
@click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)
@pass_session
def trace(
    session: Session,
    /,
    subject: str,
    form: str,
    fields: str | None,
    near: float | None,
    trust: str | None,
    **options: Any,
) -> None:
    """Show every descendant of REF, or of a FILE on disk, with the word behind each edge.

    REF may also be pkg:pypi/NAME@VERSION (or @>=2.0,<2.3), signer:WHO, stage:STAGE,
    git:A..B or git:A.. (A, and every commit that contains it).
    Edges are `attested` (a believed signature), `signed` (a valid one by
    somebody not believed for this), `claimed` (unsigned) or `contains` (bytes).
    record:FILE finds the datasets that have any record of FILE, and all that
    came from them.
    """
    from stemma_cli import trace_formats
    from stemma_registry.lineage import called, whereabouts

    asked = Asked(**options)
    asked.check()
    slips.relations(asked.relations)
    if subject.startswith((record_trace.PREFIX, TENSOR)):
        asked.check_downward(subject)
    if subject.startswith(record_trace.PREFIX):
        with _view(session, trust, asked.as_of) as at:
            slips.stage(session, at[1].connection, asked.stage)
            path = subject[len(record_trace.PREFIX) :]
            record_trace.run(session, at, path, fields, form, near, asked.below)
        return
    if fields is not None or near is not None:
        raise click.UsageError("--fields and --near are of record:FILE")
    if asked.nearest and form != "jsonl":
        raise click.UsageError("--nearest is with --format jsonl")
    form = "json" if session.json else form  # `--json` is a format too
    with _view(session, trust, asked.as_of) as (registry, view):
        slips.stage(session, view.connection, asked.stage)
        if asked.nearest:
            _nearest(registry, view, subject, asked)
            return
        if asked.only_support:
            _support(session, (registry, view), subject, asked, form)
            return
        if asked.coverage:
            _coverage(registry, view, subject, form)
            return
        found, paths = _found(registry, view, subject, asked)
        if form in ("html", "json", "jsonl"):
            found, paths = called.with_names(view, found, paths)
        if form == "html" and asked.stage is None:  # the page can be asked for each
            found = whereabouts.with_stages(found, view)
        _outside(view, subject, asked)
    if asked.deployed or asked.stage is not None:
        trace_formats.show_deployed(whereabouts.only_deployed(found), form, asked.stage)
    else:
        trace_formats.show(found, paths, form)
    _notes(found, paths, subject, asked)


@contextlib.contextmanager
def _view(
    session: Session, trust: str | None, as_of: str | None
) -> Iterator[tuple[Registry, Snapshot]]:
    from stemma_registry.questions import as_of as earlier

    moment = None if as_of is None else earlier.Moment.parse(as_of)
    with session.view(trust) as (registry, view):
        if moment is None:
            yield registry, view
            return
        with earlier.looking_back(view, registry.store, moment) as past:
            yield registry, past


def _found(
    registry: Registry, view: Snapshot, subject: str, asked: Asked
) -> tuple[Trace, list[list[TraceEdge]] | None]:
    from stemma_registry.config import LIMITS
    from stemma_registry.lineage.paths import between
    from stemma_registry.lineage.trace import Direction
    from stemma_registry.lineage.trace import trace as walk
    from stemma_registry.questions.starting import HERE, is_origin, start
    from stemma_registry.reference import resolve

    paths = None
    if subject.startswith(TENSOR):
        from stemma_registry.tensors import showing

        return asked.placed(view, showing.trace(view, subject, asked.only, asked.limit)), None
    if asked.target is not None:
        first = start(
            view, registry.store, subject, Direction.DOWN, asked.window, asked.repo or HERE
        )
        last = resolve(view, asked.target).node
        if asked.up and is_origin(subject):
            raise click.UsageError(f"{subject} came from nothing: --to without --up")
        if asked.up:
            if not isinstance(first, int):
                raise click.UsageError(f"{subject} is several things: --to without --up, or one")
            first, last = last, first
        found, paths = between(view, first, last, asked.only, asked.paths or LIMITS.paths)
    else:
        begin = start(
            view, registry.store, subject, asked.direction, asked.window, asked.repo or HERE
        )
        with progress("tracing", things="nodes") as advance:
            found = walk(
                view, begin, asked.direction, asked.depth, asked.only, asked.limit, advance
            )
    return asked.placed(view, found), paths


def _outside(view: Snapshot, subject: str, asked: Asked) -> None:
    """What a range of commits cannot have considered, beside the answer."""
    from stemma_registry.questions import commit_starts
    from stemma_registry.questions.starting import HERE, is_range

    if is_range(subject):
        left = commit_starts.outside(view, asked.repo or HERE)
        if left.count:
            output.note(
                f"stemma: {output.count(left.count, 'commit')} that the registry knows, and "
                f"{left.repository} has not: what was built from those is not considered"
            )


def _notes(found: Trace, paths: list[list[TraceEdge]] | None, subject: str, asked: Asked) -> None:
    """What an answer leaves out, beside it."""
    if found.left_out:
        output.note(f"stemma: {found.left_out} more are left out (--limit {asked.limit})")
    if paths is None:
        return
    if not paths:
        output.note(f"stemma: there is no way between {subject} and {asked.target}")
        click.get_current_context().exit(exits.NOT_FOUND)
    if found.ways is None:
        output.note(f"stemma: {len(paths)} ways; there are circles, and there may be more")
    elif found.ways > len(paths):
        output.note(f"stemma: {len(paths)} of {found.ways} ways (--paths)")


def _nearest(registry: Registry, view: Snapshot, subject: str, asked: Asked) -> None:
    from stemma_cli import descending
    from stemma_registry.questions.starting import start

    begin = start(view, registry.store, subject, asked.direction, asked.window)
    if not isinstance(begin, int):
        raise click.UsageError(f"--nearest starts at one thing; {subject} leads to several")
    descending.show(registry, view, begin, asked.depth)


def _support(
    session: Session, at: tuple[Registry, Snapshot], subject: str, asked: Asked, form: str
) -> None:
    from stemma_cli import losses as shown
    from stemma_registry.gate import Terms
    from stemma_registry.questions import losses, signer_starts

    if not subject.startswith(signer_starts.SCHEME):
        raise click.UsageError("--only-support is of signer:WHO")
    if form not in ("tree", "table", "json"):
        raise click.UsageError(f"--only-support is a table or json, not {form}")
    found = losses.of(*at, subject, asked.window, Terms(policy=session.policy()))
    shown.show(found, subject, asked.window, asked.limit, form)


def _coverage(registry: Registry, view: Snapshot, subject: str, form: str) -> None:
    from stemma_cli import losses as shown
    from stemma_registry.questions.losses import coverage

    shown.show_coverage(coverage(registry, view, subject), subject, view.n, form)
