"""init, key, trust."""

from __future__ import annotations

from pathlib import Path

import click

from stemma_cli import output
from stemma_cli.session import Session, pass_session, passphrase

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--principal", default="owner", show_default=True, help="Who holds the new key.")
@pass_session
def init(session: Session, principal: str) -> None:
    """Create a registry, a signing key (0600) and a trust root that trusts it.

    A key or trust root that is in the home already is kept as it is.
    """
    from stemma_registry import signing, trust_file
    from stemma_registry.registry import initialise

    home = session.home
    new_key = not home.key.exists()
    if new_key:
        pem, public = signing.new_key("ecdsa-p256", None)
        signing.write_key(home.key, pem, public)
    if not home.trust.exists():
        trust_file.add(home.trust, principal, session.signer().public)
    initialise(session.location, home)
    if session.json:
        output.document(
            {
                "registry": session.location,
                "key": str(home.key),
                "trust": str(home.trust),
                "key_id": session.signer().public.id,
                "new_key": new_key,
            }
        )
        return
    output.line(f"registry    {session.location}")
    output.line(f"signing key {home.key}{'' if new_key else ' (kept)'}")
    output.line(f"trust root  {home.trust}")
    output.line()
    output.line("Next, publish a directory:")
    output.line("  stemma push DIR data/first:1 --kind dataset")


@click.group()
def key() -> None:
    """Make or show signing keys."""


@key.command("new")
@click.option("--out", type=_PATH, help="Where to write it (else the key in the home).")
@click.option(
    "--type",
    "key_type",
    default="ecdsa-p256",
    show_default=True,
    type=click.Choice(["ecdsa-p256", "ed25519", "rsa"]),
)
@click.option("--encrypt", is_flag=True, help="Encrypt it with $STEMMA_KEY_PASSPHRASE or a prompt.")
@pass_session
def key_new(session: Session, out: Path | None, key_type: str, encrypt: bool) -> None:
    """Make a signing key (0600) and its public half (.pub). Never overwrites one."""
    from stemma_registry import signing

    secret = passphrase() if encrypt else None
    if encrypt and not secret:
        raise click.UsageError("--encrypt needs STEMMA_KEY_PASSPHRASE")
    pem, public = signing.new_key(key_type, secret)
    path = out or session.home.key
    public_path = signing.write_key(path, pem, public)
    if session.json:
        output.document({"key": str(path), "public": str(public_path), "key_id": public.id})
        return
    output.line(f"signing key {path}")
    output.line(f"public key  {public_path}")
    output.line(f"key id      {public.id}")
    output.line()
    output.line("Whoever should believe it adds the public key to the trust root:")
    output.line(f"  stemma trust add {public_path} --principal NAME")


@key.command("show")
@click.option(
    "--sign", metavar="URI", help="The signer: key:FILE, hsm:ID, ... (else the home's key)."
)
@click.option("--out", type=_PATH, help="Write the public key there too.")
@pass_session
def key_show(session: Session, sign: str | None, out: Path | None) -> None:
    """Show the public half of a signer's key: what others put into their trust root."""
    from stemma_registry import signing

    public = session.signer(sign).public
    if out is not None:
        signing.write_public(out, public)
    if session.json:
        output.document(
            {
                "key_id": public.id,
                "scheme": public.scheme,
                "hints": sorted(public.hints),
                "pem": public.pem,
                "public": str(out) if out else None,
            }
        )
        return
    output.line(f"key id  {public.id}")
    output.line(f"scheme  {public.scheme}")
    output.line(public.pem.rstrip())


@click.group()
def trust() -> None:
    """Show or extend the trust root."""


@trust.command("show")
@click.option("--trust", "trust_path", type=_PATH, help="Another trust root than the home's.")
@pass_session
def trust_show(session: Session, trust_path: Path | None) -> None:
    """Show who is believed, for what, about which names, and when."""
    from stemma_attestations.times import format_time

    root = session.trust(trust_path)
    signers = [
        {
            "principal": signer.principal,
            "key_id": signer.key.id,
            "valid_from": format_time(signer.valid_from) if signer.valid_from else None,
            "valid_until": format_time(signer.valid_until) if signer.valid_until else None,
            "may": [{"predicates": g.predicates, "names": g.names} for g in signer.grants],
        }
        for signer in root.signers
    ]
    if session.json:
        output.document({"digest": str(root.digest), "signers": signers})
        return
    output.line(f"trust root {root.digest}")
    if not root.signers:
        output.line("It trusts nobody.")
    for signer in root.signers:
        output.line()
        output.line(f"{signer.principal}  key {signer.key.id[:12]}")
        for bound, time in (("from", signer.valid_from), ("until", signer.valid_until)):
            if time:
                output.line(f"  valid {bound} {format_time(time)}")
        for grant in signer.grants:
            output.line(f"  may say {', '.join(grant.predicates)}")
            output.line(f"    about {', '.join(grant.names)}")


@trust.command("add")
@click.argument("public_key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--principal", required=True, help="Who holds the key.")
@click.option("--names", multiple=True, default=["**"], show_default=True, metavar="PATTERN")
@click.option("--predicates", multiple=True, default=["*"], show_default=True, metavar="TYPE")
@click.option("--from", "valid_from", metavar="TIME", help="RFC 3339; not before it.")
@click.option("--until", "valid_until", metavar="TIME", help="RFC 3339; not from it on.")
@click.option("--trust", "trust_path", type=_PATH, help="Another trust root than the home's.")
@pass_session
def trust_add(
    session: Session,
    public_key: Path,
    principal: str,
    names: tuple[str, ...],
    predicates: tuple[str, ...],
    valid_from: str | None,
    valid_until: str | None,
    trust_path: Path | None,
) -> None:
    """Add a public key to the trust root: for all names and predicates unless told otherwise."""
    from stemma_attestations.keys import PublicKey
    from stemma_registry import trust_file

    path = trust_path or session.home.trust
    public = PublicKey.parse(public_key.read_bytes())
    root = trust_file.add(path, principal, public, predicates, names, valid_from, valid_until)
    if session.json:
        output.document({"trust": str(path), "digest": str(root.digest), "key_id": public.id})
        return
    output.line(f"{principal} (key {public.id[:12]}) may now speak for {', '.join(names)}")
    output.line(f"trust root {path}")
