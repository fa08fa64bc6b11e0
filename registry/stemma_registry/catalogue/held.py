"""The trusted roots of this machine, as they were at one moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from stemma_attestations.digest import Digest
from stemma_registry.errors import Damaged, NotFound


class Roots(Protocol):
    """The trusted roots of this machine."""

    def digests(self) -> Iterable[Digest]:
        """Which there are, in order."""
        ...

    def read(self, digest: Digest) -> bytes:
        """One of them. Raises NotFound, Damaged."""
        ...


class NoRoots:
    """Of a machine that has none."""

    def digests(self) -> Iterable[Digest]:
        """Nothing."""
        return ()

    def read(self, digest: Digest) -> bytes:
        """Raises NotFound."""
        raise NotFound(f"no trusted root {digest.short}")


NO_ROOTS = NoRoots()


@dataclass(frozen=True)
class Held:
    """Those that were there and whole; one that is damaged is one that is not there.

    They are read once, so that what is verified with them, and what is noted as
    verified, cannot be of two different moments.
    """

    roots: Mapping[Digest, bytes]

    @classmethod
    def of(cls, roots: Roots) -> Held:
        """Read them. Raises Unavailable."""
        found = {}
        for digest in roots.digests():
            with contextlib.suppress(NotFound, Damaged):
                found[digest] = roots.read(digest)
        return cls(found)

    @property
    def names(self) -> str:
        """Their digests, hex, one behind the other: what the catalogue notes of them."""
        return "".join(sorted(digest.value for digest in self.roots))


NONE_HELD = Held({})
