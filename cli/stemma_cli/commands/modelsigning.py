"""sign-oms, verify-oms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import exits, output
from stemma_cli.session import Session, pass_session, progress, read_file
from stemma_cli.signers import Choice

if TYPE_CHECKING:
    from stemma_registry.foreign.oms import Checked, Written
    from stemma_registry.foreign.oms_signers import Believe, Seal

_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
# What model_signing passes over when it verifies, unless it is told not to.
_GIT_PATHS = (".gitattributes", ".github", ".gitignore")


@click.command("sign-oms")
@click.argument("directory", metavar="DIR", type=_PATH)
@click.option(
    "--sign", metavar="URI", help="The signer: key:FILE, sigstore:, ... (else the home's)."
)
@click.option("--certificate", type=_FILE, help="Of the signing key (PEM): it goes along.")
@click.option(
    "--certificate-chain",
    multiple=True,
    type=_FILE,
    help="Certificates above it (PEM). Repeat.",
)
@click.option("--out", type=_PATH, help="Where to write it (else model.sig in DIR).")
@click.option("--ignore", multiple=True, metavar="PATH", help="Leave PATH in DIR unsigned. Repeat.")
@pass_session
def sign_oms(
    session: Session,
    directory: Path,
    sign: str | None,
    certificate: Path | None,
    certificate_chain: tuple[Path, ...],
    out: Path | None,
    ignore: tuple[str, ...],
) -> None:
    """Write an OpenSSF model signature of every file in DIR.

    `model_signing verify` accepts it. What is ignored is named in it.
    """
    from stemma_registry.foreign import oms

    path = out or directory / "model.sig"
    seal, key_id = _seal(session, sign, certificate, certificate_chain)
    with progress("hashing") as advance:
        written = oms.sign(directory, path, ignore, seal, advance)
    if session.json:
        output.document(
            {
                "signature": str(path),
                "root": str(written.manifest.oms_root),
                "files": len(written.manifest.entries),
                "size": written.manifest.size,
                "ignored": list(written.ignored),
                "key_id": key_id,
                "signer": written.signer,
            }
        )
        return
    output.line(f"signature  {path}")
    output.line(f"root       {written.manifest.oms_root}")
    output.line(f"files      {len(written.manifest.entries)}, {output.size(written.manifest.size)}")
    output.line(f"key id     {key_id}" if key_id else f"signer     {written.signer}")
    _warn(written)


def _seal(
    session: Session, uri: str | None, certificate: Path | None, chain: tuple[Path, ...]
) -> tuple[Seal, str | None]:
    """How to sign, and the id of a bare key."""
    from stemma_registry.foreign import oms_signers

    if chain and certificate is None:
        raise click.UsageError("--certificate-chain stands above a --certificate")
    if uri is not None and uri.startswith("sigstore:"):
        if certificate is not None:
            raise click.UsageError("sigstore: brings a certificate of its own")
        return oms_signers.with_identity(session.signer(Choice(uri))), None
    signer = session.key_signer(uri)
    if certificate is None:
        return oms_signers.with_key(signer), signer.public.id
    found = _certificates((certificate, *chain))
    return oms_signers.with_certificate(signer, found, session.now), None


def _certificates(paths: tuple[Path, ...]) -> list[bytes]:
    from stemma_attestations import certificates

    limit = certificates.MAX_PINNED_BYTES
    return [der for path in paths for der in certificates.read_pem(read_file(path, limit))]


def _warn(written: Written) -> None:
    names = {entry.path.partition("/")[0] for entry in written.manifest.entries}
    if names.intersection(_GIT_PATHS):
        found = ", ".join(sorted(names.intersection(_GIT_PATHS)))
        output.note(f"{found}: model_signing checks this with --no-ignore-git-paths only")


@click.command("verify-oms")
@click.argument("directory", metavar="DIR", type=_PATH)
@click.option("--signature", type=_PATH, help="The signature (else model.sig in DIR).")
@click.option("--key", type=_FILE, help="The public key of whom you believe.")
@click.option("--identity", metavar="SUBJECT", help="Or the identity: an e-mail address or URI.")
@click.option("--issuer", metavar="URL", help="Who vouches for the identity; compared exactly.")
@click.option(
    "--certificate-chain",
    multiple=True,
    type=_FILE,
    help="Or a root certificate (PEM), with those below it. Repeat.",
)
@click.option("--trust", "trust_path", type=_FILE, help="Or a trust root, which lists whom.")
@click.option("--as", "name", metavar="NAME:VERSION", help="What DIR is, for the trust root.")
@click.option(
    "--trusted-root",
    metavar="FILE|DIGEST",
    help="The Sigstore instance  [default: the public one]",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATH",
    help="Agree that PATH is unsigned, where the signature says so. Repeat.",
)
@pass_session
def verify_oms(
    session: Session,
    /,
    directory: Path,
    signature: Path | None,
    ignore: tuple[str, ...],
    **who: Any,
) -> None:
    """Hold DIR against an OpenSSF model signature. Every file counts."""
    from stemma_registry.foreign import oms

    believe, key_id = _believe(session, **who)
    path = signature or directory / "model.sig"
    with progress("hashing") as advance:
        checked = oms.verify(directory, path, believe, ignore, advance)
    code = exits.BYTES_DIFFER if checked.differences else exits.DONE
    if session.json:
        output.document(_document(checked, code, key_id))
    else:
        _report(directory, checked, code)
    click.get_current_context().exit(code)


def _believe(
    session: Session,
    key: Path | None,
    identity: str | None,
    issuer: str | None,
    certificate_chain: tuple[Path, ...],
    trust_path: Path | None,
    name: str | None,
    trusted_root: str | None,
) -> tuple[Believe, str | None]:
    """Whom to believe, and the id of a bare key. It is said in one way only."""
    from stemma_attestations.keys import PublicKey
    from stemma_attestations.names import NameVersion
    from stemma_registry.foreign import oms_signers
    from stemma_registry.signing import MAX_KEY_BYTES
    from stemma_registry.trust import public_good
    from stemma_registry.trust.roots import TrustedRoots

    if sum(map(bool, (key, identity, certificate_chain, trust_path))) != 1:
        raise click.UsageError(
            "whom do you believe: --key, --identity, --certificate-chain or --trust, one of them"
        )
    if (identity is None) != (issuer is None):
        raise click.UsageError("--identity SUBJECT and --issuer URL belong together")
    if name is not None and trust_path is None:
        raise click.UsageError("--as NAME:VERSION is for --trust")
    if trusted_root is not None and (key or trust_path):
        raise click.UsageError("--trusted-root is for --identity and --certificate-chain")
    if key is not None:
        public = PublicKey.parse(read_file(key, MAX_KEY_BYTES))
        return oms_signers.by_key(public), public.id
    if trust_path is not None:
        trust = session.trust(str(trust_path))
        roots = TrustedRoots(session.home.roots).present(trust.all_roots)
        about = NameVersion.parse(name).name if name else None
        return oms_signers.by_trust(trust, roots, about, session.now), None
    root = _trusted_root(session, trusted_root) if trusted_root else None
    if identity is not None and issuer is not None:
        return oms_signers.by_identity(identity, issuer, root or public_good.trusted_root()), None
    pinned = _certificates(certificate_chain)
    return oms_signers.by_certificate(pinned, session.now, root), None


def _trusted_root(session: Session, text: str) -> bytes:
    """The Sigstore trusted root of a file, or of the home by its digest."""
    from stemma_attestations.digest import Digest
    from stemma_registry.trust import roots as trusted_roots

    if text.startswith("sha256:"):
        return trusted_roots.TrustedRoots(session.home.roots).read(Digest.parse(text))
    return trusted_roots.extract(read_file(Path(text), trusted_roots.MAX_BYTES))


def _document(checked: Checked, code: int, key_id: str | None) -> dict[str, Any]:
    from stemma_attestations.times import format_time

    return {
        "verified": not checked.differences,
        "code": code,
        "root": str(checked.signed.root),
        "files": len(checked.signed.files),
        "key_id": key_id,
        "signer": checked.by.signer,
        "signed": format_time(checked.by.signed) if checked.by.signed else None,
        "ignored": list(checked.signed.ignored),
        "passed_over": list(checked.passed_over),
        "differences": list(checked.differences),
    }


def _report(directory: Path, checked: Checked, code: int) -> None:
    from stemma_attestations.times import format_time

    if checked.differences:
        output.line(f"NOT VERIFIED ({exits.MEANING[code]}, exit {code})  {directory}")
        for line in checked.differences:
            output.line(f"  {line}")
        return
    output.line(f"VERIFIED  {directory}")
    output.line(f"  {checked.signed.root}")
    count, by = len(checked.signed.files), checked.by
    signed = f", signed {format_time(by.signed)}" if by.signed else ""
    output.line(f"  {'1 file' if count == 1 else f'{count} files'}, {by.signer}{signed}")
    for left in checked.passed_over:
        output.line(f"  passed over, unsigned: {left}")
