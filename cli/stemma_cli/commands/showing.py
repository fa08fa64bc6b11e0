"""list, show, log, bom, attestations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from stemma_attestations.relations import KINDS
from stemma_attestations.times import format_time
from stemma_cli import output
from stemma_cli.session import Session, pass_session

if TYPE_CHECKING:
    from stemma_attestations.request import Stop
    from stemma_registry.describe import Described
    from stemma_registry.foreign.attached import Seen

FILES_SHOWN = 20
GIT_FORMATS = ("sha1", "sha256")
POINTERS = ("all", "none", "attributes", "said")


@click.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only of this kind.")
@pass_session
def list_(session: Session, kind: str | None) -> None:
    """List names and versions, with who vouches for them."""
    from stemma_registry.describe import listing

    with session.view() as (_, view):
        rows = listing(view, kind)
    if session.json:
        output.document(
            [
                {
                    "name": row.version.name.name,
                    "version": row.version.name.version,
                    "kind": row.version.kind,
                    "artifact": str(row.digest),
                    "files": row.artifact.files,
                    "size": row.artifact.size,
                    "assurance": str(row.assurance),
                    "signer": row.signer,
                    "quarantined": row.quarantined,
                    "marks": list(row.marks),
                }
                for row in rows
            ]
        )
        return
    if not rows:
        output.line("nothing has been pushed yet")
        return
    output.table(
        ["NAME:VERSION", "KIND", "SIZE", "DIGEST", "SIGNER", "STATUS"],
        [
            [
                str(row.version.name),
                row.version.kind,
                output.size(row.artifact.size),
                row.digest.value[:12],
                row.signer if row.assurance == "attested" else f"{row.signer} ({row.assurance})",
                ", ".join(row.marks) or "-",
            ]
            for row in rows
        ],
    )


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--git-tree", is_flag=True, help="Only the Git tree that its files are.")
@click.option("--object-format", "form", type=click.Choice(GIT_FORMATS), help="[default: sha1]")
@click.option("--pointers", type=click.Choice(POINTERS), help="[default: attributes]")
@pass_session
def show(
    session: Session, ref: str, git_tree: bool, form: str | None, pointers: str | None
) -> None:
    """Show one artifact, file or commit: its names, files, inputs and status.

    With --git-tree what `git rev-parse REV:PATH` says of the same files committed:
    those that are LFS pointers there (--pointers: all, none, as the artifact's own
    .gitattributes says, or as `add` or `import git` said), the others as they are.
    """
    from stemma_registry.describe import describe

    if git_tree:
        _show_tree(session, ref, form or "sha1", pointers or "attributes")
        return
    if form is not None or pointers is not None:
        raise click.UsageError("--object-format and --pointers are of --git-tree")
    with session.view() as (registry, view):
        seen = describe(registry, view, ref)
    if session.json:
        output.document(_document(seen))
    else:
        _print(seen)


def _show_tree(session: Session, ref: str, form: str, pointers: str) -> None:
    from stemma_registry import aliased, trees

    with session.view() as (registry, view):
        found = aliased.resolve(view, registry.store, ref)
        tree = trees.of_artifact(registry, view, found, form, trees.Pointers(pointers))
    if session.json:
        output.document(
            {
                "digest": str(found.digest),
                "label": found.label,
                "git_tree": tree.value,
                "object_format": form,
                "pointers": pointers,
            }
        )
    else:
        output.line(tree.value)


@click.command()
@click.argument("ref", metavar="REF", required=False)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@pass_session
def log(session: Session, ref: str | None, limit: int | None) -> None:
    """Show what happened, newest first: to REF, or to everything."""
    from stemma_registry.describe import history

    with session.view() as (_, view):
        rows = history(view, ref, limit)
    if session.json:
        output.document([{**vars(row), "bundle": str(row.bundle)} for row in rows])
        return
    for row in rows:
        about = f"{row.about} and {output.count(row.files, 'file')}" if row.files else row.about
        output.line(f"{row.n:>6}  {row.time}  {row.what}  {about}  by {row.signer}")
        if row.reason:
            output.line(f"        {row.reason}")


@click.command()
@click.argument("ref", metavar="REF")
@pass_session
def bom(session: Session, ref: str) -> None:
    """Print the CycloneDX ML-BOM of REF (JSON, with or without --json)."""
    from stemma_registry.describe import bom as find

    with session.view() as (registry, view):
        output.document(find(registry, view, ref))


@click.command()
@click.argument("ref", metavar="REF")
@pass_session
def attestations(session: Session, ref: str) -> None:
    """List the signed statements about REF, and what is attached; with --json the bundles too."""
    from stemma_registry.describe import attached
    from stemma_registry.describe import attestations as find

    with session.view() as (registry, view):
        found, others = find(registry, view, ref), attached(registry, view, ref)
    if session.json:
        output.document(
            [
                *(
                    {
                        "predicate_type": item.fact.predicate_type,
                        "about": item.fact.about,
                        "signer": item.signer,
                        "key_id": item.fact.signer,
                        "assurance": str(item.assurance),
                        "entry": item.fact.n,
                        "digest": str(item.fact.bundle),
                        "bundle": json.loads(item.bundle.raw) if item.bundle else None,
                        "file": None,
                        "note": None,
                    }
                    for item in found
                ),
                *map(_attached, others),
            ]
        )
        return
    output.table(
        ["PREDICATE", "SIGNER", "ASSURANCE", "ENTRY", "BUNDLE"],
        [
            *(
                [
                    item.fact.predicate_type or "(unreadable)",
                    item.signer,
                    str(item.assurance),
                    str(item.fact.n),
                    item.fact.bundle.value[:12],
                ]
                for item in found
            ),
            *(
                [
                    one.piece.says,
                    one.signer,
                    one.assurance,
                    str(one.fact.n),
                    one.item.digest.value[:12],
                ]
                for one in others
            ),
        ],
    )
    for one in others:
        if one.note:
            output.line(f"{one.item.digest.value[:12]}: {one.note}")


def _attached(one: Seen) -> dict[str, Any]:
    return {
        "predicate_type": one.piece.says,
        "about": one.names,
        "signer": one.signer,
        "key_id": one.key_id,
        "assurance": one.assurance,
        "entry": one.fact.n,
        "digest": str(one.item.digest),
        "bundle": json.loads(one.piece.raw),
        "file": one.item.name,
        "note": one.note or None,
    }


def _document(seen: Described) -> dict[str, Any]:
    made, manifest = seen.provenance, seen.manifest
    source = made.source if made else None
    return {
        "digest": str(seen.found.digest),
        "label": seen.found.label,
        "versions": [
            {"name": str(row.name), "kind": row.kind, "assurance": str(worth), "signer": signer}
            for row, worth, signer in seen.versions
        ],
        "files": [
            {"path": e.path, "size": e.size, "sha256": e.sha256.value}
            for e in (manifest.entries if manifest else ())
        ],
        "oms_root": str(manifest.oms_root) if manifest else None,
        "build": made.build or made.build_type if made else None,
        "parameters": dict(made.parameters) if made else {},
        "started": made.started if made else None,
        "finished": made.finished if made else None,
        "git": vars(source) | {"diff": str(source.diff) if source.diff else None}
        if source
        else None,
        "inputs": [
            {
                "relation": edge.relation,
                "digest": str(seen.made_from.nodes[edge.input].digest),
                "label": seen.made_from.nodes[edge.input].label,
                "assurance": str(edge.assurance),
            }
            for edge in seen.made_from.edges
        ],
        "contained_in": [{"name": name, "path": path} for name, path in seen.contained_in],
        "quarantines": [
            {**_stop(stop), "path": list(stop.path), "mark": stop.mark} for stop in seen.stops
        ],
        "waived": [
            {
                **_stop(one.stop),
                "waived_by": one.by,
                "because": one.reason,
                "until": format_time(one.until),
            }
            for one in seen.waived
        ],
        "erased": [
            {"path": path, "sha256": stone.blob.value, "believed": stone.believed, "is": stone.text}
            for path, stone in seen.erased
        ],
    }


def _said(stop: Stop) -> str:
    return "stopped" if stop.mark != "quarantined" else stop.mark


def _stop(stop: Stop) -> dict[str, str]:
    return {"target": stop.target, "reason": stop.reason, "by": stop.by}


def _print(seen: Described) -> None:
    output.line(f"{seen.found.label}")
    output.line(f"  digest   {seen.found.digest}")
    for row, worth, signer in seen.versions:
        output.line(f"  name     {row.name}  {row.kind}, {worth} by {signer}")
    for stop in seen.stops:
        output.line(f"  STOPPED  {stop.target} is {_said(stop)} by {stop.by}: {stop.reason}")
    for let in seen.waived:
        until = format_time(let.until)
        output.line(f"  WAIVED   {let.stop.target} is {_said(let.stop)} by {let.stop.by}")
        output.line(f"           let pass until {until} by {let.by}: {let.reason}")
    for path, stone in seen.erased:
        output.line(f"  ERASED   {path}: {stone.text}")
    if seen.provenance is not None:
        _print_build(seen)
    for edge in seen.made_from.edges:
        other = seen.made_from.nodes[edge.input].label
        output.line(f"  input    {edge.relation} {other}  ({edge.assurance})")
    for name, path in seen.contained_in[:FILES_SHOWN]:
        output.line(f"  file of  {name}  {path}")
    if seen.manifest is not None:
        entries = seen.manifest.entries
        output.line(f"  files    {len(entries)}, {output.size(seen.manifest.size)}")
        output.table(
            ["    SHA-256", "SIZE", "PATH"],
            [
                [f"    {e.sha256.value[:12]}", output.size(e.size), e.path]
                for e in entries[:FILES_SHOWN]
            ],
        )
        if len(entries) > FILES_SHOWN:
            output.line(f"    ... and {len(entries) - FILES_SHOWN} more (--json lists all)")


def _print_build(seen: Described) -> None:
    made = seen.provenance
    if made is None:
        return
    output.line(f"  build    {made.build or made.build_type}, finished {made.finished}")
    if made.source is not None:
        state = " with uncommitted changes" if made.source.dirty else ""
        where = f" of {made.source.remote}" if made.source.remote else ""
        output.line(f"  commit   {made.source.commit}{where}{state}")
    for name, value in made.parameters.items():
        output.line(f"  param    {name} = {value}")
