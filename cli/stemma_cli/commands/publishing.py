"""push, pull."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from stemma_attestations.relations import BUILDS, KINDS
from stemma_cli import durations, output
from stemma_cli.commands import indexing
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemma_attestations.digest import Digest
    from stemma_attestations.manifest import Manifest
    from stemma_attestations.names import NameVersion
    from stemma_registry.publish import Published, Push
    from stemma_registry.records.attaching import Indexed
    from stemma_registry.registry import Registry
    from stemma_registry.serving import Question
    from stemma_registry.signing import Signer

_DIRECTORY = click.Path(path_type=Path)


def split_pairs(values: tuple[str, ...], option: str, form: str) -> list[tuple[str, str]]:
    """LEFT=RIGHT of each value. Raises UsageError."""
    pairs = []
    for value in values:
        left, equals, right = value.partition("=")
        if not equals or not left or not right:
            raise click.UsageError(f"{option} {value!r}: write {option} {form}")
        pairs.append((left, right))
    return pairs


def inputs_and_parameters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--input` and `--param`; the command is called with `inputs` and `params`."""

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
    @functools.wraps(command)
    def call(*arguments: Any, **others: Any) -> Any:
        return command(*arguments, **others)

    return call


@click.command()
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
@click.argument("name", metavar="NAME:VERSION")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What it is.")
@inputs_and_parameters
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
@click.option("--no-tensors", is_flag=True, help="Take no digests of the tensors in the files.")
@click.option(
    "--record-index",
    type=click.Choice(("keyed", "public", "off")),
    help="How the records of a dataset are indexed (else as configured: keyed).",
)
@click.option(
    "--index-fields",
    multiple=True,
    metavar="A,B",
    help="Index records by these fields alone, too. Repeat for each set.",
)
@click.option(
    "--index-near",
    multiple=True,
    metavar="A,B",
    help="Index the text in these fields for near matches, too. Repeat for each set.",
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
    no_tensors: bool,
    record_index: str | None,
    index_fields: tuple[str, ...],
    index_near: tuple[str, ...],
    started: str | None,
) -> None:
    """Publish DIR as NAME:VERSION, with signed provenance, lineage and BOM.

    The Git commit is taken from the working directory. A name is immutable;
    pushing the same again does nothing. The records of a dataset are indexed
    behind the push, in a ledger entry of their own.
    """
    from stemma_attestations.names import NameVersion
    from stemma_attestations.times import parse_time
    from stemma_registry.publish import Push, publish

    job = Push(
        directory=directory,
        name=NameVersion.parse(name),
        kind=kind,
        inputs=split_pairs(inputs, "--input", "RELATION=REF"),
        parameters=dict(split_pairs(params, "--param", "K=V")),
        working_directory=Path.cwd(),
        build=build_type,
        stat_cache=session.settings.stat_cache if stat_cache is None else stat_cache,
        tensors=not no_tensors,
        require_clean=require_clean,
        started=parse_time(started) if started else None,
    )
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    with progress("storing") as advance:
        done = publish(registry, trust, signer, job, session.now, advance)
    how = (record_index or session.settings.record_index, index_fields, index_near)
    indexed = (
        _index(session, registry, job, done.artifact, how, signer) if kind == "dataset" else []
    )
    if session.json:
        output.document(_document(job, done, signer.id, indexed))
        return
    report_published(str(job.name), done)
    indexing.show(indexed)


def report_published(name: str, done: Published) -> None:
    """What a push came to, for people."""
    for warning in done.warnings:
        output.note(f"warning: {warning}")
    where = f"ledger entry {done.entry}" if done.entry is not None else "nothing new to record"
    output.line(f"{name}  {done.outcome}, {where}")
    output.line(f"  {done.artifact}")
    made = f", commit {done.source.commit[:12]}" if done.source else ""
    output.line(f"  {_amount(done.manifest)}{made}")


def _index(
    session: Session,
    registry: Registry,
    job: Push,
    artifact: Digest,
    how: tuple[str, Sequence[str], Sequence[str]],
    signer: Signer,
) -> list[Indexed]:
    """Behind the push, which is committed: `how` is a mode, and sets of fields, exact and near."""
    from stemma_registry.records import attaching

    exact, near = ([indexing.split(fields) or [] for fields in sets] for sets in how[1:])
    subject = (artifact, job.name)
    with progress("indexing") as advance:
        return attaching.after_push(
            registry, session.trust(), signer, subject, (how[0], exact, near), session.now, advance
        )


