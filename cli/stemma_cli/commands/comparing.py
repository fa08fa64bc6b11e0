"""similar, tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.tensor_table import Table
    from stemma_registry.tensors.similar import Match, Similar

_TRUST = click.option(
    "--trust", metavar="SOURCE", help="The trust root: FILE or sha256:DIGEST (else the home's)."
)


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N")
@_TRUST
@pass_session
def similar(session: Session, ref: str, limit: int, trust: str | None) -> None:
    """List what shares tensors with REF, most bytes first, declared or not.

    Tensors are the same where type, shape and bytes are; names, files and
    formats do not matter. Constant ones and those below 1 KiB do not count.
    """
    from stemma_registry.tensors.similar import similar as ask

    with session.view(trust) as (registry, view):
        found = ask(registry, view, ref, limit)
    if session.json:
        output.document(
            {
                "artifact": str(found.found.digest),
                "name": str(found.found.name) if found.found.name else None,
                "assurance": str(found.assurance) if found.assurance else None,
                "tensors": found.tensors,
                "size": found.size,
                "similar": [_json(match) for match in found.matches],
                "more": found.more,
                "complete": found.gaps.complete,
                "unread": [{"path": one.path, "why": one.why} for one in found.gaps.unread],
                "warnings": list(found.gaps.notes),
            }
        )
        return
    for note in found.gaps.notes:
        output.note(f"warning: {note}")
    if not found.gaps.complete and found.tensors:
        output.note("warning: not all of its tensors are known: what shares them may be missing")
    where = f"{found.assurance} table" if found.assurance else "no table, its bytes were read"
    tensors = output.count(found.tensors, "tensor")
    output.line(f"{found.found.label}  {tensors}, {output.size(found.size)} ({where})")
    if not found.matches:
        output.line(_nothing(found))
        return
    output.table(
        ["MINE", "THEIRS", "BYTES", "DECLARED", "NAME:VERSION"],
        [
            [
                _percent(match.of_mine),
                _percent(match.of_theirs),
                output.size(match.size),
                _declared(match),
                match.label + ("" if match.assurance == "attested" else f" ({match.assurance})"),
            ]
            for match in found.matches
        ],
    )
    if found.more:
        output.line(f"and {found.more} more (--limit)")


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--build", is_flag=True, help="Read the stored bytes, and say what they hold.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List at most so many.")
@signing()
@_TRUST
@pass_session
def tensors(
    session: Session, ref: str, build: bool, limit: int | None, sign: Choice, trust: str | None
) -> None:
    """List the tensors of REF with their digests, or take those digests now.

    A push takes them by itself; `--build` is for what was pushed without.
    """
    if build:
        if trust is not None:
            raise click.UsageError("--trust is a question's; --build takes the home's trust root")
        _build(session, ref, limit, sign)
        return
    from stemma_registry.tensors.showing import show

    with session.view(trust) as (registry, view):
        shown = show(registry, view, ref)
    known = {"assurance": str(shown.assurance), "signer": shown.signer}
    if session.json:
        output.document({**_document(shown.table, limit), **known})
        return
    output.line(f"{shown.found.label}  {_summary(shown.table)}")
    output.line(f"  {shown.assurance} by {shown.signer}, table {shown.table.digest.short}")
    _list(shown.table, limit)


def _build(session: Session, ref: str, limit: int | None, sign: Choice) -> None:
    from stemma_registry.tensors import building

    registry, signer, root = session.open(), session.signer(sign), session.trust()
    done = building.build(registry, root, signer, ref, session.now)
    said = {"entry": done.entry, "signer": signer.id, "warnings": list(done.warnings)}
    if session.json:
        output.document({**_document(done.table, limit), **said})
        return
    for warning in done.warnings:
        output.note(f"warning: {warning}")
    where = f"ledger entry {done.entry}" if done.entry is not None else "nothing new to record"
    output.line(f"{done.found.label}  {_summary(done.table)}, {where}")


def _document(table: Table, limit: int | None) -> dict[str, Any]:
    every = [
        {
            "name": one.name,
            "file": str(file.blob),
            "format": file.format,
            "dtype": one.dtype,
            "shape": list(one.shape),
            "size": one.size,
            "digest": str(one.digest),
            "constant": one.constant,
        }
        for file in table.files
        for one in file.tensors
    ]
    return {
        "artifact": str(table.artifact),
        "table": str(table.digest),
        "files": len(table.files),
        "count": len(every),
        "tensors": every[:limit],
    }


def _summary(table: Table) -> str:
    size = sum(one.size for file in table.files for one in file.tensors)
    tensors = "1 tensor" if table.tensors == 1 else f"{table.tensors} tensors"
    files = "1 file" if len(table.files) == 1 else f"{len(table.files)} files"
    return f"{tensors} in {files}, {output.size(size)}"


def _list(table: Table, limit: int | None) -> None:
    every = [one for file in table.files for one in file.tensors]
    output.table(
        ["DIGEST", "DTYPE", "SHAPE", "BYTES", "NAME"],
        [
            [
                one.digest.value[:12],
                one.dtype,
                "x".join(map(str, one.shape)) or "-",
                output.size(one.size),
                one.name + (" (constant)" if one.constant else ""),
            ]
            for one in every[:limit]
        ],
    )
    if limit is not None and len(every) > limit:
        output.line(f"and {len(every) - limit} more (--limit)")


def _json(match: Match) -> dict[str, Any]:
    declared = match.declared
    return {
        "artifact": str(match.digest),
        "name": str(match.name) if match.name else None,
        "tensors": match.tensors,
        "size": match.size,
        "of_mine": round(match.of_mine, 6),
        "of_theirs": round(match.of_theirs, 6),
        "assurance": str(match.assurance),
        "signer": match.signer,
        "undeclared": declared is None,
        "declared": None
        if declared is None
        else {"is": declared.relation, "assurance": str(declared.assurance)},
    }


def _nothing(found: Similar) -> str:
    """What to say where there is no match."""
    if found.gaps.complete:
        return "nothing shares a tensor with it"
    if found.tensors:
        return "nothing shares a tensor with it that is known"
    return "its tensors are not known: nothing can be compared"


def _percent(share: float) -> str:
    """A share for people: 100% is all of it, and 0.0% is not nothing."""
    if share == 1:
        return "100%"
    return f"{min(share * 100, 99.9):.1f}%"


def _declared(match: Match) -> str:
    if match.declared is None:
        return "undeclared"
    weak = "" if match.declared.assurance == "attested" else f" ({match.declared.assurance})"
    return f"{match.declared.relation}{weak}"
