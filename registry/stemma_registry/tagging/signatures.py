"""Whose signature a tag has: that of a key which the trust root lists, or nobody's."""

from __future__ import annotations

from functools import partial

from stemma_attestations import gitsigned
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.gitobject import Signed
from stemma_attestations.guarding import guarded
from stemma_attestations.trust import TrustRoot
from stemma_registry.tagging.reading import SignerOf


def by_keys_of(trust: TrustRoot) -> SignerOf:
    """Tells the id of the listed key that signed."""
    keys = tuple(signer.key for signer in trust.signers if signer.key is not None)

    def signer_of(signed: Signed) -> str | None:
        try:
            return guarded(partial(gitsigned.verify, signed, keys), SignatureRefused).id
        except SignatureRefused:
            return None

    return signer_of
