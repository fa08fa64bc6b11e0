"""A blob of a local store under a second name, so that it can be read while it is verified."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.local import LocalStore, blob_parts
from stemma_registry.blobs.streams import hash_stream
from stemma_registry.errors import Damaged, Unavailable


@contextlib.contextmanager
def lent(store: Store, blob: Digest, path: Path) -> Iterator[Path | None]:
    """A blob as the file `path`, until the block ends; None where it has to be copied.

    Its bytes are verified meanwhile. Raises Damaged and Unavailable at the end of the block, in
    place of what the block raised: nothing may be kept of what was made of wrong bytes.
    """
    if not isinstance(store, LocalStore) or not _link(store, blob, path):
        yield None
        return
    try:
        with ThreadPoolExecutor(1) as beside:
            verified = beside.submit(_verify, blob, path)
            try:
                yield path
            finally:
                verified.result()
    finally:
        path.unlink(missing_ok=True)


def _link(store: LocalStore, blob: Digest, path: Path) -> bool:
    try:
        os.link(store.root.joinpath(*blob_parts(blob)), path, follow_symlinks=False)
    except OSError:  # another file system, or one without links; or the blob is not there
        return False
    if stat.S_ISREG(path.lstat().st_mode):
        return True
    path.unlink()
    return False


def _verify(blob: Digest, path: Path) -> None:
    try:
        with open(path, "rb", buffering=0) as source:
            found, _ = hash_stream(source, os.fstat(source.fileno()).st_size)
    except OSError as error:
        raise Unavailable(f"cannot read blob {blob.short}: {error.strerror}") from error
    if found != blob:
        raise Damaged(f"blob {blob}: the bytes are not those of its name")
