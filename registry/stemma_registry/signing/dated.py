"""A key that signs with evidence of the time: `--timestamp URL`, `--log URL`.

A key's signature says nothing about when it was made. With a timestamp or a log's
promise it keeps what it said when the key is revoked later, or its window ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import Statement
from stemma_registry.errors import Unavailable
from stemma_registry.signing.contract import KeyHolder
from stemma_registry.signing.notaries import Log, TimestampAuthority


@dataclass(frozen=True)
class DatedSigner(KeyHolder):
    """Signs with `inner`, and has the signature stamped, logged, or both.

    `roots` are the Sigstore trusted roots that are believed about time, those that are
    here. Where there are any, what comes back must prove a time under one of them.
    """

    inner: KeyHolder
    authority: TimestampAuthority | None
    log: Log | None
    roots: Mapping[Digest, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.log is not None:
            self.log.check_key(self.inner.public)
            if self.log.version > 1 and self.authority is None:
                raise BadKey("Rekor v2 gives no time: --timestamp URL does")

    @property
    def public(self) -> PublicKey:  # type: ignore[override]
        """The key's public half."""
        return self.inner.public

    @property
    def undated(self) -> KeyHolder:
        """The key alone."""
        return self.inner

    def sign_bytes(self, message: bytes) -> bytes:
        """The signature of the key alone. Raises what `inner` raises."""
        return self.inner.sign_bytes(message)

    def sign(self, statement: Statement) -> Bundle:
        """Sign, stamp and log the statement's bytes, and check what comes back.

        Raises Unavailable for a service that does not answer, or not with evidence about
        this signature; and what `inner` raises.
        """
        bundle = self.inner.sign(statement)
        signature = bundle.envelope.signatures[0].sig
        # The timestamp first: a log keeps for ever what it was given.
        stamps = [self.authority.stamp(signature)] if self.authority else []
        entries = [self.log.enter(bundle, self.public)] if self.log else []
        try:
            done = bundle.dated(stamps, entries)
            if entries:
                dating.check_entry(done, self.id)
        except (BadBundle, SignatureRefused) as error:
            where = self.log.url if self.log else "the timestamp authority"
            raise Unavailable(f"{where}: what it answered does not hold: {error}") from error
        self._check(done)
        done.verify(self.public)
        return done

    def _check(self, bundle: Bundle) -> None:
        reasons = []
        for digest, root in self.roots.items():
            try:
                if dating.witnesses(bundle, self.id, root):
                    return
                reasons.append(f"{digest.short}: none of its authorities says so")
            except SignatureRefused as error:
                reasons.append(f"{digest.short}: {error}")
        if reasons:
            raise Unavailable(
                "the time is proven under none of the trusted roots that the trust root lists "
                f"({'; '.join(reasons)})"
            )
