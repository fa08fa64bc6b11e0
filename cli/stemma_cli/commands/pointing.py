"""add, checkout, diff."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_attestations.relations import BUILDS, KINDS
from stemma_cli import exits, output
from stemma_cli.commands.publishing import inputs_and_parameters, report_published, split_pairs
from stemma_cli.session import Session, pass_session, progress
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from stemma_attestations.digest import Digest
    from stemma_attestations.manifest import Entry, Manifest
    from stemma_registry.pointers.adding import Added, Named
    from stemma_registry.pointers.differing import Change
    from stemma_registry.pointers.restoring import Left, Restored

_PATH = click.Path(path_type=Path)
SHOWN = 20
MARKS = {"added": "+", "removed": "-", "changed": "~"}


@click.command()
@click.argument("paths", metavar="PATH...", type=_PATH, nargs=-1, required=True)
@click.option("--as", "name", metavar="NAME:VERSION", help="What it is called.")
@click.option("--kind", type=click.Choice(KINDS), help="With --as: what it is.")
@inputs_and_parameters
@click.option(
    "--build-type", type=click.Choice(BUILDS), help="What made it (else told from the inputs)."
)
@click.option(
    "--pointers-over",
    metavar="BYTES",
    type=click.IntRange(min=0),
    help="Up to this size a text stays as it is (else 1000000).",
)
@click.option("--no-lfs-objects", is_flag=True, help="Keep no bytes for `git lfs` in .git/lfs.")
@signing()
@pass_session
def add(
    session: Session,
    paths: tuple[Path, ...],
    name: str | None,
    kind: str | None,
    inputs: tuple[str, ...],
    params: tuple[str, ...],
    build_type: str | None,
    pointers_over: int | None,
    no_lfs_objects: bool,
    sign: Choice,
) -> None:
    """Publish a file or directory of a Git work tree, and leave Git LFS pointers in its place.

    Without --as its bytes are in the registry already. What is large, or no text, becomes a
    pointer; a file that is named becomes one, whatever it is. Nothing is staged: see `git add`.
    """
    from stemma_registry.pointers import adding

    about = (inputs, params, build_type)
    named = _named(paths, name, kind, about)
    over = adding.OVER if pointers_over is None else pointers_over
    wish = adding.Wish(over, not no_lfs_objects, session.settings.stat_cache)
    registry, trust = session.open(), session.trust()
    signer = session.signer(sign) if named is not None or sign else None
    done = []
    with progress("storing") as advance:
        for path in paths:
            one = adding.add(registry, trust, signer, path, named, wish, session.now, advance)
            done.append((path, one))
    if session.json:
        output.document({"added": [_added(path, one) for path, one in done]})
        return
    for path, one in done:
        _show_added(path, one)


def _named(
    paths: Sequence[Path],
    name: str | None,
    kind: str | None,
    about: tuple[tuple[str, ...], tuple[str, ...], str | None],
) -> Named | None:
    from stemma_attestations.names import NameVersion
    from stemma_registry.pointers.adding import Named

    inputs, params, build_type = about
    if name is None:
        if kind or any(about):
            raise click.UsageError("--kind, --input, --param and --build-type go with --as")
        return None
    if kind is None:
        raise click.UsageError("--as NAME:VERSION goes with --kind KIND")
    if len(paths) > 1:
        raise click.UsageError("--as names one artifact: say one PATH")
    pairs = split_pairs(inputs, "--input", "RELATION=REF")
    parameters = split_pairs(params, "--param", "K=V")
    return Named(NameVersion.parse(name), kind, pairs, parameters, build_type)


def _added(path: Path, one: Added) -> dict[str, Any]:
    published = one.published
    return {
        "path": str(path),
        "artifact": str(one.artifact),
        "label": one.label,
        "outcome": str(published.outcome) if published else "known",
        "entry": published.entry if published else one.laid,
        "written": [_entry(entry) for entry in one.written],
        "pointers_before": list(one.were),
        "kept": list(one.kept),
        "attributes": list(one.attributes),
        "warnings": list(published.warnings) if published else [],
    }


def _show_added(path: Path, one: Added) -> None:
    if one.published is not None:
        report_published(one.label, one.published)
    else:
        new = "nothing new to record" if one.laid is None else f"entry {one.laid} says how it lies"
        output.line(f"{one.label}  known, {new}")
        output.line(f"  {one.artifact}")
    size = output.size(sum(entry.size for entry in one.written))
    were = f", {len(one.were)} were before" if one.were else ""
    kept = f", {len(one.kept)} stay as they are" if one.kept else ""
    output.line(f"  {_count(one.written)} written ({size}){were}{kept}")
    for line in one.attributes[:SHOWN]:
        output.line(f"  .gitattributes: {line}")
    if one.written:
        output.line(f"  commit them: git add {path} and .gitattributes")


@click.command()
@click.argument("paths", metavar="[PATH]...", type=_PATH, nargs=-1)
@click.option("--quarantined", is_flag=True, help="Also what is quarantined, to examine it.")
@click.option("--trust", metavar="SOURCE", help="The trust root (else the home's).")
@pass_session
def checkout(
    session: Session, paths: tuple[Path, ...], quarantined: bool, trust: str | None
) -> None:
    """Give the Git LFS pointers at PATHs (else all of the work tree) their bytes, checked.

    What is quarantined is refused (11). Only pointers are replaced; signatures are not judged
    here: ask `verify --git`.
    """
    from stemma_registry.pointers import restoring, worktree

    wanted = paths or (worktree.find(Path()).root,)
    with session.view(trust) as (registry, view), progress("writing") as advance:
        done = restoring.checkout(
            registry, view, wanted, allow_quarantined=quarantined, progress=advance
        )
    failure = restoring.worst(done.left)
    code = exits.code_of(failure) if failure else exits.DONE
    if session.json:
        output.document(_restored(done, code))
    else:
        _show_restored(done)
    click.get_current_context().exit(code)


def _restored(done: Restored, code: int) -> dict[str, Any]:
    return {
        "code": code,
        "written": [_entry(entry) for entry in done.written],
        "left": [
            {
                "path": one.path,
                "code": exits.code_of(one.error),
                "kind": type(one.error).__name__,
                "reason": str(one.error),
            }
            for one in done.left
        ],
    }


def _show_restored(done: Restored) -> None:
    size = output.size(sum(entry.size for entry in done.written))
    output.line(f"bytes of {_count(done.written)} are back ({size})")
    for entry in done.written[:SHOWN]:
        output.line(f"  {entry.path}  {entry.sha256.short}")
    for one in done.left:
        output.line(f"  left: {one.path}: {_why(one)}")
    if done.written and shutil.which("git-lfs") is None:
        output.note(
            "note: git lfs is not installed, so `git status` calls these files changed; "
            "do not `git add` them: `stemma add` puts the pointers back"
        )


def _count(written: Sequence[Entry]) -> str:
    return f"{len(written)} pointer{'s' if len(written) != 1 else ''}"


def _why(one: Left) -> str:
    return f"{one.error} (exit {exits.code_of(one.error)})"


@click.command()
@click.argument("revisions", metavar="[REV] [REV2]", nargs=-1)
@click.option("--path", type=_PATH, default=Path(), help="Only below this path of the work tree.")
@click.option("--against", metavar="REF", help="Hold the files at --path to this artifact.")
@pass_session
def diff(session: Session, revisions: tuple[str, ...], path: Path, against: str | None) -> None:
    """Show which bytes differ between REV (else HEAD) and REV2 (else the work tree).

    What Git LFS has is compared, by what the pointers say. With --against, the files of an
    artifact are, all of them, to those of REV, else of the work tree.
    """
    from stemma_registry.pointers import differing

    if len(revisions) > (2 if against is None else 1):
        raise click.UsageError("at most two revisions, or one and --against REF")
    repo, place = differing.repository_at(path)
    manifest = _manifest(session, against) if against is not None else None
    with repo, progress("hashing") as advance:
        old, new = differing.states(repo, place, revisions, manifest, advance)
    changes = differing.between(old, new)
    names = _holders(session, changes)
    if session.json:
        output.document({"changes": [_change(one, names) for one in changes]})
        return
    for one in changes:
        entries = [entry for entry in (one.old, one.new) if entry is not None]
        sizes = " -> ".join(
            f"{output.size(entry.size)} {entry.sha256.value[:12]}{_in(names, entry)}"
            for entry in entries
        )
        output.line(f"{MARKS[one.word]} {one.path}  {sizes}")
    if not changes:
        output.line("nothing differs")


def _manifest(session: Session, ref: str) -> Manifest:
    from stemma_registry import gate
    from stemma_registry.reference import resolve

    with session.view() as (registry, view):
        return gate.load_manifest(registry, view, resolve(view, ref))


def _holders(session: Session, changes: Sequence[Change]) -> Mapping[Digest, Sequence[str]]:
    """The artifacts that have the files; none are named where there is no registry."""
    from stemma_registry.errors import NotFound
    from stemma_registry.pointers import differing

    if not changes:
        return {}
    try:
        with session.view() as (_, view):
            return differing.holders(view, changes)
    except NotFound:
        return {}


def _change(one: Change, names: Mapping[Digest, Sequence[str]]) -> dict[str, Any]:
    def side(entry: Entry | None) -> dict[str, Any] | None:
        if entry is None:
            return None
        return {
            "size": entry.size,
            "sha256": entry.sha256.value,
            "artifacts": list(names.get(entry.sha256, ())),
        }

    return {"path": one.path, "change": one.word, "old": side(one.old), "new": side(one.new)}


def _in(names: Mapping[Digest, Sequence[str]], entry: Entry) -> str:
    held = names.get(entry.sha256, ())
    return f" ({', '.join(held)})" if held else ""


def _entry(entry: Entry) -> dict[str, Any]:
    return {"path": entry.path, "size": entry.size, "sha256": entry.sha256.value}
