"""distrust, waive, retire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import durations, output, reports
from stemma_cli.commands import feeding
from stemma_cli.commands.letting import end_of
from stemma_cli.session import Session, pass_session
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.digest import Digest
    from stemma_registry.custody import Affected
    from stemma_registry.measures.distrust import Preview
    from stemma_registry.measures.effects import Counts

SHOWN = 20


@click.command()
@click.argument("who", metavar="WHO")
@click.option("--reason", required=True, metavar="TEXT", help="Why; people will read it.")
@click.option(
    "--between",
    nargs=2,
    metavar="FROM UNTIL",
    help="Only what was signed in this time; `-` for no end (else: at any time).",
)
@click.option("--issuer", metavar="URL", help="Who vouches for WHO, of an identity.")
@click.option("--names", multiple=True, metavar="PATTERN", help="Only about these names.")
@click.option("--dry-run", is_flag=True, help="Show what would be stopped, and stop nothing.")
@signing()
@pass_session
def distrust(
    session: Session,
    who: str,
    reason: str,
    between: tuple[str, str] | None,
    issuer: str | None,
    names: tuple[str, ...],
    dry_run: bool,
    sign: Choice,
) -> None:
    """Take WHO at no word given in a window of time: what rests on nothing else is stopped.

    WHO is a principal of the trust root, a key's id, or the subject of an identity. What
    has no proven time is inside. `stemma release DIGEST` undoes it.
    """
    from stemma_registry.measures import distrust as measure

    window = durations.window(between)
    signer = session.signer(sign)
    with session.view() as (registry, view):
        of = measure.whom(view, who, issuer, window.start, window.end, names or ("**",))
        seen = measure.preview(view, of, signer)
    trust = session.trust()

    def put() -> Done:
        done = measure.distrust(registry, trust, signer, of, reason, session.now)
        return *done, feeding.announce(session, registry, trust)

    done = None if dry_run else put()
    document = {"criterion": of.document(), **_document(seen)}
    conclude(session, "distrust", done, document, lambda: _print(seen, dry_run))


# The statement, its ledger entry, and what `feeding.announce` says.
Done = tuple["Digest", int, Any]


def conclude(
    session: Session,
    what: str,
    done: Done | None,
    document: Mapping[str, Any],
    show: Callable[[], None],
) -> None:
    """Tell what a criterion stops, and that it is in force; `what` is a field and a word."""
    statement, entry, said = done or (None, None, None)
    if session.json:
        head: dict[str, Any] = {"dry_run": done is None, "entry": entry}
        head[what] = str(statement) if statement else None
        output.document({**head, **document, "feed": said})
        return
    show()
    if statement is not None:
        output.line(f"{what.removesuffix('e')}ed: ledger entry {entry}")
        output.line(f"undo it with: stemma release {statement.short} --reason TEXT")


@click.command()
@click.argument("ref", metavar="REF")
@click.option(
    "--quarantine", required=True, metavar="DIGEST", help="In spite of which (`stemma verify`)."
)
@click.option(
    "--until", required=True, metavar="TIME", help="When it ends: 2027-01-31, 7d, or a time."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; every verdict says it.")
@signing()
@pass_session
def waive(
    session: Session, ref: str, quarantine: str, until: str, reason: str, sign: Choice
) -> None:
    """Let REF pass, it alone, in spite of one quarantine further up, for a time.

    What is quarantined itself is never let pass, and what descends from REF stays stopped.
    """
    from stemma_attestations.times import format_time
    from stemma_registry.measures import waiving
    from stemma_registry.measures.waiving import Wish

    end = end_of(until, session.now)
    if end is None:
        raise click.UsageError("a waiver ends: --until 7d")
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    done = waiving.waive(registry, trust, signer, Wish(ref, quarantine, end, reason), session.now)
    if session.json:
        output.document(
            {
                "name": str(done.name),
                "artifact": str(done.artifact),
                "quarantine": str(done.quarantine),
                "waiver": str(done.statement),
                "until": format_time(end),
                "entry": done.entry,
                "waits": done.waits,
            }
        )
        return
    output.line(f"waived for {done.name} until {format_time(end)}: ledger entry {done.entry}")
    waiting(done.waits)


@click.command()
@click.argument("name", metavar="NAME[:VERSION]")
@click.option("--reason", required=True, metavar="TEXT", help="Why; people will read it.")
@click.option("--dry-run", is_flag=True, help="Show what has the name, and retire nothing.")
@signing()
@pass_session
def retire(session: Session, name: str, reason: str, dry_run: bool, sign: Choice) -> None:
    """Retire a name: nothing is served under it any more, and no push gives it to other bytes.

    The bytes stay what they are under other names. `stemma release DIGEST` undoes it.
    """
    from stemma_registry.measures import retiring

    of, signer = retiring.named(name), session.signer(sign)
    with session.view() as (registry, view):
        versions = sorted(str(row.name) for row in retiring.bound(view, of))
    trust = session.trust()
    statement = entry = said = None
    if not dry_run:
        statement, entry = retiring.retire(registry, trust, signer, of, reason, session.now)
        said = feeding.announce(session, registry, trust)
    if session.json:
        output.document(
            {
                "dry_run": dry_run,
                "entry": entry,
                "retirement": str(statement) if statement else None,
                "criterion": of.document(),
                "versions": versions,
                "feed": said,
            }
        )
        return
    output.line(f"{'would retire' if dry_run else 'retires'}  {of.label}")
    some([f"    {one}" for one in versions])
    if statement is not None:
        output.line(f"retired: ledger entry {entry}")
        output.line(f"undo it with: stemma release {statement.short} --reason TEXT")


def waiting(more: int) -> None:
    """Say that others have to sign too."""
    if more:
        who = "another principal signs" if more == 1 else f"{more} more principals sign"
        output.line(f"it counts when {who} one too")


def counted(counts: Counts) -> dict[str, Mapping[str, int]]:
    """How many names, by kind, stage and owner, for machines."""
    return {"kinds": counts.kinds, "stages": counts.stages, "owners": counts.owners}


def count_lines(counts: Counts) -> None:
    """The same for people."""
    for what, numbers in (
        ("kind", counts.kinds),
        ("stage", counts.stages),
        ("owner", counts.owners),
    ):
        if numbers:
            listed = ", ".join(f"{count} {word}" for word, count in list(numbers.items())[:SHOWN])
            output.line(f"    by {what}: {listed}")


def beside(affected: Iterable[Affected]) -> None:
    """What is reached and is not stopped, and why it is not."""
    rest = [item for item in affected if not item.blocked]
    for why, found in (
        ("reached only on a word that is not believed", [i for i in rest if i.suspect]),
        ("only evaluated on it, and not stopped", [i for i in rest if not i.suspect]),
    ):
        if found:
            output.line(f"  {why}: {len(found)}")
            some([f"    {item.version.name}  {item.version.kind}" for item in found])


def _document(seen: Preview) -> dict[str, Any]:
    lost = {(str(item.version.name), item.digest) for item in seen.lost}
    return {
        "affected": [
            {
                "name": str(item.version.name),
                "kind": item.version.kind,
                "artifact": str(item.digest),
                "blocked": item.blocked,
                "suspect": item.suspect,
                "lost_support": (str(item.version.name), item.digest) in lost,
                "path": list(item.path),
            }
            for item in seen.affected
        ],
        "counts": counted(seen.counts),
        "deployed": [reports.document(one) for one in seen.deployed.found],
        "warnings": list(seen.warnings),
    }


def _print(seen: Preview, dry_run: bool) -> None:
    for warning in seen.warnings:
        output.note(f"warning: {warning}")
    output.line(
        f"{'would distrust' if dry_run else 'distrusts'}  {seen.of.label}  {seen.of.window}"
    )
    output.line(f"  loses its last support: {len(seen.lost)}")
    some([f"    {item.version.name}  {item.version.kind}" for item in seen.lost])
    direct = {(item.version.name, item.digest) for item in seen.lost}
    below = [i for i in seen.affected if i.blocked and (i.version.name, i.digest) not in direct]
    output.line(f"  blocked with that: {len(below)}")
    some([f"    {item.version.name}  {item.version.kind}" for item in below])
    if dry_run:
        count_lines(seen.counts)
    beside(seen.affected)
    runs = seen.deployed.believed
    if runs:
        output.line(f"  deployed now: {len(runs)}, on {reports.hosts(len(seen.deployed.hosts))}")
        some([f"    {one.name}  {reports.line(one)}" for one in runs])


def some(lines: list[str]) -> None:
    """The first so many lines."""
    for line in lines[:SHOWN]:
        output.line(line)
    if len(lines) > SHOWN:
        output.line(f"    ... and {len(lines) - SHOWN} more (--json lists all)")
