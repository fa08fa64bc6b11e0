"""import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_attestations.relations import KINDS
from stemma_cli import output
from stemma_cli.commands.publishing import inputs_and_parameters, report_published, split_pairs
from stemma_cli.session import Session, pass_session, progress, read_file
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.documents.reading import Reading
    from stemma_registry.importing.taking import Document, Taken
    from stemma_registry.registry import Registry

SHOWN = 10
_SAME = click.option(
    "--same",
    "pairs",
    metavar="THING=REF",
    multiple=True,
    help="Also claim that a thing the document names is the artifact REF. Repeat.",
)


@click.group(name="import")
def import_() -> None:
    """Take in what other tools wrote: claims, where nobody signed; evidence about commits."""


@import_.command()
@click.argument("path", metavar="FILE|DIR", type=click.Path(path_type=Path, exists=True))
@click.option("--for", "ref", metavar="REF", required=True, help="The artifact it is the card of.")
@_SAME
@signing()
@pass_session
def card(session: Session, path: Path, ref: str, pairs: tuple[str, ...], sign: Choice) -> None:
    """A model or dataset card of the Hugging Face Hub (README.md): base models and datasets."""
    from stemma_attestations.documents import card as reader
    from stemma_registry.config import LIMITS
    from stemma_registry.importing.taking import Document, artifact
    from stemma_registry.registry import snapshot

    place = path / "README.md" if path.is_dir() else path
    raw = read_file(place, LIMITS.import_bytes)
    registry = session.open()
    with snapshot(registry, session.trust(), session.now) as view:
        reading = reader.read(raw, artifact(registry, view, ref).digest)
    _take(session, registry, Document(place.name, raw, reader.SOURCE, reading), pairs, sign)


@import_.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@_SAME
@signing()
@pass_session
def openlineage(session: Session, file: Path, pairs: tuple[str, ...], sign: Choice) -> None:
    """OpenLineage events from FILE (- is stdin): one JSON document, a list, or one a line."""
    from stemma_attestations.documents import openlineage as reader
    from stemma_registry.config import LIMITS

    raw = _input(file)
    reading = reader.read(raw, LIMITS.import_bytes)
    _take(session, session.open(), _document(file, raw, reader.SOURCE, reading), pairs, sign)


@import_.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--scope", metavar="NAME", help="Whose paths they are (else the Git remote's).")
@_SAME
@signing()
@pass_session
def dvc(
    session: Session, folder: Path, scope: str | None, pairs: tuple[str, ...], sign: Choice
) -> None:
    """The dvc.lock of a DVC project, with the files that are there hashed."""
    from stemma_registry.importing import project

    _take(session, session.open(), project.read(folder, scope), pairs, sign)


@import_.command()
@click.argument("source", metavar="FILE|URI")
@click.option(
    "--experiment", "experiments", metavar="ID", multiple=True, help="Of a server: only these."
)
@_SAME
@signing()
@pass_session
def mlflow(
    session: Session,
    source: str,
    experiments: tuple[str, ...],
    pairs: tuple[str, ...],
    sign: Choice,
) -> None:
    """MLflow runs: exported JSON, or those of the tracking server at http(s)://HOST."""
    from stemma_attestations.documents import mlflow as reader
    from stemma_registry.config import LIMITS
    from stemma_registry.importing import tracking

    server = tracking.is_server(source)
    if experiments and not server:
        raise click.UsageError("--experiment is for a server; a file holds what it holds")
    raw = tracking.fetch(source, experiments) if server else _input(Path(source))
    reading = reader.read(raw, LIMITS.import_bytes)
    place = Path("runs.json") if server else Path(source)
    _take(session, session.open(), _document(place, raw, reader.SOURCE, reading), pairs, sign)


