"""Put one case through the door, and say what came of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.errors import StemmaError
from stemma_registry.trust import public_good
from tests.conformance import door
from tests.conformance.case import BadCase, Case

MAKERS = "tests.conformance.makers"


@dataclass(frozen=True)
class Answer:
    """What our code said: accepted, refused with a reason, or neither (a crash).

    `seconds` are of this process's CPU; `mib` is how much memory it took at most beyond
    what it had before.
    """

    accepted: bool
    reason: str = ""
    crashed: bool = False
    seconds: float = 0.0
    mib: float = 0.0

    def json(self) -> dict[str, object]:
        """Its fields."""
        return asdict(self)


def judge(case: Case) -> Answer:
    """Ask about the artifact, and where it must not matter about its digest too.

    Raises BadCase, where the two answers differ as well.
    """
    answer = _measured(case, case.artifact())
    if answer.crashed:
        return answer
    if case.optional("key.pub") is None and case.max_seconds is None and case.max_mib is None:
        by_digest = _measured(case, Digest.of(case.artifact()))
        if by_digest.accepted and not answer.accepted:
            return by_digest
        if by_digest.accepted != answer.accepted or by_digest.crashed:
            return Answer(False, f"by its digest: {by_digest.reason}", by_digest.crashed)
    return answer


def _measured(case: Case, artifact: bytes | Digest) -> Answer:
    bundles, before = case.bundles(), 0.0
    if case.max_mib is not None:
        before = _memory("VmRSS")
        _forget_peak()
    start = time.process_time()
    accepted, reason, crashed = True, "", False
    try:
        _ask(case, bundles, artifact)
    except BadCase:
        raise
    except StemmaError as error:
        accepted, reason = False, f"{type(error).__name__}: {error}"
    except (Exception, RecursionError) as error:  # noqa: BLE001 - what the runner is there to find
        accepted, crashed, reason = False, True, f"{type(error).__name__}: {error}"
    spent = time.process_time() - start
    taken = _memory("VmHWM") - before if case.max_mib is not None else 0.0
    return Answer(accepted, reason, crashed, spent, max(0.0, taken))


def _ask(case: Case, bundles: list[bytes], artifact: bytes | Digest) -> None:
    trust, key = case.optional("trust.yaml"), case.optional("key.pub")
    if trust is None and len(bundles) > 1:
        raise BadCase("several bundles are asked of a trust.yaml only")
    own = case.root()
    if trust is not None:
        at = case.at or datetime.now(UTC)
        roots = [*([own] if own is not None else []), public_good.trusted_root()]
        asked = door.Asked(trust, roots, case.predicate, case.name, at)
        door.by_trust_root(bundles, artifact, asked)
        return
    root = own if own is not None else public_good.trusted_root()
    if key is not None:
        door.by_key(bundles[0], artifact, key, root)
    else:
        door.by_identity(bundles[0], artifact, root, case.identity, case.issuer)


@contextmanager
def made(folder: Path) -> Iterator[Case]:
    """The case in a folder, completed by its maker in a copy if it has one. Raises BadCase."""
    case = Case.read(folder)
    if case.make is None:
        yield case
        return
    with tempfile.TemporaryDirectory(prefix="stemma-case-") as scratch:
        copy = Path(scratch) / folder.name
        shutil.copytree(folder, copy)
        _maker(case.make)(copy)
        yield Case.read(copy, folder)


def _maker(name: str) -> Callable[[Path], None]:
    maker: Callable[[Path], None] | None = getattr(import_module(MAKERS), name, None)
    if maker is None:
        raise BadCase(f"there is no maker {name!r}")
    return maker


def _memory(field: str) -> float:
    """MiB of this process, from the kernel: `VmRSS` now, `VmHWM` at the most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise BadCase(f"the kernel does not say {field}")


def _forget_peak() -> None:
    """Let VmHWM begin again (proc(5): clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
