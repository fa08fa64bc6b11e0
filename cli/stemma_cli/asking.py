"""What `verify` judges: by the registry, or a directory by a dossier, without one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stemma_cli import durations
from stemma_cli.session import Session, progress

if TYPE_CHECKING:
    from stemma_attestations.policy import Policy
    from stemma_attestations.trust import TrustRoot
    from stemma_attestations.verdict import Verdict
    from stemma_cli.conditions import Conditions
    from stemma_registry.blobs.contract import Store
    from stemma_registry.dossier.opening import Opened


@dataclass(frozen=True)
class Asked:
    """What `verify` was given: a reference or a directory, and what it is held to."""

    session: Session
    subject: str
    expected: str | None
    trust: str | None
    conditions: Conditions


@dataclass(frozen=True)
class Here:
    """Where the registry is."""

    asked: Asked

    def verdict(self) -> Verdict:
        """Judge it. Raises as the gate does."""
        from stemma_attestations.names import NameVersion
        from stemma_registry import gate
        from stemma_registry.reference import looks_like_reference

        asked = self.asked
        name = NameVersion.parse(asked.expected) if asked.expected else None
        terms = asked.conditions.terms(asked.session)
        with asked.session.view(asked.trust) as (registry, view), progress("hashing") as advance:
            if name is None and looks_like_reference(asked.subject):
                return gate.verify_reference(registry, view, asked.subject, advance, terms)
            root = Path(asked.subject)
            return gate.verify_directory(registry, view, root, name, advance, terms)

    def coverage(self, verdict: Verdict) -> dict[str, int]:
        """How much of what is upstream is vouched for, and how."""
        from stemma_registry import gate

        with self.asked.session.view(self.asked.trust) as (registry, view):
            return gate.coverage(registry, view, verdict)


@dataclass(frozen=True)
class Against:
    """Beside a dossier's FILE, without a registry."""

    asked: Asked
    file: Path

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

        given, conditions = self.asked, self.asked.conditions
        session, name = given.session, given.expected
        home, limit = session.home, conditions.max_age
        machine = Machine(
            home,
            lambda: store_at(session.location, home, cached=False).location,
            session.now,
            self._trust,
        )
        asked = Asked(
            Path(given.subject),
            NameVersion.parse(name) if name else None,
            self._own_policy(),
            conditions.stage,
            durations.given(limit),
            conditions.stale_ok,
        )
        with (
            progress("hashing") as advance,
            opened(self.file, container.read(self.file), machine, asked, advance) as held,
        ):
            yield held

    def _trust(self, store: Callable[[], Store]) -> TrustRoot:
        from stemma_registry.trust import source as trust_source

        if self.asked.trust is not None:
            return trust_source.Source.parse(self.asked.trust).load(store)
        return trust_source.of_home(self.asked.session.home, store)

    def _own_policy(self) -> Policy | None:
        """The policy of the option, else of the configuration; None: the dossier's holds."""
        session, policy = self.asked.session, self.asked.conditions.policy
        if policy is None and session.settings.policy is None:
            return None
        return session.policy(policy)
