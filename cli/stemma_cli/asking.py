"""What `verify` judges: by the registry, or a directory by a dossier, without one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from stemma_cli.session import Session, progress

if TYPE_CHECKING:
    from stemma_attestations.policy import Policy
    from stemma_attestations.trust import TrustRoot
    from stemma_attestations.verdict import Verdict
    from stemma_registry.blobs.contract import Store
    from stemma_registry.dossier.opening import Opened
    from stemma_registry.gate import Terms


@dataclass(frozen=True)
class Here:
    """What `verify` was given where the registry is."""

    session: Session
    subject: str
    expected: str | None
    trust: str | None
    terms: Terms

    def verdict(self) -> Verdict:
        """Judge it. Raises as the gate does."""
        from stemma_attestations.names import NameVersion
        from stemma_registry import gate
        from stemma_registry.reference import looks_like_reference

        name = NameVersion.parse(self.expected) if self.expected else None
        with self.session.view(self.trust) as (registry, view), progress("hashing") as advance:
            if name is None and looks_like_reference(self.subject):
                return gate.verify_reference(registry, view, self.subject, advance, self.terms)
            root = Path(self.subject)
            return gate.verify_directory(registry, view, root, name, advance, self.terms)

    def coverage(self, verdict: Verdict) -> dict[str, int]:
        """How much of what is upstream is vouched for, and how."""
        from stemma_registry import gate

        with self.session.view(self.trust) as (registry, view):
            return gate.coverage(registry, view, verdict)


@dataclass(frozen=True)
class Against:
    """The same beside a dossier's FILE."""

    session: Session
    file: Path
    subject: str
    expected: str | None
    trust: str | None
    policy: str | None
    stage: str | None
    max_age: timedelta | None
    stale_ok: str | None

    def verdict(self) -> Verdict:
        """Judge it. Raises as the gate does, and BadDossier."""
        from stemma_registry import gate

        with self._opened() as held:
            return gate.judge(held.registry, held.view, held.subject, held.terms)

    def coverage(self, verdict: Verdict) -> dict[str, int]:
        """How much of what is upstream is vouched for, and how."""
        from stemma_registry import gate

        with self._opened() as held:
            return gate.coverage(held.registry, held.view, verdict)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Opened]:
        from stemma_attestations.names import NameVersion
        from stemma_registry.blobs.opening import store_at
        from stemma_registry.dossier import container
        from stemma_registry.dossier.opening import Asked, Machine, opened

        home, name = self.session.home, self.expected
        machine = Machine(
            home,
            lambda: store_at(self.session.location, home, cached=False).location,
            self.session.now,
            self._trust,
        )
        asked = Asked(
            Path(self.subject),
            NameVersion.parse(name) if name else None,
            self._own_policy(),
            self.stage,
            self.max_age,
            self.stale_ok,
        )
        with (
            progress("hashing") as advance,
            opened(self.file, container.read(self.file), machine, asked, advance) as held,
        ):
            yield held

    def _trust(self, store: Callable[[], Store]) -> TrustRoot:
        from stemma_registry.trust import source as trust_source

        if self.trust is not None:
            return trust_source.Source.parse(self.trust).load(store)
        return trust_source.of_home(self.session.home, store)

    def _own_policy(self) -> Policy | None:
        """The policy of the option, else of the configuration; None: the dossier's holds."""
        if self.policy is None and self.session.settings.policy is None:
            return None
        return self.session.policy(self.policy)
