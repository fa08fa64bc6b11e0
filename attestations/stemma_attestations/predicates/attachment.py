"""`urn:stemma:attachment:v0.1`: what other tools made, kept beside an artifact.

See docs/formats/attachment.md. It says where bytes are, and nothing of what they
are worth: whoever reads it reads those bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest, parse_digest_set
from stemma_attestations.errors import BadDigest, BadStatement
from stemma_attestations.statement import text

TYPE = "urn:stemma:attachment:v0.1"
MAX_ITEMS = 10_000


@dataclass(frozen=True)
class Item:
    """One document: the file's name and, of a collection, the line; and the blob of its bytes.

    `bundles` hold statements of it that had to be wrapped anew to be read as bundles.
    """

    name: str
    digest: Digest
    line: int | None = None
    bundles: tuple[Digest, ...] = ()


@dataclass(frozen=True)
class Attachment:
    """What is attached, and the public keys (blobs of DER) that came along."""

    items: tuple[Item, ...]
    keys: tuple[Digest, ...] = ()


def build(attachment: Attachment) -> dict[str, Any]:
    """The predicate."""
    document: dict[str, Any] = {"attached": [_item_json(item) for item in attachment.items]}
    if attachment.keys:
        document["keys"] = [_set(key) for key in attachment.keys]
    return document


def parse(predicate: Mapping[str, Any]) -> Attachment:
    """Read the predicate. Raises BadStatement."""
    attached, keys = predicate.get("attached"), predicate.get("keys", [])
    if not isinstance(attached, list) or not 1 <= len(attached) <= MAX_ITEMS:
        raise BadStatement(f"an attachment lists 1 to {MAX_ITEMS} documents")
    return Attachment(tuple(_item(obj) for obj in attached), _digests(keys))


def _item_json(item: Item) -> dict[str, Any]:
    document: dict[str, Any] = {"name": item.name, "digest": _set(item.digest)}
    if item.line is not None:
        document["line"] = item.line
    if item.bundles:
        document["bundles"] = [_set(digest) for digest in item.bundles]
    return document


def _item(obj: object) -> Item:
    if not isinstance(obj, dict):
        raise BadStatement("each of `attached` is an object")
    name, line = text(obj, "name"), obj.get("line")
    if line is not None and (type(line) is not int or line < 1):
        raise BadStatement("a line is a number from 1")
    (digest,) = _digests([obj.get("digest")])
    return Item(name or "", digest, line, _digests(obj.get("bundles", [])))


def _set(digest: Digest) -> dict[str, str]:
    return {digest.algorithm: digest.value}


def _digests(value: object) -> tuple[Digest, ...]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise BadStatement("digests are a list")
    try:
        found = [{d.algorithm: d for d in parse_digest_set(item)} for item in value]
        return tuple(digests["sha256"] for digests in found)
    except (BadDigest, KeyError) as error:
        raise BadStatement("a blob is named by its SHA-256") from error
