"""The target files of a feed: what they are called, and what is in them. docs/formats/feed.md."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadJSON, Malformed
from stemma_attestations.times import parse_time
from stemma_registry.config import LIMITS

FOLDER = "status/feed/"  # in the store
FIRST_ROOT = f"{FOLDER}1.root.json"
TARGETS = "targets/"  # below it
HEAD = "head.json"
CUSTODY = "quarantines.json"
TRUST_ROOT = "trust-root.yaml"
WAIVERS = "waivers.json"
POLICY = "policy.yaml"
HEAD_FORMAT = "urn:stemma:feed-head:v0.1"
CUSTODY_FORMAT = "urn:stemma:feed-quarantines:v0.1"
WAIVERS_FORMAT = "urn:stemma:feed-waivers:v0.1"
_KEY = re.compile(
    rf"{FOLDER}(?:timestamp\.json|[0-9]+\.(?:root|targets|snapshot)\.json"
    rf"|{TARGETS}[0-9a-f]{{64}}\.[a-z-]+\.(?:json|yaml))\Z"
)


def is_feed_key(key: str) -> bool:
    """Whether an object of the store is a file of a feed, by its name."""
    return _KEY.match(key) is not None


class BadFeed(Malformed):
    """A target file of a feed that breaks its format."""


@dataclass(frozen=True)
class FeedHead:
    """Entry `n` of the ledger ends it. `checkpoint` is a signed bundle that says so, if any.

    `key` is the public key (DER) of who signed it.
    """

    n: int
    entry: Digest
    tree_root: str
    time: str
    checkpoint: bytes | None = None
    key: bytes | None = None

    def encode(self) -> bytes:
        """Its file."""
        return canonical.dumps(
            {
                "format": HEAD_FORMAT,
                "n": self.n,
                "entry": str(self.entry),
                "treeRoot": self.tree_root,
                "time": self.time,
                "checkpoint": None if self.checkpoint is None else _text(self.checkpoint),
                "key": None if self.key is None else _text(self.key),
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> FeedHead:
        """Read its file. Raises BadFeed."""
        document = _document(raw, HEAD_FORMAT)
        n, time = document.get("n"), document.get("time")
        entry, tree = document.get("entry"), document.get("treeRoot")
        if type(n) is not int or n < 0 or not isinstance(time, str):
            raise BadFeed("the head of a feed has `n` and `time`")
        if not isinstance(entry, str) or not isinstance(tree, str):
            raise BadFeed("the head of a feed has `entry` and `treeRoot`")
        try:
            parse_time(time)
            sha256(tree)
            checkpoint, key = (document.get(field) for field in ("checkpoint", "key"))
            return cls(
                n,
                Digest.parse(entry),
                tree,
                time,
                None if checkpoint is None else _bytes(checkpoint),
                None if key is None else _bytes(key),
            )
        except BadFeed:
            raise
        except Malformed as error:
            raise BadFeed(f"the head of a feed: {error}") from error


@dataclass(frozen=True)
class Custody:
    """Signed bundles as they lie in the store, in ledger order, and their signers' keys."""

    bundles: tuple[bytes, ...] = ()
    keys: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, bundles: Iterable[bytes], keys: Iterable[bytes]) -> Custody:
        """Each key once, in an order that does not depend on anything else."""
        return cls(tuple(bundles), tuple(sorted(set(keys))))

    def encode(self, kind: str = CUSTODY_FORMAT) -> bytes:
        """Its file."""
        document = {
            "format": kind,
            "keys": [_text(key) for key in self.keys],
            "statements": [{"bundle": _text(bundle)} for bundle in self.bundles],
        }
        return canonical.dumps(document)

    @classmethod
    def parse(cls, raw: bytes, kind: str = CUSTODY_FORMAT) -> Custody:
        """Read its file. Raises BadFeed."""
        document = _document(raw, kind)
        keys, statements = document.get("keys"), document.get("statements")
        if not isinstance(keys, list) or not isinstance(statements, list):
            raise BadFeed("the statements of a feed have `keys` and `statements`")
        if not all(isinstance(item, dict) for item in statements):
            raise BadFeed("a statement of a feed is {bundle}")
        bundles = tuple(_bytes(item.get("bundle")) for item in statements)
        return cls(bundles, tuple(_bytes(key) for key in keys))


def _document(raw: bytes, kind: str) -> Mapping[str, Any]:
    try:
        document = json_strict.load_object(raw, max_bytes=LIMITS.feed_target_bytes)
    except BadJSON as error:
        raise BadFeed(f"a target of the feed: {error}") from error
    if document.get("format") != kind:
        raise BadFeed(f"a target of the feed is not of format {kind}")
    return document


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise BadFeed("base64 text is expected in a target of the feed")
    try:
        data = b64decode(value, validate=True)
    except ValueError as error:
        raise BadFeed("a target of the feed: not base64") from error
    if _text(data) != value:
        raise BadFeed("a target of the feed: base64 in another spelling")
    return data
