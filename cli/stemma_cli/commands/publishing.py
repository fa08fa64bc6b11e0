"""push, pull."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_attestations.relations import BUILDS, KINDS
from stemma_cli import output
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.manifest import Manifest

_DIRECTORY = click.Path(path_type=Path)


def _pairs(values: tuple[str, ...], option: str, form: str) -> list[tuple[str, str]]:
    pairs = []
    for value in values:
        left, equals, right = value.partition("=")
        if not equals or not left or not right:
            raise click.UsageError(f"{option} {value!r}: write {option} {form}")
        pairs.append((left, right))
    return pairs


@click.command()
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
@click.argument("name", metavar="NAME:VERSION")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What it is.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="RELATION=REF",
    help="What it was made from, e.g. trained-on=data/digits:1. Repeat for each.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="K=V",
    help="A parameter, signed and stored: no secrets. Repeat.",
)
@click.option(
    "--build-type", type=click.Choice(BUILDS), help="What made it (else told from the inputs)."
)
@signing()
@click.option("--require-clean", is_flag=True, help="Refuse if the Git checkout has changes.")
@click.option(
    "--stat-cache/--no-stat-cache",
    default=None,
    help="Whether a file that looks unchanged is not read again (else as configured: yes).",
)
@click.option("--started", metavar="TIME", help="When the job began, RFC 3339 (else now).")
@pass_session
def push(
    session: Session,
    directory: Path,
    name: str,
    kind: str,
    inputs: tuple[str, ...],
    params: tuple[str, ...],
    build_type: str | None,
    sign: Choice,
    require_clean: bool,
    stat_cache: bool | None,
    started: str | None,
) -> None:
    """Publish DIR as NAME:VERSION, with signed provenance, lineage and BOM.

    The Git commit is taken from the working directory. A name is immutable;
    pushing the same again does nothing.
    """
    from stemma_attestations.names import NameVersion
    from stemma_attestations.times import parse_time
    from stemma_registry.publish import Push, publish

    job = Push(
        directory=directory,
        name=NameVersion.parse(name),
        kind=kind,
        inputs=_pairs(inputs, "--input", "RELATION=REF"),
        parameters=dict(_pairs(params, "--param", "K=V")),
        working_directory=Path.cwd(),
        build=build_type,
        stat_cache=session.settings.stat_cache if stat_cache is None else stat_cache,
        require_clean=require_clean,
        started=parse_time(started) if started else None,
    )
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    with progress("storing") as advance:
        done = publish(registry, trust, signer, job, session.now, advance)
    commit = done.source.commit if done.source else None
    if session.json:
        output.document(
            {
                "artifact": str(done.artifact),
                "name": job.name.name,
                "version": job.name.version,
                "outcome": str(done.outcome),
                "entry": done.entry,
                "files": len(done.manifest.entries),
                "size": done.manifest.size,
                "git_commit": commit,
                "git_dirty": done.source.dirty if done.source else None,
                "signer": signer.id,
                "warnings": list(done.warnings),
            }
        )
        return
    for warning in done.warnings:
        output.note(f"warning: {warning}")
    where = f"ledger entry {done.entry}" if done.entry is not None else "nothing new to record"
    output.line(f"{job.name}  {done.outcome}, {where}")
    output.line(f"  {done.artifact}")
    made = f", commit {commit[:12]}" if commit else ""
    output.line(f"  {_amount(done.manifest)}{made}")


@click.command()
@click.argument("ref", metavar="REF")
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
@click.option("--quarantined", is_flag=True, help="Also what is quarantined, to examine it.")
@pass_session
def pull(session: Session, ref: str, directory: Path, quarantined: bool) -> None:
    """Materialise the bytes of REF into the new directory DIR: whole and checked, or not at all.

    What is quarantined is refused (11). This checks bytes, not signatures: ask
    `stemma verify` before anything is served.
    """
    from stemma_registry import gate
    from stemma_registry.directory import materialise

    with session.view() as (registry, view):
        found, manifest = gate.obtain(registry, view, ref, allow_quarantined=quarantined)
    with progress("writing") as advance:
        materialise(registry.store, manifest, directory, advance)
    if session.json:
        output.document(
            {
                "artifact": str(found.digest),
                "name": str(found.name) if found.name else None,
                "directory": str(directory),
                "files": len(manifest.entries),
                "size": manifest.size,
            }
        )
        return
    output.line(f"{found.label}  in {directory}")
    output.line(f"  {found.digest}")
    output.line(f"  {_amount(manifest)}")


def _amount(manifest: Manifest) -> str:
    count = len(manifest.entries)
    return f"{count} file{'s' if count != 1 else ''}, {output.size(manifest.size)}"
