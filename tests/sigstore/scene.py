"""What the tests of keyless bundles share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from stemma_attestations import keyless
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.keyless import Instance, KeylessSigner
from tests.sigstore.encoding import b64, unb64
from tests.sigstore.forge import Parts, assemble, raw
from tests.sigstore.stack import LocalSigstore

both = pytest.mark.parametrize("rekor", [1, 2])
Document = dict[str, Any]


def statement(n: int = 1) -> Statement:
    """A statement about some bytes; also with a digest that sigstore does not know."""
    digests = (Digest.of(b"weights"), Digest("gitCommit", "a" * 40))
    return Statement.build([ResourceDescriptor(digests=digests)], "urn:example:test", {"n": n})


STATEMENT = statement()


def good(stack: LocalSigstore, rekor: int, **changes: Any) -> Document:
    """A bundle put together by hand, good unless something is changed."""
    return assemble(Parts(stack, changes.pop("payload", STATEMENT.raw), rekor=rekor, **changes))


def signer(stack: LocalSigstore, rekor: int = 2, **options: Any) -> KeylessSigner:
    """Alice, at this instance."""
    token = stack.oidc.token("alice", email="alice@example.com")
    return KeylessSigner(Instance.parse(stack.trust_config(rekor, **options)), lambda: token)


def refused(
    document: Document | bytes,
    root: bytes,
    match: str | None = None,
    kind: type[SignatureRefused] = SignatureRefused,
) -> None:
    """Expect a refusal of exactly that class, and of nothing else."""
    data = document if isinstance(document, bytes) else raw(document)
    with pytest.raises(SignatureRefused, match=match) as caught:
        keyless.verify(data, root)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def flipped(text: str, at: int = 0) -> str:
    """Base64 text with one bit changed."""
    data = bytearray(unb64(text))
    data[at] ^= 1
    return b64(bytes(data))


def bent(document: Document, change: Callable[[Document], object]) -> Document:
    """A copy, changed."""
    document = copy.deepcopy(document)
    change(document)
    return document


def material(document: Document) -> Document:
    """Its verification material."""
    found: Document = document["verificationMaterial"]
    return found


def entry(document: Document) -> Document:
    """Its log entry."""
    found: Document = material(document)["tlogEntries"][0]
    return found


def proof(document: Document) -> Document:
    """The inclusion proof of its log entry."""
    found: Document = entry(document)["inclusionProof"]
    return found
