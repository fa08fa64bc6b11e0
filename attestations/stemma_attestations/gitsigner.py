"""Whose signature a Git object has: of a listed key, or of whoever a certificate names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from stemma_attestations import gitsigned
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.gitobject import Signed
from stemma_attestations.guarding import guarded
from stemma_attestations.times import Dated
from stemma_attestations.trust import TrustRoot


@dataclass(frozen=True)
class GitSigner:
    """The id of a key or of an identity; of an identity who that is, and what proves when."""

    id: str
    certified: Certified | None = None
    signed: tuple[Dated, ...] = ()


def who(signed: Signed, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> GitSigner:
    """Whose signature it is: what they may say is asked of the trust root, `introducing` them.

    Of the Sigstore trusted roots at hand those count under which it lists identities. Raises
    SignatureRefused.
    """
    if gitsigned.is_certified(signed):
        from stemma_attestations import gitsign  # what it stands on takes a second to import

        certified, times = gitsign.who(signed, trust.roots, roots)
        return GitSigner(certified.id, certified, tuple(times))
    keys = [signer.key for signer in trust.signers if signer.key is not None]
    return GitSigner(guarded(partial(gitsigned.verify, signed, keys)).id)