@import_.command()
@click.argument("repository", metavar="REPO", type=click.Path(path_type=Path, exists=True))
@click.argument("revision", metavar="[REVISION]", required=False)
@signing()
@pass_session
def commits(session: Session, repository: Path, revision: str | None, sign: Choice) -> None:
    """Signed commits and tags of a Git repository, and attestations in its notes and refs.

    Evidence for a policy that asks who signed or reviewed a commit; what is signed counts by
    its own signatures. Without REVISION: about the commits that the registry knows.
    """
    from stemma_registry.commits import taking
    from stemma_registry.gitrepo.repository import Repository

    signer, trust, registry = session.signer(sign), session.trust(), session.open()
    with Repository.open(repository) as source:
        done = taking.take(registry, trust, signer, (source, revision), session.now)
    for reason in done.reasons:
        output.note(f"passed over: {reason}")
    if session.json:
        output.document(
            {
                "commits": done.commits,
                "outcome": "unchanged" if done.entry is None else "imported",
                "entry": done.entry,
                "new": done.new,
                "signer": signer.id,
                "signed": [
                    {"commit": one.commit.value, "kind": one.kind, "object": str(one.blob)}
                    for one in done.signed
                ],
                "statements": [
                    {"type": kind, "bundle": str(bundle), "commits": list(about)}
                    for kind, bundle, about in done.statements
                ],
                "skipped": done.passed,
            }
        )
        return
    what = "unchanged, nothing new to record"
    if done.entry is not None:
        what = f"{done.new} new, ledger entry {done.entry}"
    kinds = [sum(one.kind == kind for one in done.signed) for kind in ("commit", "tag")]
    output.line(
        f"{_count(done.commits, 'commit')}: {kinds[0]} signed, {_count(kinds[1], 'signed tag')}, "
        f"{_count(len(done.statements), 'statement')}; {what}"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


@import_.command()
@click.argument("repository", metavar="REPO[@REV]")
@click.argument("path", metavar="[PATH]", default="")
@click.option("--as", "name", metavar="NAME:VERSION", required=True, help="What it is called.")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What it is.")
@inputs_and_parameters
@signing()
@pass_session
def git(
    session: Session,
    repository: str,
    path: str,
    name: str,
    kind: str,
    inputs: tuple[str, ...],
    params: tuple[str, ...],
    sign: Choice,
) -> None:
    """What a commit holds at PATH, published as built from that commit: pointers by their bytes.

    REPO is a path, or a https or ssh URL. The bytes of a pointer are in the registry, or in the
    repository on this machine.
    """
    from stemma_attestations.names import NameVersion
    from stemma_registry.gitrepo import named
    from stemma_registry.importing import commits

    pairs = split_pairs(inputs, "--input", "RELATION=REF")
    parameters = dict(split_pairs(params, "--param", "K=V"))
    wanted_name = NameVersion.parse(name)
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    with named.at_hand(repository) as at, progress("storing") as advance:
        wanted = commits.Wanted(at.label, at.revision, path, wanted_name, kind, pairs, parameters)
        done = commits.take(registry, trust, signer, at.repo, wanted, session.now, advance)
    published = done.published
    if session.json:
        output.document(
            {
                "artifact": str(published.artifact),
                "name": wanted_name.name,
                "version": wanted_name.version,
                "outcome": str(published.outcome),
                "entry": published.entry,
                "files": len(published.manifest.entries),
                "size": published.manifest.size,
                "pointers": done.pointers,
                "git_commit": done.commit,
                "git_tree": done.tree,
                "remote": done.remote,
                "path": path.strip("/"),
                "signer": signer.id,
                "warnings": list(published.warnings),
            }
        )
        return
    report_published(str(wanted_name), published)


def _input(file: Path) -> bytes:
    from stemma_registry.config import LIMITS

    if str(file) != "-":
        return read_file(file, LIMITS.import_bytes)
    raw = sys.stdin.buffer.read(LIMITS.import_bytes + 1)
    if len(raw) > LIMITS.import_bytes:
        raise click.UsageError(f"more than {LIMITS.import_bytes} bytes")
    return raw


def _document(file: Path, raw: bytes, source: str, reading: Reading) -> Document:
    from stemma_registry.importing.taking import Document

    return Document("stdin" if str(file) == "-" else file.name, raw, source, reading)


def _take(
    session: Session,
    registry: Registry,
    document: Document,
    pairs: tuple[str, ...],
    sign: Choice,
) -> None:
    from stemma_registry.importing import taking
    from stemma_registry.registry import snapshot

    split = [pair.rpartition("=") for pair in pairs]
    if not all(thing and ref for thing, _, ref in split):
        raise click.UsageError("--same THING=REF")
    signer, trust = session.signer(sign), session.trust()
    with snapshot(registry, trust, session.now) as view:
        taking.same(registry, view, document.reading, [(one[0], one[2]) for one in split])
    done = taking.take(registry, trust, signer, document, session.now)
    _report(session, document, done, signer.id)


def _report(session: Session, document: Document, done: Taken, signer: str) -> None:
    for text in done.notes:
        output.note(f"passed over: {text}")
    if session.json:
        output.document(
            {
                "source": document.source,
                "document": str(done.document),
                "statement": str(done.statement),
                "outcome": "unchanged" if done.entry is None else "imported",
                "entry": done.entry,
                "signer": signer,
                "edges": [_edge(claim) for claim in done.claims],
                "passed_over": list(done.notes),
            }
        )
        return
    what = "unchanged, nothing new to record"
    if done.entry is not None:
        what = f"imported, ledger entry {done.entry}"
    count = f"{len(done.claims)} claimed edge{'s' if len(done.claims) != 1 else ''}"
    output.line(f"{document.name}  {count}, {what}")
    for claim in done.claims[:SHOWN]:
        output.line(f"  {claim.output.short} {claim.relation} {claim.input.short}")
    if len(done.claims) > SHOWN:
        output.line(f"  and {len(done.claims) - SHOWN} more")


def _edge(claim: Any) -> dict[str, str]:
    return {
        "output": str(claim.output),
        "relation": claim.relation,
        "input": str(claim.input),
    }
