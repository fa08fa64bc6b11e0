"""What this machine knows of a feed: its pinned root, the newest metadata, the quarantines seen.

    HOME/feeds/ID/pin.json           which registry, from where, and the root's digest
    HOME/feeds/ID/root.json          the root that was pinned, as it was given
    HOME/feeds/ID/metadata/          the TUF client's: nothing older is accepted afterwards
    HOME/feeds/ID/targets/           the target files last read
    HOME/feeds/ID/seen-head.json     the highest ledger head that the feed has named
    HOME/feeds/ID/seen-custody.json  quarantines that stood: none disappears without a release

Nothing of this is disposable.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import Root

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed, Undecided
from stemma_registry import files
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import Damaged, NotFound, Unavailable
from stemma_registry.status import metadata

FORMAT = "urn:stemma:feed-pin:v0.1"
_SMALL = 64 * 1024


@dataclass(frozen=True)
class Pin:
    """A feed that this machine believes: the registry's location, and where the feed is read."""

    folder: Path
    location: str
    source: str
    root: bytes

    @property
    def digest(self) -> Digest:
        """Of the pinned root."""
        return Digest.of(self.root)


def pin(home: Home, location: str, source: str, root: bytes) -> Pin:
    """Believe the feed of a root for a registry, from now on.

    Another root than before starts anew: what was seen of the old feed is
    forgotten. Raises Malformed for what is no root, Unavailable.
    """
    try:
        found = metadata.parse(root, Root, "the root")
        with metadata.read_as("the root"):
            found.signed.verify_delegate(Root.type, found.signed_bytes, found.signatures)
    except Damaged as error:
        raise Malformed(str(error)) from error
    made = Pin(_folder(home, location), location, source, root)
    with locked(made):
        before = _root(made.folder)
        if before is not None and before != root:
            for name in ("metadata", "targets"):
                shutil.rmtree(made.folder / name, ignore_errors=True)
            for name in ("seen-head.json", "seen-custody.json"):
                (made.folder / name).unlink(missing_ok=True)
        document = {
            "format": FORMAT,
            "location": location,
            "source": source,
            "root": str(made.digest),
        }
        files.replace(made.folder / "root.json", "pinned root", root)
        files.replace(made.folder / "pin.json", "pin", canonical.dumps(document))
    return made


def pinned(home: Home, location: str) -> Pin:
    """The feed that is believed for a registry. Raises NotFound, Undecided, Unavailable."""
    folder = _folder(home, location)
    root = _root(folder)
    if root is None:
        raise NotFound(f"no feed of {location} is trusted here (`stemma feed trust ROOT.json`)")
    try:
        document = json_strict.load_object(files.read(folder / "pin.json", "pin", _SMALL))
        source = document["source"]
        if document["format"] != FORMAT or document["root"] != str(Digest.of(root)):
            raise Undecided(f"{folder}/pin.json is not of this root: trust the feed again")
        if not isinstance(source, str):
            raise Undecided(f"{folder}/pin.json names no source")
    except (Malformed, NotFound, KeyError) as error:
        raise Undecided(f"{folder}/pin.json: {error}") from error
    return Pin(folder, location, source, root)


@contextlib.contextmanager
def locked(pin: Pin) -> Iterator[None]:
    """Nobody else reads this feed with this home in this block. Raises Unavailable."""
    try:
        files.make_directory(pin.folder)
        fd = os.open(pin.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"cannot open {pin.folder}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _folder(home: Home, location: str) -> Path:
    return home.feeds / hashlib.sha256(location.encode()).hexdigest()[:32]


def _root(folder: Path) -> bytes | None:
    try:
        return files.read(folder / "root.json", "pinned root", LIMITS.feed_root_bytes)
    except NotFound:
        return None
