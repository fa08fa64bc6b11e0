"""The status feed beside a dossier: carried in it, or asked where this machine reads it.

The registry is not asked. What the feed says is proved by python-tuf under the root that
this machine has pinned; what came in the dossier is only another place to read it from.
"""

from __future__ import annotations

import shutil
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import unbase64
from stemma_attestations.errors import Malformed, StemmaError, Undecided
from stemma_attestations.trust import TrustRoot
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import NotFound, Stale, Unavailable
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.status import pinning, reader, source
from stemma_registry.status.documents import Custody
from stemma_registry.status.pinning import Pin
from stemma_registry.status.reader import Status
from stemma_registry.status.source import BASE

FORMAT = "urn:stemma:dossier-feed:v0.1"


@dataclass(frozen=True)
class Carried:
    """A feed as it goes into a dossier, and how old it was."""

    raw: bytes
    age: timedelta


@dataclass(frozen=True)
class Question:
    """Whose feed, read from here; and under which trust root and trusted roots, when."""

    home: Home
    location: str
    trust: TrustRoot
    roots: Mapping[Digest, bytes]
    now: datetime


@dataclass(frozen=True)
class Answer:
    """The status, or why it is too old or speaks against itself."""

    status: Status | None = None
    stale: str | None = None
    contradicted: str | None = None


class _Recorder(FetcherInterface):
    """Reads from elsewhere, and keeps what came."""

    def __init__(self, place: FetcherInterface) -> None:
        self.place = place
        self.files: dict[str, bytes] = {}

    def _fetch(self, url: str) -> Iterator[bytes]:
        data = b"".join(self.place.fetch(url))
        self.files[url.removeprefix(BASE)] = data
        return iter((data,))


class _FromDossier(FetcherInterface):
    """What came in a dossier; it is believed as little as a mirror."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix(BASE)
        if name not in self.files:
            raise DownloadHTTPError(f"the dossier carries no {name:.100} of the feed", 404)
        return iter((self.files[name],))


def carry(registry: Registry, view: Snapshot) -> Carried:
    """The feed that is pinned for a registry, from its pinned root on.

    Raises NotFound where none is pinned, Undecided, Unavailable.
    """
    home, location = registry.home, registry.store.location
    pin = pinning.pinned(home, location)
    place = source.open_source(pin.source, home)
    roots = registry.trusted_roots.present(view.trust.all_roots)
    reader.fetch(pin, place, view.trust, roots, view.now)  # by what this machine remembers
    recorder = _Recorder(place)
    with tempfile.TemporaryDirectory(prefix="stemma-") as folder:
        # Who has read nothing before asks for all of it.
        fresh = replace(pin, folder=Path(folder))
        found = reader.fetch(fresh, recorder, view.trust, roots, view.now)
    files = {name: b64encode(data).decode() for name, data in recorder.files.items()}
    raw = canonical.dumps({"format": FORMAT, "files": files})
    return Carried(raw, found.age(view.now))


def ask(question: Question, carried: bytes | None, limit: timedelta) -> Answer:
    """The status, at most so old: from where this machine reads it, else as it was carried."""
    try:
        pin = pinning.pinned(question.home, question.location)
        try:
            place = source.open_source(pin.source, question.home)
            return Answer(_fetch(question, pin, place, limit))
        except (NotFound, Stale, Unavailable) as error:
            status = _carried(question, pin, carried, limit)
            return Answer(stale=str(error)) if status is None else Answer(status)
    except NotFound as error:
        return Answer(stale=f"nothing proves how old the status is: {error}")
    except (Stale, Unavailable) as error:
        return Answer(stale=str(error))
    except StemmaError as error:  # withheld, rewound, of another: never just old
        return Answer(contradicted=str(error))


def remembered(home: Home, location: str) -> Custody:
    """What the feed said when this machine read it last; nobody is asked. Raises Undecided."""
    try:
        return reader.remembered(pinning.pinned(home, location))
    except NotFound:
        return Custody()


def _fetch(question: Question, pin: Pin, place: FetcherInterface, limit: timedelta) -> Status:
    now = question.now
    return reader.fetch(pin, place, question.trust, question.roots, now, limit)


def _carried(
    question: Question, pin: Pin, carried: bytes | None, limit: timedelta
) -> Status | None:
    """The feed of the dossier, where it is new enough and nothing speaks against it.

    It is held against what this machine has seen of the feed, and changes nothing of that.
    """
    if carried is None:
        return None
    place = _FromDossier(_parse(carried))
    with tempfile.TemporaryDirectory(prefix="stemma-") as folder:
        try:
            seen = Path(shutil.copytree(pin.folder, Path(folder) / "feed", symlinks=True))
            return _fetch(question, replace(pin, folder=seen), place, limit)
        except (Undecided, Unavailable, OSError):
            return None  # what is said of the source is what helps


def _parse(raw: bytes) -> dict[str, bytes]:
    try:
        document = json_strict.load_object(raw, max_bytes=LIMITS.dossier_bytes)
        if document["format"] != FORMAT:
            raise Undecided("the dossier carries a status feed of another format")
        return {name: unbase64(text, "feed") for name, text in document["files"].items()}
    except (Malformed, KeyError, TypeError, AttributeError) as error:
        raise Undecided(f"the status feed in the dossier: {error!s:.100}") from error
