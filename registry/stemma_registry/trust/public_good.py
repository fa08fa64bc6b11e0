"""The public Sigstore instance, as it was when this version was released.

The files come from sigstore's own package, where a TUF client of theirs put them.
They are pinned here, so neither a cache in the home directory nor a later version
of that package changes whom we trust: a test fails when theirs move, and then
somebody looks at what changed.
"""

from __future__ import annotations

from importlib import resources

from stemma_attestations.digest import Digest, sha256
from stemma_registry.errors import Damaged

TUF_URL = "https://tuf-repo-cdn.sigstore.dev"
TRUSTED_ROOT = sha256("6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66")
TUF_ROOT = sha256("73747011d0857ada15479a16c4cae0f3ed03aac698b523b97e1de314ac9d9ca8")
SIGNING_CONFIG = sha256("9711a6d5375706957a4859af31c5866a4474f81f0544f9f4b76c9c4f4c8a539c")


def trusted_root() -> bytes:
    """The instance's authorities and logs: what verifies its bundles. Raises Damaged."""
    return _read("public_good.trusted_root.json", TRUSTED_ROOT)


def signing_config() -> bytes:
    """The instance's services: what a signer asks. Raises Damaged."""
    return _read("public_good.signing_config.json", SIGNING_CONFIG)


def tuf_root() -> bytes:
    """The root of the instance's TUF repository: what a newer trusted root is held against.

    Raises Damaged.
    """
    return _read("public_good.root.json", TUF_ROOT)


def _read(name: str, pin: Digest) -> bytes:
    try:
        data = resources.files("stemma_registry").joinpath("data", name).read_bytes()
    except OSError as error:
        raise Damaged(f"the installation lacks {name}: install Stemma again") from error
    if Digest.of(data) != pin:
        raise Damaged(f"{name} is not the file that is pinned: install Stemma again")
    return data
