"""Git objects that somebody signed as gitsign does, at the tests' Sigstore instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography import x509

from stemma_attestations.digest import Digest
from stemma_attestations.identity import IdentityPattern
from stemma_registry.trust import file as trust_file
from tests.git.repositories import Checkout
from tests.sigstore.fulcio import Leaf
from tests.sigstore.gitsigning import signature
from tests.sigstore.stack import LocalSigstore
from tests.world import World

ALICE = "alice@example.com"


def leaf(stack: LocalSigstore, who: str) -> Leaf:
    """Somebody's certificate."""
    return Leaf((x509.RFC822Name(who),), stack.oidc.url)


def bring_root(world: World, stack: LocalSigstore) -> Digest:
    """Have the instance's trusted root on this machine."""
    return world.registry.trusted_roots.add(stack.trusted_root())


def trust(
    world: World,
    stack: LocalSigstore,
    root: Digest,
    predicates: Sequence[str] = ("*",),
    names: Sequence[str] = ("**",),
    who: str = ALICE,
) -> None:
    """Believe an identity, whose principal is what stands before the @."""
    pattern = IdentityPattern(stack.oidc.url, who)
    grants = trust_file.Grants(predicates, names, None, None)
    principal = who.partition("@")[0]
    world.trust = trust_file.add_identity(world.trust_path, principal, pattern, root, grants)


def tag(
    checkout: Checkout, stack: LocalSigstore, name: str, by: str = ALICE, **bent: Any
) -> tuple[str, bytes]:
    """Tag HEAD; the tag's id and bytes."""
    commit = checkout.git("rev-parse", "HEAD")
    payload = (
        f"object {commit}\ntype commit\ntag {name}\n"
        f"tagger Alice <{by}> 1700000000 +0000\n\nreviewed\n"
    ).encode()
    raw = payload + signature(stack, payload, leaf=leaf(stack, by), **bent)
    made = checkout.git("hash-object", "-t", "tag", "-w", "--stdin", stdin=raw)
    checkout.git("update-ref", f"refs/tags/{name}", made)
    return made, raw


def sign_head(checkout: Checkout, stack: LocalSigstore, by: str = ALICE, **bent: Any) -> str:
    """Put a signed commit in the place of HEAD; its id."""
    payload = checkout.git("cat-file", "commit", "HEAD").encode() + b"\n"
    armoured = signature(stack, payload, leaf=leaf(stack, by), **bent)
    header = "gpgsig-sha256" if checkout.object_format == "sha256" else "gpgsig"
    head, _, message = payload.partition(b"\n\n")
    lines = armoured.rstrip(b"\n").replace(b"\n", b"\n ")
    raw = head + b"\n" + header.encode() + b" " + lines + b"\n\n" + message
    made = checkout.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    checkout.git("update-ref", "HEAD", made)
    return made
