"""init, key."""

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
    from stemma_registry import signing
    from stemma_registry.registry import initialise
    from stemma_registry.trust import file as trust_file

    home = session.home
    new_key = not home.key.exists()
    if new_key:
        pem, public = signing.new_key("ecdsa-p256", None)
        signing.write_key(home.key, pem, public)
    if not home.trust.exists():
        trust_file.add(home.trust, principal, session.key_signer().public)
    initialise(session.location, home)
    if session.json:
        output.document(
            {
                "registry": session.location,
                "key": str(home.key),
                "trust": str(home.trust),
                "key_id": session.key_signer().public.id,
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

    public = session.key_signer(sign).public
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
    for line in public.pem.splitlines():
        output.line(line)


@key.command("record")
@click.option("--add", type=_PATH, metavar="FILE", help="Take the record keys of FILE too.")
@pass_session
def key_record(session: Session, add: Path | None) -> None:
    """Show the ids of the keys that records are hashed with. The first makes new indexes.

    They are secrets, in record.key in the home: a team shares them by copying that file.
    """
    from stemma_registry.records import keys

    home = session.home
    known = keys.held(home) if add is None else keys.add(home, add)
    if session.json:
        output.document({"path": str(home.record_key), "keys": [one.id for one in known]})
        return
    output.line(f"record keys in {home.record_key}")
    for one in known:
        output.line(f"  {one.id}")
    if not known:
        output.line("  none yet: the first dataset that is indexed makes one")
