"""What a job runs in: the Python packages of the environment, for its BOM, and the host."""

from __future__ import annotations

import socket
from importlib import metadata

from stemma_attestations.predicates.mlbom import Package
from stemma_registry.config import LIMITS


def packages() -> list[Package]:
    """Installed distributions as pypi packages, sorted by name, each once."""
    found: dict[str, Package] = {}
    for distribution in metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        if not name or not version:
            continue  # a damaged installation: pip would not list it either
        normal = name.lower().replace("_", "-").replace(".", "-")
        found.setdefault(normal, Package(name, version, f"pkg:pypi/{normal}@{version}"))
    return [found[name] for name in sorted(found)][: LIMITS.packages]


def host() -> str:
    """The name of this machine, as it calls itself."""
    return socket.gethostname()
