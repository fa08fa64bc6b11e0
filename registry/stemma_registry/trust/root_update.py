"""A newer trusted root of a Sigstore instance, through the instance's TUF repository.

The only place that fetches one, and only when somebody asks. The anchor is a root of the
repository that is handed in: the public instance's ships with the program. What the
repository has said before is kept in the home and is verified again each time, so that it
cannot go back; the caches that other clients keep are never looked at.
https://theupdateframework.github.io/specification/latest/
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused, StemmaError
from stemma_attestations.times import format_time
from stemma_attestations.trusted_root import Authority, Log, TrustedRoot, Window
from stemma_registry import files
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import NotFound, Unavailable
from stemma_registry.trust.roots import MAX_BYTES, TrustedRoots

if TYPE_CHECKING:
    from tuf.ngclient import Updater
    from tuf.ngclient.fetcher import FetcherInterface

TARGET = "trusted_root.json"
_ROLES = ("timestamp.json", "snapshot.json", "targets.json")
T = TypeVar("T")


@dataclass(frozen=True)
class Repository:
    """Where a TUF repository is, and a root of it that is trusted."""

    url: str
    anchor: bytes

    def kept(self, home: Home) -> Path:
        """Where the home keeps what it has said."""
        name = self.url.rstrip("/").encode() + b"\n" + Digest.of(self.anchor).value.encode()
        return home.tuf / hashlib.sha256(name).hexdigest()[:32]


def update(repository: Repository, home: Home) -> Digest:
    """Fetch the instance's current trusted root, and keep it under its digest.

    Returns the digest. Nothing is kept unless all of it verifies, and no trust root is
    changed. Raises SignatureRefused for what does not verify, BadTrustRoot, Unavailable
    also for what is stale.
    """
    kept = repository.kept(home)
    try:
        with tempfile.TemporaryDirectory(prefix="stemma-", ignore_cleanup_errors=True) as name:
            work = Path(name)
            _copy(kept, work / "metadata")
            raw = _in_time(lambda: _fetch(repository, work))
            digest = TrustedRoots(home.roots).add(raw)
            _copy(work / "metadata", kept)
    except OSError as error:
        raise Unavailable(f"cannot keep the trusted root: {error.strerror}") from error
    return digest


def _in_time(work: Callable[[], T]) -> T:
    """Do it in the time that it has, whatever the other side sends how slowly."""
    done: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    # Of no importance when the process ends; what it still writes is in a folder that is gone.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMITS.root_update_seconds)
    if failures:
        raise failures[0]
    if not done:
        raise Unavailable(
            f"the TUF repository took more than {LIMITS.root_update_seconds:.0f} s: try again"
        )
    return done[0]


def _fetch(repository: Repository, work: Path) -> bytes:
    from tuf.api import exceptions
    from tuf.ngclient import Updater, UpdaterConfig

    url = repository.url.rstrip("/")
    (work / "targets").mkdir()
    config = UpdaterConfig(max_root_rotations=LIMITS.root_rotations)
    try:
        updater = Updater(
            metadata_dir=str(work / "metadata"),
            metadata_base_url=url,
            target_dir=str(work / "targets"),
            target_base_url=f"{url}/targets/",
            fetcher=_bounded(),
            config=config,
            bootstrap=repository.anchor,
        )
        updater.refresh()
        return _target(updater, url)
    except (StemmaError, OSError):
        raise
    except exceptions.ExpiredMetadataError as error:
        raise Unavailable(
            f"what {url} says has expired ({_line(error)}): frozen, or the clock here is wrong"
        ) from error
    except exceptions.DownloadError as error:
        raise Unavailable(f"cannot fetch from {url}: {_line(error)}") from error
    except Exception as error:  # whatever the library says of it, it is no yes
        raise SignatureRefused(f"{url} is not believed: {_line(error)}") from error


def _target(updater: Updater, url: str) -> bytes:
    info = updater.get_targetinfo(TARGET)
    if info is None:
        raise SignatureRefused(f"{url} has no {TARGET}: it is no Sigstore instance's")
    if info.length > MAX_BYTES:
        raise SignatureRefused(f"{TARGET} of {url} has {info.length} bytes: too many")
    return Path(updater.download_target(info)).read_bytes()


def _bounded() -> FetcherInterface:
    """Fetches at most so many bytes of all files together."""
    from tuf.api.exceptions import DownloadLengthMismatchError
    from tuf.ngclient.fetcher import FetcherInterface
    from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

    class Bounded(FetcherInterface):
        def __init__(self) -> None:
            self.inner = Urllib3Fetcher(socket_timeout=15, chunk_size=65_536)
            self.left = LIMITS.root_update_bytes

        def _fetch(self, url: str) -> Iterator[bytes]:
            return self._counted(self.inner.fetch(url))

        def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                self.left -= len(chunk)
                if self.left < 0:
                    raise DownloadLengthMismatchError(
                        f"more than {LIMITS.root_update_bytes} bytes in all"
                    )
                yield chunk

    return Bounded()


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    cause = error.__cause__
    return f"{text}: {_line(cause)}"[:300] if cause is not None else text[:300]


def _copy(source: Path, target: Path) -> None:
    """Copy the metadata that is kept. Raises OSError, Unavailable."""
    history = source / "root_history"
    roots = sorted(history.glob("*.root.json")) if history.is_dir() else []
    (target / "root_history").mkdir(parents=True, exist_ok=True)
    # Roots first: the rest is verified with them, and must not be newer.
    for path in (*roots, *(source / role for role in _ROLES)):
        place = target / path.relative_to(source)
        try:
            data = files.read(path, "TUF metadata", MAX_BYTES)
        except NotFound:
            continue
        if not place.exists() or place.read_bytes() != data:
            files.replace(place, "TUF metadata", data)


# --- what is new in it ----------------------------------------------------------------------


def changes(old: bytes | None, new: bytes) -> list[str]:
    """How one trusted root differs from another: logs, authorities and their windows, a line each.

    Raises BadTrustRoot.
    """
    before = {} if old is None else _parts(TrustedRoot.parse(old))
    after = _parts(TrustedRoot.parse(new))
    lines = []
    for key in sorted(before.keys() | after.keys()):
        what, was, now = " ".join(key), before.get(key), after.get(key)
        if was == now:
            continue
        if was is None:
            lines.append(f"+ {what}: {now}")
        elif now is None:
            lines.append(f"- {what}: {was}")
        else:
            lines.append(f"~ {what}: {now}, was {was}")
    return lines


def _parts(root: TrustedRoot) -> dict[tuple[str, str, str], str]:
    found = {}
    logs: tuple[tuple[str, Log], ...] = (
        *(("log", log) for log in root.logs),
        *(("certificate log", log) for log in root.certificate_logs),
    )
    for kind, log in logs:
        key = hashlib.sha256(log.der).hexdigest()[:12]
        found[kind, log.url, key] = _window(log.window)
    authorities: tuple[tuple[str, Authority], ...] = (
        *(("certificate authority", one) for one in root.authorities),
        *(("timestamp authority", one) for one in root.timestamp_authorities),
    )
    for kind, one in authorities:
        chain = b"".join(_der(certificate) for certificate in one.chain)
        name = one.chain[-1].subject.rfc4514_string()
        found[kind, name, hashlib.sha256(chain).hexdigest()[:12]] = _window(one.window)
    return found


def _der(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    data: bytes = certificate.public_bytes(Encoding.DER)
    return data


def _window(window: Window) -> str:
    end = f" until {format_time(window.end)}" if window.end else ""
    return f"from {format_time(window.start)}{end}"
