"""From a location to its store: a path, or `s3://BUCKET/PREFIX`."""

from __future__ import annotations

import os
from pathlib import Path

from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.local import LocalStore
from stemma_registry.config import Home
from stemma_registry.errors import NotFound

S3 = "s3://"


def is_remote(location: str) -> bool:
    """Whether a location is not a path. Raises NotFound for a scheme that nobody knows."""
    scheme, separator, _ = location.partition("://")
    if separator and f"{scheme}://" != S3:
        raise NotFound(f"{location}: no such kind of store (a path, or s3://BUCKET/PREFIX)")
    return bool(separator)


def store_at(location: str, home: Home, cached: bool = True) -> Store:
    """The store at a location, whether there is a registry in it or not.

    A remote one is read through the cache in the home unless `cached` is false,
    and calls that fail for a moment are repeated. Raises NotFound, Unavailable.
    """
    if not is_remote(location):
        return LocalStore(Path(os.path.expanduser(location)))
    from stemma_registry import settings  # lazily, as boto3 is
    from stemma_registry.blobs.cached import Cached
    from stemma_registry.blobs.retrying import Retrying
    from stemma_registry.blobs.s3 import S3Store

    options = settings.load(home)
    store: Store = Retrying(S3Store.at(location, options.s3(location)))
    return Cached(store, home.cache, options.cache_size) if cached else store
