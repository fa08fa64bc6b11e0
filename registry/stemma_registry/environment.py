"""What a job runs in: the Python packages of the environment, for its BOM, and the host."""

from __future__ import annotations

import functools
import os
import socket
import sys
from importlib import metadata

from stemma_attestations.predicates.mlbom import Package
from stemma_registry.config import LIMITS


def packages() -> list[Package]:
    """Installed distributions as pypi packages, sorted by name, each once."""
    return list(_installed(tuple((place, _changed(place)) for place in sys.path)))


def _changed(place: str) -> int | None:
    """When something was last put into a folder or taken out of it; None for what is none."""
    try:
        return os.stat(place or ".").st_mtime_ns
    except OSError:
        return None


@functools.lru_cache(maxsize=1)
def _installed(_: tuple[tuple[str, int | None], ...]) -> tuple[Package, ...]:
    """The same, read again only after something was installed or removed."""
    found: dict[str, Package] = {}
    for distribution in metadata.distributions():
        about = distribution.metadata  # parsed at each look
        name, version = about["Name"], about["Version"]
        if not name or not version:
            continue  # a damaged installation: pip would not list it either
        normal = name.lower().replace("_", "-").replace(".", "-")
        found.setdefault(normal, Package(name, version, f"pkg:pypi/{normal}@{version}"))
    return tuple(found[name] for name in sorted(found))[: LIMITS.packages]


def host() -> str:
    """The name of this machine, as it calls itself."""
    return socket.gethostname()