def _document(
    job: Push, done: Published, signer: str, indexed: Sequence[Indexed]
) -> dict[str, object]:
    return {
        "artifact": str(done.artifact),
        "name": job.name.name,
        "version": job.name.version,
        "outcome": str(done.outcome),
        "entry": done.entry,
        "files": len(done.manifest.entries),
        "size": done.manifest.size,
        "git_commit": done.source.commit if done.source else None,
        "git_dirty": done.source.dirty if done.source else None,
        "signer": signer,
        "warnings": list(done.warnings),
        "record_index": [indexing.document(one) for one in indexed],
    }


@click.command()
@click.argument("ref", metavar="REF")
@click.argument("directory", metavar="DIR", type=_DIRECTORY)
@click.option("--quarantined", is_flag=True, help="Also what is quarantined, to examine it.")
@click.option("--verified", is_flag=True, help="Only what `stemma verify` says yes to.")
@click.option("--trust", metavar="SOURCE", help="--verified: the trust root (else the home's).")
@click.option("--policy", metavar="FILE|NAME", help="--verified: what must be true.")
@click.option("--stage", metavar="STAGE", help="--verified: where it would be served: prod.")
@click.option("--max-age", metavar="TIME", help="--verified: how old the status may be: 15m, 1h.")
@pass_session
def pull(
    session: Session,
    ref: str,
    directory: Path,
    quarantined: bool,
    verified: bool,
    trust: str | None,
    policy: str | None,
    stage: str | None,
    max_age: str | None,
) -> None:
    """Materialise the bytes of REF into the new directory DIR: whole and checked, or not at all.

    What is quarantined is refused (11). Without --verified this checks bytes, not
    signatures. With it, DIR is there only if the gate says yes to these bytes.
    """
    if verified:
        if quarantined:
            raise click.UsageError("what is quarantined is not --verified")
        question = _question(session, ref, policy, stage, max_age)
        found = _pull_verified(session, question, directory, trust)
    elif (trust, policy, stage, max_age) != (None, None, None, None):
        raise click.UsageError("--trust, --policy, --stage and --max-age are for --verified")
    else:
        found = _pull(session, ref, directory, quarantined)
    if session.json:
        output.document(
            {
                "artifact": str(found.manifest.digest),
                "name": str(found.name) if found.name else None,
                "directory": str(directory),
                "files": len(found.manifest.entries),
                "size": found.manifest.size,
                "verified": verified,
            }
        )
        return
    output.line(f"{found.label}  {'verified, ' if verified else ''}in {directory}")
    output.line(f"  {found.manifest.digest}")
    output.line(f"  {_amount(found.manifest)}")


class _Pulled(NamedTuple):
    label: str
    name: NameVersion | None
    manifest: Manifest


def _pull(session: Session, ref: str, directory: Path, quarantined: bool) -> _Pulled:
    from stemma_registry import gate
    from stemma_registry.directory import materialise

    with session.view() as (registry, view):
        found, manifest = gate.obtain(registry, view, ref, allow_quarantined=quarantined)
    with progress("writing") as advance:
        materialise(registry.store, manifest, directory, advance)
    return _Pulled(found.label, found.name, manifest)


def _question(
    session: Session, ref: str, policy: str | None, stage: str | None, max_age: str | None
) -> Question:
    """What `verify` would be asked."""
    from stemma_registry.gate import Terms
    from stemma_registry.serving.asking import Question

    limit = durations.given(max_age)
    return Question(ref, terms=Terms(session.policy(policy), stage, max_age=limit))


def _pull_verified(
    session: Session, question: Question, directory: Path, trust: str | None
) -> _Pulled:
    from stemma_registry.serving.asking import Place
    from stemma_registry.serving.pulling import pull_verified

    place = Place(session.location, session.home, trust)
    with progress("writing") as advance:
        done = pull_verified(place, question, directory, advance)
    return _Pulled(question.subject, done.verdict.name, done.manifest)


def _amount(manifest: Manifest) -> str:
    count = len(manifest.entries)
    return f"{count} file{'s' if count != 1 else ''}, {output.size(manifest.size)}"
