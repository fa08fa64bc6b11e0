"""The command-line protocol of sigstore-conformance, spoken by our code.

https://github.com/sigstore/sigstore-conformance/blob/main/docs/cli_protocol.md

Exit code 0: verified, or signed. 1: refused, with the reason on stderr. 2: asked for
something that Stemma does not do: its signers make statements (`--in-toto`), and the
staging instance's roots are not shipped (give `--trusted-root` and `--signing-config`).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from stemma_attestations import canonical, json_strict
from stemma_attestations.bundle import MAX_BYTES
from stemma_attestations.digest import Digest
from stemma_attestations.errors import StemmaError
from stemma_attestations.statement import Statement
from stemma_registry.errors import Refused
from stemma_registry.keyless import Instance, KeylessSigner
from stemma_registry.trust import public_good
from tests.conformance import door

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


class NotOffered(Exception):
    """Something that the protocol has and Stemma has not."""


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _sign(options) if options.command == "sign-bundle" else _verify(options)
    except NotOffered as error:
        print(f"not offered: {error}", file=sys.stderr)
        return 2
    except (StemmaError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="client", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    sign = commands.add_parser("sign-bundle", allow_abbrev=False)
    verify = commands.add_parser("verify-bundle", allow_abbrev=False)
    for command in (sign, verify):
        command.add_argument("--staging", action="store_true")
        command.add_argument("--bundle", type=Path, required=True)
        command.add_argument("--trusted-root", type=Path)
    sign.add_argument("--in-toto", action="store_true")
    sign.add_argument("--identity-token", required=True)
    sign.add_argument("--signing-config", type=Path)
    sign.add_argument("file", type=Path)
    verify.add_argument("--certificate-identity")
    verify.add_argument("--certificate-oidc-issuer")
    verify.add_argument("--key", type=Path)
    verify.add_argument("file_or_digest")
    return parser


def _verify(options: argparse.Namespace) -> None:
    raw, artifact = _read(options.bundle), _artifact(options.file_or_digest)
    identity, issuer = options.certificate_identity, options.certificate_oidc_issuer
    root = _root(options)
    if options.key is not None:
        if identity is not None or issuer is not None:
            raise Refused("a key and an identity: which of them is to verify?")
        door.by_key(raw, artifact, _read(options.key), root)
        return
    if not identity or not issuer:
        raise Refused("nobody is expected: give --key, or --certificate-identity and its issuer")
    door.by_identity(raw, artifact, root, identity, issuer)


def _artifact(text: str) -> bytes | Digest:
    path = Path(text)
    if _DIGEST.match(text) and not path.exists():
        return Digest.parse(text)
    return path.read_bytes()


def _root(options: argparse.Namespace) -> bytes:
    if options.trusted_root is not None:
        return _read(options.trusted_root)
    if options.staging:
        raise NotOffered("the staging instance's trusted root is not shipped: --trusted-root")
    return public_good.trusted_root()


def _sign(options: argparse.Namespace) -> None:
    if not options.in_toto:
        raise NotOffered("Stemma signs statements (--in-toto); it makes no message signatures")
    if options.staging and options.signing_config is None:
        raise NotOffered("the staging instance's addresses are not shipped: --signing-config")
    services = public_good.signing_config()
    if options.signing_config is not None:
        services = _read(options.signing_config)
    config = {
        "mediaType": _CONFIG,
        "trustedRoot": json_strict.load_object(_root(options)),
        "signingConfig": json.loads(services),
    }
    signer = KeylessSigner(
        Instance.parse(canonical.dumps(config)), lambda: str(options.identity_token)
    )
    statement = Statement.parse(_read(options.file))
    options.bundle.write_bytes(signer.sign(statement).raw)


def _read(path: Path) -> bytes:
    with path.open("rb") as source:
        data = source.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Refused(f"{path} has more than {MAX_BYTES} bytes")
    return data


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
