"""The registry against a dictionary: pushes, stops, waivers, distrust, packages, releases.

In any order. `owner` and `ci` push; `ci` may be distrusted, several times over.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from stemma_attestations.predicates.criterion import Distrusted
from stemma_registry import describe
from stemma_registry.lineage import status
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.measures import distrust, matching, waiving
from stemma_registry.measures.waiving import Wish
from stemma_registry.reference import resolve
from tests.stating import bom, say
from tests.world import World

CI = Distrusted(principal="ci")
PACKAGE = "pkg:pypi/Evil@2.1.0"
makers = st.sampled_from(["owner", "owner", "ci"])


class RegistryMachine(RuleBasedStateMachine):
    """`parents` and `stopped` are the model: what came from what, and what is quarantined.

    `made` is who signed for what, `doubts` are the distrusts of `ci`, `waived` pairs of a name
    and the quarantine that it is let pass. `having` is what a believed BOM says has a package,
    `packages` are the criteria that stop it.
    """

    names = Bundle("names")
    quarantines = Bundle("quarantines")
    distrusts = Bundle("distrusts")
    criteria = Bundle("criteria")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stemma-stateful-"))
        self.world = World(self.folder)
        self.parents: dict[str, set[str]] = {}
        self.stopped: dict[str, str] = {}
        self.world.trust_also("ci")
        self.made: dict[str, set[str]] = {}
        self.doubts: set[str] = set()
        self.waived: set[tuple[str, str]] = set()
        self.having: set[str] = set()
        self.packages: set[str] = set()

    def teardown(self) -> None:
        self.world.registry.catalogue.close()
        shutil.rmtree(self.folder)

    @rule(target=names, parents=st.lists(names, max_size=3, unique=True), by=makers)
    def push(self, parents: list[str], by: str) -> str:
        name = f"n{len(self.parents)}:1"
        self.world.push(name, None, *(f"derived-from={parent}" for parent in parents), by=by)
        self.parents[name], self.made[name] = set(parents), {by}
        return name

    @rule(child=names, parent=names, by=makers)
    def late_edge(self, child: str, parent: str, by: str) -> None:
        """The same bytes again, with one more parent: cycles and self-loops included."""
        self.world.push(child, None, f"derived-from={parent}", by=by)
        self.parents[child].add(parent)
        self.made[child].add(by)

    @rule(child=names, parent=names)
    def forged_edge(self, child: str, parent: str) -> None:
        """The same by a stranger: it must change no verdict."""
        self.world.push(child, None, f"derived-from={parent}", by="stranger")

    @rule(target=quarantines, name=names)
    def quarantine(self, name: str) -> str:
        digest = self.world.quarantine(name)
        self.stopped[digest] = name
        return digest

    @rule(name=names)
    def forged_quarantine(self, name: str) -> None:
        self.world.quarantine(name, by="stranger")

    @rule(target=quarantines, quarantine=consumes(quarantines))
    def release(self, quarantine: str) -> Any:
        self.world.release(quarantine)
        del self.stopped[quarantine]
        return multiple()

    @rule(target=distrusts)
    def distrust(self) -> str:
        digest = self._distrust("owner")
        self.doubts.add(digest)
        return digest

    @rule()
    def forged_distrust(self) -> None:
        self._distrust("stranger")

    def _distrust(self, by: str) -> str:
        world = self.world
        digest, _ = distrust.distrust(
            world.registry, world.trust, world.signer(by), CI, "stolen", world.now
        )
        return str(digest)

    @rule(target=distrusts, digest=consumes(distrusts))
    def trust_again(self, digest: str) -> Any:
        self.world.release(digest)
        self.doubts.remove(digest)
        return multiple()

    @rule(name=names, believed=st.booleans())
    def describe(self, name: str, believed: bool) -> None:
        """A BOM that lists a package, before or after it is stopped."""
        by = "owner" if believed else "stranger"
        say(self.world, bom(self.world, name, [PACKAGE]), by=by)
        if believed:
            self.having.add(name)

    @rule(target=criteria)
    def stop_package(self) -> str:
        digest = self._stop_package("owner")
        self.packages.add(digest)
        return digest

    @rule()
    def forged_stop_of_a_package(self) -> None:
        self._stop_package("stranger")

    def _stop_package(self, by: str) -> str:
        world, of = self.world, matching.packages("pkg:pypi/evil@>=2,<3")
        digest, _ = matching.stop(
            world.registry, world.trust, world.signer(by), of, "evil", world.now
        )
        return str(digest)

    @rule(target=criteria, digest=consumes(criteria))
    def release_package(self, digest: str) -> Any:
        self.world.release(digest)
        self.packages.remove(digest)
        return multiple()

    @rule(name=names, quarantine=quarantines)
    def waive(self, name: str, quarantine: str) -> None:
        target = self.stopped[quarantine]
        if name == target or target not in self.above(name):
            return
        wish = Wish(name, quarantine, self.world.now + timedelta(days=1), "looked at")
        world = self.world
        waiving.waive(world.registry, world.trust, world.signer("owner"), wish, world.now)
        self.waived.add((name, quarantine))

    @rule()
    def rebuild(self) -> None:
        before = self.answers()
        self.world.rebuild()
        assert self.answers() == before

    def above(self, name: str) -> set[str]:
        """It, and what it came from."""
        seen, todo = {name}, [name]
        while todo:
            for parent in self.parents[todo.pop()] - seen:
                seen.add(parent)
                todo.append(parent)
        return seen

    def blocked(self) -> set[str]:
        """What the model says is blocked."""
        lost = {name for name, who in self.made.items() if self.doubts and who == {"ci"}}
        having = self.having if self.packages else set()
        found: set[str] = set()
        for name in self.parents:
            above = self.above(name)
            stops = {
                digest
                for digest, target in self.stopped.items()
                if target in above and (name, digest) not in self.waived
            }
            if stops or above & lost or above & having:
                found.add(name)
        return found

    def answers(self) -> str:
        """Everything that can be asked, as one text."""
        world, found = self.world, []
        with world.view() as view:
            for row in describe.listing(view):
                found.append([str(row.version.name), str(row.digest), row.quarantined])
                node = resolve(view, str(row.version.name))
                stops = status.view(view, node.node, node.name)
                found.append([repr(stops.stops), repr(stops.suspects), repr(stops.waived)])
                for direction in Direction:
                    seen = trace(view, node.node, direction)
                    edges = [
                        (seen.nodes[e.input].label, seen.nodes[e.output].label, str(e.assurance))
                        for e in seen.edges
                    ]
                    found.append([list(edges)])
            found.append([repr(h) for h in describe.history(view)])
        return json.dumps(found)

    @invariant()
    def verdicts_agree_with_the_model(self) -> None:
        if not hasattr(self, "world"):
            return
        blocked = self.blocked()
        with self.world.view() as view:
            for name in self.parents:
                found = resolve(view, name)
                assert bool(status.view(view, found.node, found.name).stops) == (name in blocked)


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
