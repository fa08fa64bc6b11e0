"""attest, attach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session, read_file
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_registry.foreign.attach import Done

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("ref", metavar="REF")
@click.option("--predicate", required=True, type=_FILE, help="What is said: a JSON object.")
@click.option("--type", "predicate_type", required=True, metavar="URI", help="The predicate type.")
@signing()
@pass_session
def attest(session: Session, ref: str, predicate: Path, predicate_type: str, sign: Choice) -> None:
    """Sign an in-toto statement about the artifact REF and put it into the registry.

    Saying the same again does nothing.
    """
    from stemma_attestations import json_strict
    from stemma_registry.foreign.attest import attest as say

    said = (ref, predicate_type, read_file(predicate, json_strict.MAX_BYTES))
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    done = say(registry, trust, signer, said, session.now)
    if session.json:
        output.document(
            {
                "artifact": str(done.artifact),
                "name": str(done.name) if done.name else None,
                "predicate_type": predicate_type,
                "statement": str(done.statement),
                "outcome": "unchanged" if done.entry is None else "added",
                "entry": done.entry,
                "signer": signer.id,
                "warnings": list(done.warnings),
            }
        )
        return
    for warning in done.warnings:
        output.note(f"warning: {warning}")
    output.line(f"{done.name or done.artifact.short}  {_outcome(done.entry, 'added')}")
    output.line(f"  {predicate_type}")
    output.line(f"  statement {done.statement}")


@click.command()
@click.argument("ref", metavar="REF")
@click.argument("files", metavar="FILE", nargs=-1, required=True, type=_FILE)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=_FILE,
    help="A public key (PEM) that came along. Repeat.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out what is not well-formed or about REF.")
@signing()
@pass_session
def attach(
    session: Session,
    ref: str,
    files: tuple[Path, ...],
    keys: tuple[Path, ...],
    skip_bad: bool,
    sign: Choice,
) -> None:
    """Keep what other tools signed about the artifact REF, as it came.

    FILE is a Sigstore bundle, an OpenSSF model signature, a DSSE envelope, an in-toto link,
    a PEP 740 or npm attestation, a cosign bundle, or a collection of such lines (.jsonl).
    """
    from stemma_attestations.bundle import MAX_BYTES
    from stemma_attestations.keys import PublicKey
    from stemma_registry.foreign.attach import Given
    from stemma_registry.foreign.attach import attach as keep
    from stemma_registry.signing import MAX_KEY_BYTES

    given = Given(
        [(path.name, read_file(path, MAX_BYTES)) for path in files],
        [PublicKey.parse(read_file(path, MAX_KEY_BYTES)) for path in keys],
        skip_bad,
    )
    registry, signer, trust = session.open(), session.signer(sign), session.trust()
    report(session, keep(registry, trust, signer, ref, given, session.now))


def report(session: Session, done: Done) -> None:
    """Print what was attached."""
    if session.json:
        output.document(document(done))
        return
    for problem in done.skipped:
        output.note(f"skipped: {problem}")
    output.line(f"{done.name or done.artifact.short}  {_outcome(done.entry, 'attached')}")
    for taken in done.taken:
        about = f" about {taken.names}" if taken.names else ""
        state = "verified" if taken.signer else "unverified"
        output.line(f"  {taken.label}: {taken.piece.says}{about}  {state}")
        if taken.note:
            output.line(f"    {taken.note}")


def document(done: Done) -> dict[str, Any]:
    """What was attached, as JSON."""
    return {
        "artifact": str(done.artifact),
        "name": str(done.name) if done.name else None,
        "outcome": "unchanged" if done.entry is None else "attached",
        "entry": done.entry,
        "attached": [
            {
                "file": taken.label,
                "form": taken.piece.form,
                "says": taken.piece.says,
                "names": taken.names,
                "verified": taken.signer is not None,
                "key_id": taken.signer,
                "note": taken.note or None,
                "digest": str(taken.digest),
            }
            for taken in done.taken
        ],
        "skipped": list(done.skipped),
    }


def _outcome(entry: int | None, what: str) -> str:
    return "unchanged, nothing new to record" if entry is None else f"{what}, ledger entry {entry}"
