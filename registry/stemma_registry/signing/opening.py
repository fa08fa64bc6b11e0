"""From a URI to a signer."""

from __future__ import annotations

from stemma_attestations.errors import BadKey
from stemma_registry.signing import keyfile, remote
from stemma_registry.signing.contract import KeyHolder, Secret


def _none() -> None:
    """Nobody to ask."""


def load_signer(uri: str, passphrase: Secret, pin: Secret = _none) -> KeyHolder:
    """The signer that `uri` names.

    `passphrase` is asked only for an encrypted key file, `pin` only by a token.
    Raises BadKey, NotFound, Refused, Unavailable.
    """
    scheme, colon, rest = uri.partition(":")
    if colon and scheme == "key":
        return keyfile.load(rest, passphrase)
    if colon and scheme in remote.EXTRAS:
        return remote.load(uri, pin)
    others = ", ".join(f"{name}:..." for name in remote.EXTRAS)
    raise BadKey(f"cannot sign with {uri!r:.60} (write key:FILE, {others})")
