"""What every signer promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.envelope import pae
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import PAYLOAD_TYPE, Statement

# Asks for a passphrase or a PIN, and only when it is needed; None where there is none.
Secret = Callable[[], str | None]


class Signer(Protocol):
    """Whoever signs statements: a key, or an identity that an authority certifies."""

    @property
    def id(self) -> str:
        """The key's or the identity's, as in the catalogue."""
        ...

    @property
    def certified(self) -> Certified | None:
        """The identity; None for a key."""
        ...

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Public keys (DER) that are stored beside what was signed; none for an identity."""
        ...

    @property
    def undated(self) -> Signer:
        """The same without evidence of the time, for what the next change replaces."""
        ...

    def sign(self, statement: Statement) -> Bundle:
        """Sign the statement's bytes, and verify the result.

        Raises Refused, NotFound, Unavailable, SignatureRefused.
        """
        ...


class KeyHolder(ABC):
    """A signer with one key, wherever that is kept."""

    public: PublicKey

    @property
    def id(self) -> str:
        """The key's."""
        return self.public.id

    @property
    def certified(self) -> Certified | None:
        """Nobody certifies a key."""
        return None

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The public half."""
        return (self.public.der,)

    @property
    def undated(self) -> KeyHolder:
        """Itself: a key has no clock."""
        return self

    @abstractmethod
    def sign_bytes(self, message: bytes) -> bytes:
        """The signature over `message`, not checked. Raises Refused, NotFound, Unavailable."""

    def sign(self, statement: Statement) -> Bundle:
        """As every signer does; what is returned verifies with `public`."""
        message = pae(PAYLOAD_TYPE, statement.raw)
        return sealed(statement, self.sign_bytes(message), self.public)


def sealed(statement: Statement, signature: bytes, public: PublicKey) -> Bundle:
    """The bundle of a signature that was just made. Raises SignatureRefused."""
    bundle = Bundle.build(statement.raw, signature, public)
    bundle.verify(public)  # a signature that does not verify never leaves this machine
    return bundle
