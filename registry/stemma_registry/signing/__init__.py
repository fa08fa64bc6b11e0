"""Signers by URI, through securesystemslib.

    key:FILE                     a private key in a file
    awskms:KEY                   AWS KMS
    gcpkms:projects/.../VERSION  Google Cloud KMS
    azurekms://VAULT/keys/NAME   Azure Key Vault
    hsm:[ID][?label=TOKEN]       a token behind PKCS#11

The library is imported when something is signed: it brings cloud clients along
that nobody else should wait for.
"""

from __future__ import annotations

from stemma_registry.signing.contract import KeyHolder, Secret, Signer
from stemma_registry.signing.dated import DatedSigner
from stemma_registry.signing.keyfile import (
    KEY_TYPES,
    MAX_KEY_BYTES,
    SCHEME,
    KeySigner,
    new_key,
    write_key,
    write_public,
)
from stemma_registry.signing.notaries import Log, TimestampAuthority
from stemma_registry.signing.opening import load_signer

__all__ = [
    "KEY_TYPES",
    "MAX_KEY_BYTES",
    "SCHEME",
    "DatedSigner",
    "KeyHolder",
    "KeySigner",
    "Log",
    "Secret",
    "Signer",
    "TimestampAuthority",
    "load_signer",
    "new_key",
    "write_key",
    "write_public",
]
