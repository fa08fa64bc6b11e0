"""Random histories of keyless and key signatures, roots and trust, held against a dictionary."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified, Quarantined
from stemma_attestations.names import NameVersion
from stemma_registry import custody, gate
from stemma_registry.catalogue.catalogue import Catalogue, drop
from stemma_registry.publish import Push, publish
from stemma_registry.registry import Registry, snapshot
from stemma_registry.signing import Signer
from stemma_registry.trust import file as trust_file
from stemma_registry.trust import roots as trusted_roots
from stemma_registry.trust.roots import TrustedRoots
from tests.sigstore.scene import signer
from tests.sigstore.stack import LocalSigstore
from tests.world import World

PEOPLE = {"alice": "alice@example.com", "bob": "bob@example.com"}
people = st.sampled_from(sorted(PEOPLE))
STACK: list[LocalSigstore] = []


@pytest.fixture(autouse=True, scope="module")
def _stack(sigstore: LocalSigstore) -> None:
    STACK[:] = [sigstore]


class Machine(World):
    """A world whose catalogue knows the trusted roots of its home."""

    def _open(self) -> Registry:
        roots = TrustedRoots(self.home.roots)
        return Registry(
            self.store, Catalogue.open(self.catalogue_path, self.store, roots), self.home
        )

    def anew(self) -> None:
        """Forget the catalogue."""
        self.registry.close()
        drop(self.catalogue_path)
        self.registry = self._open()


class KeylessHistory(RuleBasedStateMachine):
    """`code` says what the gate must answer, from what was done and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world = Machine(self.folder)
        self.root = self.roots.add(STACK[0].trust_config())
        self.pushed: dict[str, str] = {}  # name -> who
        self.stops: list[tuple[str, str]] = []  # (name, who)
        self.spoke: set[str] = set()  # identities
        self.renewed = False  # whether another root verifies what the first does
        self.trusted: set[str] = set()
        self.revoked: set[str] = set()
        self.present = True

    def teardown(self) -> None:
        self.world.registry.close()
        shutil.rmtree(self.folder)

    # -- the model

    @property
    def roots(self) -> TrustedRoots:
        return TrustedRoots(self.world.home.roots)

    def heard(self, who: str) -> bool:
        """Whether what somebody signed counts."""
        if who == "owner":
            return True
        return self.present and who in self.trusted and who not in self.revoked

    def code(self, name: str) -> type[NotVerified] | None:
        """What the gate must raise for a name."""
        if any(stopped == name and self.heard(who) for stopped, who in self.stops):
            return Quarantined
        if not self.heard(self.pushed[name]):
            return NotVerified
        # Without the root: what no other root verifies may be anybody's word.
        unheard = self.spoke & self.trusted if self.renewed else self.spoke
        blind = bool(self.trusted) and not self.present and bool(unheard)
        return NotVerified if blind else None

    # -- what is done

    def by(self, who: str) -> Signer:
        if who == "owner":
            return self.world.signer("owner")
        token = STACK[0].oidc.token(who, email=PEOPLE[who])
        found = signer(STACK[0])
        found.token = lambda: token
        return found

    @precondition(lambda self: len(self.pushed) < 4)
    @rule(who=st.sampled_from(["owner", *sorted(PEOPLE)]))
    def push(self, who: str) -> None:
        name = f"models/m{len(self.pushed)}:1"
        job = Push(
            directory=self.world.directory({"w": secrets.token_bytes(8)}),
            name=NameVersion.parse(name),
            kind="model",
            inputs=[],
            parameters={},
            working_directory=self.world.checkout,
        )
        now = datetime.now(UTC)
        publish(self.world.registry, self.world.trust, self.by(who), job, now)
        self.pushed[name] = who
        self.spoke |= {who} - {"owner"}

    @precondition(lambda self: self.pushed and len(self.stops) < 3)
    @rule(data=st.data(), who=st.sampled_from(["owner", *sorted(PEOPLE)]))
    def quarantine(self, data: Any, who: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.pushed)))
        now = datetime.now(UTC)
        with snapshot(self.world.registry, self.world.trust, now) as view:
            node = gate.resolve(view, name)
        target = custody.Target(node.digest, NameVersion.parse(name))
        custody.quarantine(
            self.world.registry, self.world.trust, self.by(who), [target], "poison", now
        )
        self.stops.append((name, who))
        self.spoke |= {who} - {"owner"}

    @rule(who=people)
    def believe(self, who: str) -> None:
        if who not in self.trusted:
            pattern = trust_file.IdentityPattern(STACK[0].oidc.url, PEOPLE[who])
            self.world.trust = trust_file.add_identity(
                self.world.trust_path,
                who,
                pattern,
                self.root,
                trust_file.Grants(("*",), ("**",), None, None),
            )
            self.trusted.add(who)

    @precondition(lambda self: self.trusted - self.revoked)
    @rule(data=st.data())
    def revoke(self, data: Any) -> None:
        who = data.draw(st.sampled_from(sorted(self.trusted - self.revoked)))
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=365)
        self.world.trust, _ = trust_file.revoke(self.world.trust_path, who, at)
        self.revoked.add(who)

    @rule(how=st.sampled_from(["gone", "damaged"]))
    def lose_root(self, how: str) -> None:
        path = self.world.home.roots / f"{self.root.value}.json"
        if how == "damaged":
            path.write_bytes(b"{}")
        else:
            path.unlink(missing_ok=True)
        self.present = False

    @rule()
    def add_root(self) -> None:
        assert self.roots.add(STACK[0].trust_config()) == self.root
        self.present = True

    @rule()
    def add_another_root(self) -> None:
        """The same services under another name."""
        config = STACK[0].trusted_root_json()
        config["ctlogs"][0]["baseUrl"] += "/renewed"
        raw = trusted_roots.extract(trusted_roots.canonical.dumps(config))
        assert self.roots.add(raw) == Digest.of(raw) != self.root
        self.renewed = True

    @rule()
    def rebuild(self) -> None:
        self.world.anew()

    @invariant()
    def the_gate_agrees(self) -> None:
        world, now = self.world, datetime.now(UTC) + timedelta(seconds=1)
        for name in self.pushed:
            expected = self.code(name)
            with snapshot(world.registry, world.trust, now) as view:
                if expected is None:
                    gate.verify_reference(world.registry, view, name)
                    continue
                with pytest.raises(NotVerified) as caught:
                    gate.verify_reference(world.registry, view, name)
            assert isinstance(caught.value, expected), (name, caught.value)
            assert (expected is Quarantined) == isinstance(caught.value, Quarantined)


def bounded(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes of signing
        suppress_health_check=list(HealthCheck),
    )


KeylessHistory.TestCase.settings = bounded(6, 12)
TestHistory = KeylessHistory.TestCase


@pytest.mark.slow
def test_longer_histories() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run: Callable[..., None] = run_state_machine_as_test
    run(KeylessHistory, settings=bounded(60, 25))
