"""sign-oms, verify-oms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress

if TYPE_CHECKING:
    from stemma_registry.oms import Written

_PATH = click.Path(path_type=Path)
# What model_signing passes over when it verifies, unless it is told not to.
_GIT_PATHS = (".gitattributes", ".github", ".gitignore")


@click.command("sign-oms")
@click.argument("directory", metavar="DIR", type=_PATH)
@click.option("--sign", metavar="URI", help="The signer: key:FILE, hsm:ID, ... (else the home's).")
@click.option("--out", type=_PATH, help="Where to write it (else model.sig in DIR).")
@click.option("--ignore", multiple=True, metavar="PATH", help="Leave PATH in DIR unsigned. Repeat.")
@pass_session
def sign_oms(
    session: Session, directory: Path, sign: str | None, out: Path | None, ignore: tuple[str, ...]
) -> None:
    """Write an OpenSSF model signature of every file in DIR.

    `model_signing verify key` accepts it. What is ignored is named in it.
    """
    from stemma_registry import oms

    path = out or directory / "model.sig"
    signer = session.key_signer(sign)
    with progress("hashing") as advance:
        written = oms.sign(directory, path, ignore, signer, advance)
    if session.json:
        output.document(
            {
                "signature": str(path),
                "root": str(written.manifest.oms_root),
                "files": len(written.manifest.entries),
                "size": written.manifest.size,
                "ignored": list(written.ignored),
                "key_id": signer.public.id,
            }
        )
        return
    output.line(f"signature  {path}")
    output.line(f"root       {written.manifest.oms_root}")
    output.line(f"files      {len(written.manifest.entries)}, {output.size(written.manifest.size)}")
    output.line(f"key id     {signer.public.id}")
    _warn(written)


def _warn(written: Written) -> None:
    names = {entry.path.partition("/")[0] for entry in written.manifest.entries}
    if names.intersection(_GIT_PATHS):
        found = ", ".join(sorted(names.intersection(_GIT_PATHS)))
        output.note(f"{found}: model_signing checks this with --no-ignore-git-paths only")


@click.command("verify-oms")
@click.argument("directory", metavar="DIR", type=_PATH)
@click.option("--signature", type=_PATH, help="The signature (else model.sig in DIR).")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The public key of whom you believe.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATH",
    help="Agree that PATH is unsigned, where the signature says so. Repeat.",
)
@pass_session
def verify_oms(
    session: Session, directory: Path, signature: Path | None, key: Path, ignore: tuple[str, ...]
) -> None:
    """Hold DIR against an OpenSSF model signature. Every file counts."""
    from stemma_attestations.keys import PublicKey
    from stemma_registry import oms

    public = PublicKey.parse(key.read_bytes())
    path = signature or directory / "model.sig"
    with progress("hashing") as advance:
        checked = oms.verify(directory, path, oms.by_key(public), ignore, advance)
    code = exits.BYTES_DIFFER if checked.differences else exits.DONE
    if session.json:
        output.document(
            {
                "verified": not checked.differences,
                "code": code,
                "root": str(checked.signed.root),
                "files": len(checked.signed.files),
                "key_id": public.id,
                "ignored": list(checked.signed.ignored),
                "passed_over": list(checked.passed_over),
                "differences": list(checked.differences),
            }
        )
    elif checked.differences:
        output.line(f"NOT VERIFIED ({exits.MEANING[code]}, exit {code})  {directory}")
        for line in checked.differences:
            output.line(f"  {line}")
    else:
        output.line(f"VERIFIED  {directory}")
        output.line(f"  {checked.signed.root}")
        count = len(checked.signed.files)
        output.line(f"  {'1 file' if count == 1 else f'{count} files'}, key {public.id[:12]}")
        for left in checked.passed_over:
            output.line(f"  passed over, unsigned: {left}")
    click.get_current_context().exit(code)
