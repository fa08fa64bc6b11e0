"""What is missing for Stemma to work here: each check with one line on how to mend it.

Nothing is changed, except that on S3 a few probe objects are made under
`status/` and deleted again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from stemma_attestations.errors import StemmaError
from stemma_attestations.keys import PublicKey
from stemma_attestations.trust import TrustRoot
from stemma_registry import settings
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.opening import is_remote, store_at
from stemma_registry.care.coverage import coverage
from stemma_registry.catalogue import schema
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.database import Database
from stemma_registry.catalogue.tables import REVISION
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import BadSettings, NotFound, StoreError
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head, read_entry
from stemma_registry.ledger.survey import last_number
from stemma_registry.registry import open_store
from stemma_registry.trust import file as trust_file
from stemma_registry.trust import source as trust_source

_EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)  # before this version was written


class Outcome(StrEnum):
    """How a check went. `UNKNOWN` is what this place gives no way to tell."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One check: what was found, and for all but `ok` how to mend it."""

    name: str
    outcome: Outcome
    found: str
    mend: str = ""


def ok(name: str, found: str) -> Check:
    """A check that went well."""
    return Check(name, Outcome.OK, found)


def warning(name: str, found: str, mend: str) -> Check:
    """Something to look at."""
    return Check(name, Outcome.WARNING, found, mend)


def failed(name: str, found: str, mend: str) -> Check:
    """Something that must be mended."""
    return Check(name, Outcome.FAILED, found, mend)


def examine(location: str, home: Home, now: datetime) -> Iterator[Check]:
    """Every check of this home and of the registry at `location`, as they are made."""
    yield _clock(now)
    yield from _home(home)
    yield _settings(home)
    yield from _trust(location, home, now)
    yield _space(home.path, "space in the home")
    yield from _programs()
    if is_remote(location):
        from stemma_registry.care.doctor_s3 import examine_bucket  # lazily, as boto3 is

        checks = list(examine_bucket(location, home, now))
        yield from checks
    else:
        checks = list(_directory(Path(os.path.expanduser(location))))
        yield from checks
    if not any(check.outcome is Outcome.FAILED for check in checks):
        yield from _registry(location, home)


def _clock(now: datetime) -> Check:
    if now < _EARLIEST:
        return failed(
            "clock", f"it says {now:%Y-%m-%d}", "set the clock: keys and times are judged by it"
        )
    return ok("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _home(home: Home) -> Iterator[Check]:
    if not home.path.is_dir():
        yield failed("home", f"{home.path} is not there", "make a registry: `stemma init`")
        return
    if not os.access(home.path, os.W_OK | os.X_OK):
        yield warning(
            "home",
            f"{home.path} cannot be written: heads seen are not remembered",
            f"chmod u+rwx {home.path}, or set STEMMA_HOME",
        )
    elif home.path.stat().st_mode & 0o022:
        yield warning("home", f"others can write to {home.path}", f"chmod go-w {home.path}")
    else:
        yield ok("home", str(home.path))
    yield _key(home.key)


def _key(path: Path) -> Check:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return warning("signing key", "there is none: nothing can be pushed", "`stemma key new`")
    except OSError as error:
        return failed("signing key", f"{path}: {error.strerror}", "make it readable for you")
    if stat.S_IMODE(mode) & 0o077:
        return failed(
            "signing key",
            f"{path} has mode {stat.S_IMODE(mode):04o}: others can read it",
            f"chmod 600 {path}, and if others had access: a new key",
        )
    return ok("signing key", f"{path}, mode {stat.S_IMODE(mode):04o}")


def _settings(home: Home) -> Check:
    try:
        settings.load(home)
    except StemmaError as error:
        return failed("configuration", str(error), f"edit {home.configuration}")
    there = home.configuration.exists()
    return ok("configuration", str(home.configuration) if there else "none: the defaults hold")


def _trust(location: str, home: Home, now: datetime) -> Iterator[Check]:
    add = f"`stemma trust add {home.public_key} --principal NAME`"
    try:
        source = trust_source.told(home)
        trust = trust_source.of_home(home, lambda: open_store(location, home), required=True)
    except BadSettings:
        return  # said before, and it may say which trust root holds
    except NotFound as error:
        yield failed("trust root", f"{error}: nobody is believed", add)
        return
    except StemmaError as error:
        yield failed("trust root", str(error), f"edit {home.trust}")
        return
    if source is not None:
        add = "add it to the trust root that is reviewed, and pin that"
    if not trust.signers:
        yield failed("trust root", "it trusts nobody", add)
        return
    yield ok(
        "trust root",
        f"{len(trust.signers)} signer{'s' * (len(trust.signers) != 1)}, {trust.digest.short}",
    )
    if home.public_key.exists():
        yield _own_key(home.public_key, trust, now, add)


def _own_key(path: Path, trust: TrustRoot, now: datetime, add: str) -> Check:
    name = "own key in the trust root"
    try:
        key = PublicKey.parse(path.read_bytes())
    except (OSError, StemmaError) as error:
        return failed(name, f"{path}: {error}", "write the public half of the signing key there")
    signers = [signer for signer in trust.signers if signer.key == key]
    if not signers:
        return warning(name, f"key {key.id[:12]} is not in it: own pushes are not believed", add)
    if not any(signer.valid_at(now, None) for signer in signers):
        return failed(name, f"key {key.id[:12]} is not valid now", f"edit {path.parent}/trust.yaml")
    return ok(name, f"key {key.id[:12]}, {signers[0].principal}")


def _space(path: Path, name: str) -> Check:
    try:
        usage = shutil.disk_usage(path)
    except OSError as error:
        return Check(name, Outcome.UNKNOWN, f"{path}: {error.strerror}")
    found = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} GB"
    if usage.free < LIMITS.free_bytes:
        return warning(name, found, "make room: a push that finds none fails, and loses nothing")
    return ok(name, found)


