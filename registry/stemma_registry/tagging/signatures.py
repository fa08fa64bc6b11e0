"""Whose signature a tag has: that of a key or an identity the trust root lists, or nobody's."""

from __future__ import annotations

from collections.abc import Mapping

from stemma_attestations import gitsigned, gitsigner
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.gitobject import Signed
from stemma_attestations.gitsigner import GitSigner
from stemma_attestations.trust import TrustRoot
from stemma_registry.tagging.reading import SignerOf


def by(trust: TrustRoot, roots: Mapping[Digest, bytes]) -> SignerOf:
    """Tells who signed; `roots` are the Sigstore trusted roots of this machine."""

    def signer_of(signed: Signed) -> GitSigner | str:
        try:
            return gitsigner.who(signed, trust, roots)
        except SignatureRefused as error:
            return str(error) if gitsigned.is_certified(signed) else ""

    return signer_of


def basis(trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Digest:
    """What that hangs on: the trust root, and which of its trusted roots are here."""
    present = [str(root) for root in trust.roots if root in roots]
    return Digest.of(" ".join([str(trust.digest), *present]).encode()) if present else trust.digest
