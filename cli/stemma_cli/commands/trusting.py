"""trust."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stemma_cli import output
from stemma_cli.commands.roots import roots
from stemma_cli.session import Session, pass_session, read_file
from stemma_cli.signers import Choice, signing

if TYPE_CHECKING:
    from datetime import datetime

    from stemma_attestations.identity import IdentityPattern
    from stemma_attestations.keys import PublicKey
    from stemma_attestations.listed import Signer

_PATH = click.Path(path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_trust = click.option("--trust", "trust_path", type=_PATH, help="Another trust root's file.")
_source = click.option(
    "--trust", "source", metavar="SOURCE", help="Another trust root: FILE or sha256:DIGEST."
)


@click.group()
def trust() -> None:
    """Show, extend, restrict or ask the trust root: who may say what about which names."""


@trust.command("show")
@_source
@pass_session
def trust_show(session: Session, source: str | None) -> None:
    """Show who is believed, for what, about which names, and when."""
    root = session.trust(source)
    if session.json:
        output.document(
            {
                "digest": str(root.digest),
                "time": [str(one) for one in root.time],
                "thresholds": [
                    {
                        "predicates": rule.about.predicates,
                        "names": rule.about.names,
                        "principals": rule.principals,
                    }
                    for rule in root.thresholds
                ],
                "signers": [_document(s) for s in root.signers],
            }
        )
        return
    output.line(f"trust root {root.digest}")
    for digest in root.time:
        output.line(f"believed about time: the logs and authorities of {digest.short}")
    if not root.signers:
        output.line("It trusts nobody.")
    for signer in root.signers:
        output.line()
        output.line(f"{signer.principal}  {signer.label}")
        if signer.identity is not None:
            output.line(f"  issued by {signer.identity.issuer}")
            for name, value in signer.identity.claims:
                output.line(f"  {name} {value}")
            output.line(f"  under the trusted root {signer.root.short if signer.root else '-'}")
        for bound, time in (("from", signer.valid_from), ("until", signer.valid_until)):
            if time:
                output.line(f"  valid {bound} {_text(time)}")
        if signer.revoked:
            output.line(f"  revoked as of {_text(signer.revoked)}")
        for grant in signer.grants:
            output.line(f"  may say {', '.join(grant.predicates)}")
            output.line(f"    about {', '.join(grant.names)}")
    for rule in root.thresholds:
        output.line()
        output.line(f"{rule.principals} distinct principals are asked for")
        output.line(f"  to say {', '.join(rule.about.predicates)}")
        output.line(f"    about {', '.join(rule.about.names)}")


def _document(signer: Signer) -> dict[str, Any]:
    pattern = signer.identity
    return {
        "principal": signer.principal,
        "key_id": signer.key.id if signer.key else None,
        "identity": None
        if pattern is None
        else {
            "issuer": pattern.issuer,
            "subject": pattern.subject,
            "root": str(signer.root),
            "claims": dict(pattern.claims),
        },
        "valid_from": _text(signer.valid_from),
        "valid_until": _text(signer.valid_until),
        "revoked": _text(signer.revoked),
        "may": [{"predicates": g.predicates, "names": g.names} for g in signer.grants],
    }


def _text(time: datetime | None) -> str | None:
    from stemma_attestations.times import format_time

    return format_time(time) if time else None


@trust.command("add")
@click.argument("public_key", type=_FILE, required=False)
@click.option("--identity", metavar="SUBJECT", help="Instead of a key: an e-mail address or URI.")
@click.option("--issuer", metavar="URL", help="Who vouches for the identity; compared exactly.")
@click.option("--claim", multiple=True, metavar="NAME=VALUE", help="The certificate must say so.")
@click.option("--root", metavar="DIGEST", help="Of `trust root list`  [default: the public one]")
@click.option("--principal", required=True, help="Who holds the key.")
@click.option("--names", multiple=True, default=["**"], show_default=True, metavar="PATTERN")
@click.option("--predicates", multiple=True, default=["*"], show_default=True, metavar="TYPE")
@click.option("--from", "valid_from", metavar="TIME", help="RFC 3339; not before it.")
@click.option("--until", "valid_until", metavar="TIME", help="RFC 3339; not from it on.")
@_trust
@pass_session
def trust_add(
    session: Session,
    public_key: Path | None,
    identity: str | None,
    issuer: str | None,
    claim: tuple[str, ...],
    root: str | None,
    principal: str,
    names: tuple[str, ...],
    predicates: tuple[str, ...],
    valid_from: str | None,
    valid_until: str | None,
    trust_path: Path | None,
) -> None:
    """Add a public key (PEM, DER, SSH or OpenPGP), or a Sigstore identity.

    For all names and predicates unless told otherwise.
    """
    from stemma_attestations import gitsigned
    from stemma_registry.signing import MAX_KEY_BYTES
    from stemma_registry.trust import file as trust_file
    from stemma_registry.trust import source as trust_source
    from stemma_registry.trust.file import Grants

    path = trust_source.writable(session.home, trust_path)
    keys: tuple[PublicKey, ...] = ()
    if public_key is not None and not (identity or issuer or claim or root):
        keys = gitsigned.keys_of(read_file(public_key, MAX_KEY_BYTES))
        label = ", ".join(f"key {key.id[:12]}" for key in keys)
        for key in keys:
            new = trust_file.add(path, principal, key, predicates, names, valid_from, valid_until)
    elif public_key is None and identity and issuer:
        grants = Grants(predicates, names, valid_from, valid_until)
        pattern, label = _pattern(identity, issuer, claim), f"identity {identity}"
        new = trust_file.add_identity(path, principal, pattern, _root(session, root), grants)
    else:
        raise click.UsageError("add a PUBLIC_KEY, or --identity SUBJECT with --issuer URL")
    if session.json:
        ids = [key.id for key in keys]
        document = {"trust": str(path), "digest": str(new.digest)}
        output.document({**document, "key_id": ids[0] if ids else None, "key_ids": ids})
        return
    output.line(f"{principal} ({label}) may now speak for {', '.join(names)}")
    output.line(f"trust root {path}")


def _pattern(identity: str, issuer: str, claims: tuple[str, ...]) -> IdentityPattern:
    from stemma_attestations.identity import IdentityPattern

    pairs = [claim.partition("=") for claim in claims]
    if not all(mark for _, mark, _ in pairs):
        raise click.UsageError("--claim NAME=VALUE")
    return IdentityPattern(issuer, identity, tuple(sorted((n, v) for n, _, v in pairs)))


def _root(session: Session, text: str | None) -> Any:
    from stemma_attestations.digest import Digest
    from stemma_registry.trust import public_good
    from stemma_registry.trust.roots import TrustedRoots

    if text is None:
        return public_good.TRUSTED_ROOT
    digest = Digest.parse(text)
    TrustedRoots(session.home.roots).read(digest)  # a root that is not here verifies nothing
    return digest


@trust.command("revoke")
@click.argument("who")
@click.option(
    "--at", metavar="TIME", help="RFC 3339: since when it is not believed  [default: now]"
)
@_trust
@pass_session
def trust_revoke(session: Session, who: str, at: str | None, trust_path: Path | None) -> None:
    """Revoke a principal, or one key by at least twelve digits of its id.

    What provably existed before TIME stays believed; without a trusted time
    nothing of it is.
    """
    from stemma_attestations.times import parse_time
    from stemma_registry.trust import file as trust_file
    from stemma_registry.trust import source as trust_source

    path = trust_source.writable(session.home, trust_path)
    time = parse_time(at) if at else session.now.replace(microsecond=0)
    root, revoked = trust_file.revoke(path, who, time)
    if session.json:
        signers = [f"{signer.principal} ({signer.label})" for signer in revoked]
        output.document({"trust": str(path), "digest": str(root.digest), "revoked": signers})
        return
    if not revoked:
        output.line(f"{who} was revoked before that")
    for signer in revoked:
        output.line(f"{signer.principal} ({signer.label}) is revoked as of {_text(time)}")
    output.line(f"trust root {path}")


@trust.command("test")
@click.argument("bundle", type=_FILE)
@_source
@pass_session
def trust_test(session: Session, bundle: Path, source: str | None) -> None:
    """Say whether a bundle would be believed, for what, and why not.

    Exit code 0 if all of it would, 13 if not.
    """
    from stemma_attestations.bundle import MAX_BYTES
    from stemma_attestations.errors import SignatureRefused
    from stemma_registry.trust import belief
    from stemma_registry.trust.roots import TrustedRoots

    root = session.trust(source)
    roots = TrustedRoots(session.home.roots).all()
    found = belief.examine(read_file(bundle, MAX_BYTES), root, roots, session.now)
    if session.json:
        output.document(
            {
                "believed": found.believed,
                "signer": found.by,
                "principal": found.principal,
                "predicate_type": found.predicate_type,
                "signed": _text(found.signed),
                "times": [
                    {
                        "time": _text(one.time),
                        "by": one.by,
                        "root": str(one.root),
                        "counts": one.counts,
                    }
                    for one in found.times
                ],
                "untimed": list(found.untimed),
                "subjects": [
                    {
                        "name": word.subject,
                        "refusal": word.refusal or None,
                        "principals": word.principals,
                    }
                    for word in found.words
                ],
            }
        )
    else:
        output.line(f"signed by {found.principal or 'nobody who is listed'} ({found.by})")
        time = _text(found.signed)
        output.line(f"at        {time or 'a time that nothing proves'}")
        for one in found.times:
            unlisted = "" if one.counts else ", which the trust root does not list for it"
            output.line(f"  {_text(one.time)} says the {one.by}")
            output.line(f"    under the trusted root {one.root.short}{unlisted}")
        for reason in found.untimed:
            output.line(f"  no time under the {reason}")
        output.line(f"says      {found.predicate_type}")
        for word in found.words:
            more = f" (counts with {word.principals - 1} more)" if word.principals > 1 else ""
            output.line(f"  about {word.subject}: {word.refusal or f'believed{more}'}")
    if not found.believed:
        if session.json:
            raise click.exceptions.Exit(13)
        raise SignatureRefused("not all of it is believed")


@trust.command("publish")
@click.argument("file", type=_FILE)
@signing("Who signs the head behind it (else the home's key).")
@pass_session
def trust_publish(session: Session, file: Path, sign: Choice) -> None:
    """Put a trust root's bytes into the registry, and print the digest to pin.

    Who pins it reads it from there, and nothing else: `--trust sha256:DIGEST`,
    or `trust: sha256:DIGEST` in config.yaml.
    """
    from stemma_attestations.yaml_strict import MAX_BYTES
    from stemma_registry.trust import source as trust_source
    from stemma_registry.trust.publishing import publish

    raw, signer = read_file(file, MAX_BYTES), session.signer(sign)
    root = trust_source.with_bytes(session.home, raw, session.store)
    done = publish(session.open(), root, signer, raw, session.now)
    if session.json:
        output.document({"trust": str(file), "digest": str(done.digest), "entry": done.entry})
        return
    output.line(str(done.digest))


@trust.group("time")
def trust_time() -> None:
    """Whose word counts about when a key signed: the logs and authorities of Sigstore instances."""


@trust_time.command("add")
@click.argument("root")
@_trust
@pass_session
def time_add(session: Session, root: str, trust_path: Path | None) -> None:
    """Believe the logs and authorities of ROOT about time.

    ROOT is the digest of a Sigstore trusted root of this machine, or a file with one,
    which is kept. That believes nobody who signs.
    """
    from stemma_registry.trust import file as trust_file
    from stemma_registry.trust import source as trust_source
    from stemma_registry.trust.roots import MAX_BYTES, TrustedRoots

    if root.startswith("sha256:"):
        digest = _root(session, root)
    elif Path(root).is_file():
        digest = TrustedRoots(session.home.roots).add(read_file(Path(root), MAX_BYTES))
    else:
        raise click.UsageError(f"{root!r:.80} is neither a file nor a digest (sha256:...)")
    path = trust_source.writable(session.home, trust_path)
    new = trust_file.add_time(path, digest)
    if session.json:
        document = {"trust": str(path), "digest": str(new.digest), "root": str(digest)}
        output.document(document)
        return
    output.line(f"the logs and authorities of {digest.short} are believed about time")
    output.line(f"trust root {path}")


trust.add_command(roots)