def _programs() -> Iterator[Check]:
    for program in ("git", "git-lfs"):
        path = shutil.which(program)
        if path is None:
            yield Check(program, Outcome.UNKNOWN, "not installed: Stemma itself does not need it")
        else:
            yield ok(program, path)


def _directory(root: Path) -> Iterator[Check]:
    name = "registry"
    if not root.is_dir():
        yield failed(name, f"no directory {root}", "make a registry: `stemma init`")
        return
    if not os.access(root, os.R_OK | os.X_OK):
        yield failed(name, f"{root} cannot be read", f"chmod u+rx {root}")
    elif not os.access(root, os.W_OK):
        yield warning(name, f"{root} cannot be written: nothing can be pushed", f"chmod u+w {root}")
    elif root.stat().st_mode & 0o002:
        yield warning(name, f"everybody can write to {root}", f"chmod o-w {root}")
    else:
        yield ok(name, str(root))
    yield _space(root, "space in the registry")


def _registry(location: str, home: Home) -> Iterator[Check]:
    store = store_at(location, home, cached=False)
    try:
        last = last_number(store)
        entry = read_entry(store, last) if last >= 0 else None
    except (StoreError, NotFound) as error:
        yield failed("ledger", str(error), "see the message; `stemma audit` looks at everything")
        return
    except StemmaError as error:
        yield failed("ledger", str(error), "`stemma audit --repair-from` a replica")
        return
    if entry is None:
        yield failed("ledger", f"no registry at {location}", "make one: `stemma init`")
        return
    yield _ledger(store, home, entry)
    yield from _catalogue(store, home, last)


def _ledger(store: Store, home: Home, entry: LedgerEntry) -> Check:
    trust = trust_file.NOBODY
    with contextlib.suppress(StemmaError):  # said before
        trust = trust_source.of_home(home, lambda: store)
    try:
        head = Head(entry.n, entry.digest)
        heads.check_checkpoint(store, head, heads.read_checkpoint(store, trust))
        heads.check_seen(store, head, heads.read_seen(home.heads, store))
    except StemmaError as error:
        return failed("ledger", str(error), "ask who did that; `stemma audit --repair-from`")
    return ok("ledger", f"{entry.n + 1} entries, the last of {entry.time}")


def _catalogue(store: Store, home: Home, last: int) -> Iterator[Check]:
    place = Database(home.catalogue(store.location), home.database)
    if not place.exists:
        yield ok("catalogue", "none yet: the next command makes it")
        return
    try:
        with (
            contextlib.closing(Catalogue.at(place, store)) as catalogue,
            catalogue.reading() as connection,
        ):
            revision = schema.revision(connection)
            n = catalogue.projected(connection).n if revision else -1
            found = str(coverage(connection)) if revision == REVISION else ""
    except Exception as error:  # noqa: BLE001 - whatever SQLite says of a file that is none
        where = place.path if place.embedded else "STEMMA_DATABASE_URL"
        yield failed("catalogue", f"{where}: {error}", "`stemma rebuild`")
        return
    if n > last:
        yield failed(
            "catalogue", f"it knows entry {n}, the ledger ends at {last}", "`stemma audit`"
        )
        return
    yield ok("catalogue", f"at entry {n} of {last}")
    if found:
        yield ok("found by contents", found)
