"""What every signer promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stemma_attestations.bundle import Bundle
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import Statement

# Asks for a passphrase or a PIN, and only when it is needed; None where there is none.
Secret = Callable[[], str | None]


class Signer(Protocol):
    """Something that signs statements with one key."""

    @property
    def public(self) -> PublicKey:
        """The public half of the key."""

    def sign(self, statement: Statement) -> Bundle:
        """Sign the statement's bytes.

        What is returned verifies with `public`. Raises Refused, NotFound,
        Unavailable, SignatureRefused.
        """


def sealed(statement: Statement, signature: bytes, public: PublicKey) -> Bundle:
    """The bundle of a signature that was just made. Raises SignatureRefused."""
    bundle = Bundle.build(statement.raw, signature, public)
    bundle.verify(public)  # a signature that does not verify never leaves this machine
    return bundle
