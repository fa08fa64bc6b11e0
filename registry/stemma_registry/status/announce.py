"""After a change of custody: the feed says it too, where there is one and its key is at hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemma_attestations.errors import StemmaError
from stemma_attestations.trust import TrustRoot
from stemma_registry.errors import NotFound
from stemma_registry.registry import Registry
from stemma_registry.status.documents import FIRST_ROOT

if TYPE_CHECKING:
    from stemma_registry.status.metadata import Keys


@dataclass(frozen=True)
class Announced:
    """`version` of the timestamp that says it; else the `reason` why none does yet."""

    version: int | None
    reason: str | None


def announce(registry: Registry, trust: TrustRoot, keys: Callable[[], Keys]) -> Announced | None:
    """Publish what was just appended; None where there is no feed.

    The ledger holds it already, so what goes wrong here is a reason and no error: the
    next refresh publishes it, and until then gates that read only the feed do not know.
    """
    try:
        registry.store.read(FIRST_ROOT)
    except NotFound:
        return None
    except StemmaError as error:
        return Announced(None, str(error))
    from stemma_registry.status import gather, publish  # lazily: TUF takes a while to import

    try:
        contents = functools.partial(gather.contents, registry, trust)
        done = publish.publish(registry.store, keys(), contents)
    except StemmaError as error:
        return Announced(None, str(error))
    return Announced(done.timestamp, None)
