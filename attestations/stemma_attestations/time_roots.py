"""Whose word about time counts: the field `time` of a trust root (docs/formats/trust-root.md)."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTrustRoot, Malformed
from stemma_attestations.times import Times

_FORM = "trust root: each of `time` is {root} (the SHA-256 of a Sigstore trusted root)"


def parse(obj: object) -> tuple[Digest, ...]:
    """The digests of the Sigstore trusted roots that are listed. Raises BadTrustRoot."""
    if not isinstance(obj, list):
        raise BadTrustRoot("trust root: `time` is a list of {root}")
    found: list[Digest] = []
    for item in obj:
        text = item.get("root") if isinstance(item, dict) else None
        if not isinstance(text, str) or len(item) != 1:
            raise BadTrustRoot(_FORM)
        try:
            found.append(Digest.parse(text))
        except Malformed as error:
            raise BadTrustRoot(f"{_FORM}: {error}") from error
    if len(set(found)) != len(found):
        raise BadTrustRoot("trust root: `time` names a root twice")
    return tuple(found)


def earliest(times: Times, roots: Container[Digest]) -> datetime | None:
    """The first time that one of `roots` vouches for."""
    return min((one.time for one in times if one.root in roots), default=None)
