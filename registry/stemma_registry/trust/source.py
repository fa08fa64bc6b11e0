"""Where the trust root comes from, and its pin.

    FILE                 a file, as it is
    FILE@sha256:DIGEST   a file that must have this digest
    sha256:DIGEST        the bytes of this digest in the registry, from wherever they come

Without an option, the home's configuration says it (`trust`), else it is `trust.yaml`
in the home. Nothing else is looked at: no current directory, no cache, no artifact.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTrustRoot, BytesDiffer
from stemma_attestations.trust import TrustRoot
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files, settings
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.config import Home
from stemma_registry.errors import BlobMissing, Refused, Unavailable
from stemma_registry.trust import file as trust_file

_PIN = re.compile(r"(?P<path>.*)@(?P<pin>sha256:[^/]*)\Z", re.DOTALL)
_SCHEME = "sha256:"


@dataclass(frozen=True)
class Source:
    """A file, a digest, or a file that must have the digest: at least one is there."""

    path: Path | None
    pin: Digest | None

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> Source:
        """Read FILE, FILE@sha256:DIGEST or sha256:DIGEST; a FILE is in `folder`. Raises BadDigest.

        A file that is called like a digest is written ./sha256:...
        """
        if text.startswith(_SCHEME):
            return cls(None, Digest.parse(text))
        pinned = _PIN.match(text)
        path, pin = (pinned["path"], Digest.parse(pinned["pin"])) if pinned else (text, None)
        return cls(folder / path if folder is not None else Path(path), pin)

    def load(self, store: Callable[[], Store]) -> TrustRoot:
        """The trust root; `store` is the registry's, opened if it is asked.

        Raises NotFound, BytesDiffer, BadTrustRoot, Damaged, Unavailable.
        """
        if self.path is None:
            return _from_store(store(), self.pin)
        if self.pin is None:
            return trust_file.load(self.path, required=True)
        raw = files.read(self.path, "trust root", MAX_BYTES)
        if Digest.of(raw) != self.pin:
            raise BytesDiffer(
                f"the trust root {self.path} has the digest {Digest.of(raw).short}, "
                f"and {self.pin.short} is pinned"
            )
        return _parse(raw, str(self.path))


def told(home: Home) -> Source | None:
    """What the home's configuration says, if it does. Raises BadSettings, BadDigest."""
    text = settings.load(home).trust
    return None if text is None else Source.parse(text, home.path)


def of_home(home: Home, store: Callable[[], Store], required: bool = False) -> TrustRoot:
    """The trust root that holds where no option says another.

    Without one it is the one that trusts nobody, or NotFound if it is `required`.
    Raises as `Source.load`.
    """
    source = told(home)
    return source.load(store) if source else trust_file.load(home.trust, required)


def with_bytes(home: Home, raw: bytes, store: Callable[[], Store]) -> TrustRoot:
    """The same for who holds a trust root's bytes, which may be those that are pinned.

    So one that the registry lost can be published there again. Raises as `of_home`.
    """
    given, source = _parse(raw, "the trust root"), told(home)
    if source is not None and source.pin == given.digest:
        return given
    return of_home(home, store)


def writable(home: Home, option: Path | None) -> Path:
    """The file that is to be edited. Raises Refused where the one in force is not a file here."""
    if option is not None:
        return option
    source = told(home)
    if source is not None:
        raise Refused(
            f"{home.configuration} says which trust root holds: edit the one that is reviewed "
            "(--trust FILE), and pin it anew"
        )
    return home.trust


def _from_store(store: Store, pin: Digest | None) -> TrustRoot:
    assert pin is not None  # noqa: S101 - by parse: a source without a file has one
    try:
        raw = get_bytes(store, pin, MAX_BYTES)
    except BlobMissing as error:
        raise Unavailable(
            f"the pinned trust root {pin} is not in {store.location}: publish it there "
            "(`stemma trust publish FILE`)"
        ) from error
    return _parse(raw, str(pin))


def _parse(raw: bytes, where: str) -> TrustRoot:
    try:
        return TrustRoot.parse(raw)
    except BadTrustRoot as error:
        raise BadTrustRoot(f"{where}: {error}") from error
