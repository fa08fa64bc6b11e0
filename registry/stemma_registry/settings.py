"""The user's configuration file, `$STEMMA_HOME/config.yaml`: how stores are used from here.

It may also say which trust root holds, where that is not `trust.yaml` in the home.

    cache_size: 20 GiB
    stat_cache: true
    record_index: keyed
    policy: /etc/stemma/policy.yaml
    trust: sha256:DIGEST
    stores:
      s3://bucket/prefix:
        server_side_encryption: aws:kms
        kms_key_id: alias/weights
        storage_class: INTELLIGENT_TIERING
        object_lock:
          mode: GOVERNANCE
          days: 30
        addressing_style: path
    feed:
      online_key: key:/etc/stemma/feed.pem
      timestamp_key: awskms:alias/feed-timestamp

Everything may be left out; a key that is not known is refused. A section holds
for its location and all below it; the longest one that fits is the one that
counts. Endpoint, region, profile and credentials are not here: they come from
where boto3 looks for them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from stemma_attestations import yaml_strict
from stemma_registry.config import Home
from stemma_registry.errors import BadSettings, Unavailable

DEFAULT_CACHE_SIZE = 20 * 1024**3
DEFAULT_RECORD_INDEX = "keyed"
_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"([0-9]{1,15}) ?([A-Za-z]*)\Z")
_LOCATION = re.compile(r"s3://[a-z0-9][a-z0-9._-]+(?:/[^/\s]+)*\Z")
_MAX_DAYS = 36_500


@dataclass(frozen=True)
class S3Settings:
    """How objects are written to a bucket. None: as the bucket's own defaults say."""

    server_side_encryption: str | None = None  # AES256, aws:kms or aws:kms:dsse
    kms_key_id: str | None = None
    storage_class: str | None = None  # of blobs; the small objects are read all the time
    lock_mode: str | None = None  # GOVERNANCE or COMPLIANCE, of blobs and ledger entries
    lock_days: int = 0
    addressing_style: str | None = None  # path, virtual or auto


@dataclass(frozen=True)
class FeedSettings:
    """Which keys sign the status feed from here (URIs); None: the default."""

    online_key: str | None = None
    timestamp_key: str | None = None


@dataclass(frozen=True)
class Settings:
    """What the file says, or what holds without one. `cache_size` is in bytes."""

    cache_size: int = DEFAULT_CACHE_SIZE
    stat_cache: bool = True
    policy: str | None = None  # a file, or the name of one that comes with Stemma
    stores: Mapping[str, S3Settings] = field(default_factory=dict)
    trust: str | None = None  # as stemma_registry.trust.source reads it
    feed: FeedSettings = FeedSettings()
    # Or public, or off: what a push of a dataset does.
    record_index: str = field(default_factory=lambda: DEFAULT_RECORD_INDEX)

    def s3(self, location: str) -> S3Settings:
        """The settings of the store at `s3://BUCKET/PREFIX`."""
        wanted = location.rstrip("/") + "/"
        fitting = [name for name in self.stores if wanted.startswith(name + "/")]
        return self.stores[max(fitting, key=len)] if fitting else S3Settings()


def load(home: Home) -> Settings:
    """What the home's file says, or what holds without. Raises BadSettings, Unavailable."""
    path = home.configuration
    try:
        with path.open("rb") as source:
            raw = source.read(yaml_strict.MAX_BYTES + 1)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    try:
        return parse(raw)
    except BadSettings as error:
        raise BadSettings(f"{path}: {error}") from error


def parse(raw: bytes) -> Settings:
    """Settings from the file's bytes. Raises BadSettings."""
    document = yaml_strict.load(raw, BadSettings)
    if document is None:
        return Settings()
    known = ("cache_size", "stat_cache", "policy", "stores", "trust", "feed", "record_index")
    top = _section(document, "the file", known)
    sections = top.get("stores") or {}
    if not isinstance(sections, dict):
        raise BadSettings("stores: a section for each location is expected")
    stores = {}
    for name, section in sections.items():
        location = name.rstrip("/")
        if not _LOCATION.match(location) or location in stores:
            raise BadSettings(f"stores: {name!r:.80} is not s3://BUCKET/PREFIX, or is there twice")
        stores[location] = _store(name, section)
    stat_cache = top.get("stat_cache", True)
    if not isinstance(stat_cache, bool):
        raise BadSettings("stat_cache is true or false")
    size = top.get("cache_size")
    return Settings(
        DEFAULT_CACHE_SIZE if size is None else _bytes(size),
        stat_cache,
        _word(top, "policy"),
        stores,
        _word(top, "trust"),
        _feed(top.get("feed")),
        _record_index(top),
    )


def _record_index(top: Mapping[str, Any]) -> str:
    if top.get("record_index") is False:  # so YAML reads `off`
        return "off"
    return _word(top, "record_index", ("keyed", "public", "off")) or DEFAULT_RECORD_INDEX


def _feed(section: object) -> FeedSettings:
    if section is None:
        return FeedSettings()
    values = _section(section, "feed", ("online_key", "timestamp_key"))
    return FeedSettings(_word(values, "online_key"), _word(values, "timestamp_key"))


def _store(name: str, section: object) -> S3Settings:
    values = _section(
        section,
        name,
        (
            "server_side_encryption",
            "kms_key_id",
            "storage_class",
            "object_lock",
            "addressing_style",
        ),
    )
    encryption = _word(values, "server_side_encryption", ("AES256", "aws:kms", "aws:kms:dsse"))
    key = _word(values, "kms_key_id")
    if key is not None and not (encryption or "").startswith("aws:kms"):
        raise BadSettings(f"{name}: kms_key_id needs server_side_encryption: aws:kms")
    mode, days = None, 0
    if "object_lock" in values:
        lock = _section(values["object_lock"], f"{name}: object_lock", ("mode", "days"))
        mode = _word(lock, "mode", ("GOVERNANCE", "COMPLIANCE"))
        number = _word(lock, "days") or ""
        days = int(number) if re.fullmatch("[0-9]{1,5}", number) else 0
        if mode is None or not 0 < days <= _MAX_DAYS:
            raise BadSettings(f"{name}: object_lock needs a mode and days, 1 to {_MAX_DAYS}")
    return S3Settings(
        encryption,
        key,
        _word(values, "storage_class"),
        mode,
        days,
        _word(values, "addressing_style", ("path", "virtual", "auto")),
    )


def _section(value: object, name: str, known: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadSettings(f"{name}: keys and values are expected")
    for key in value:
        if key not in known:
            raise BadSettings(f"{name}: unknown key {key!r:.60} (known: {', '.join(known)})")
    return value


def _word(values: Mapping[str, Any], key: str, allowed: Collection[str] = ()) -> str | None:
    if key not in values:
        return None
    value = values[key]
    if not isinstance(value, str) or not value or (allowed and value not in allowed):
        raise BadSettings(f"{key}: expected {' or '.join(allowed) or 'text'}")
    return value


def _bytes(value: object) -> int:
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None or match[2] not in _UNITS:
        raise BadSettings("cache_size: expected a number of bytes, such as 20 GiB, or 0 for none")
    return int(match[1]) * _UNITS[match[2]]
