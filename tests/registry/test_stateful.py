"""The registry against a dictionary: any order of pushes, stops, releases and rebuilds."""

from __future__ import annotations

import json
import shutil
import tempfile
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

from stemma_registry import describe
from stemma_registry.lineage import status
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.reference import resolve
from tests.world import World


class RegistryMachine(RuleBasedStateMachine):
    """`parents` and `stopped` are the model: what came from what, and what is quarantined."""

    names = Bundle("names")
    quarantines = Bundle("quarantines")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stemma-stateful-"))
        self.world = World(self.folder)
        self.parents: dict[str, set[str]] = {}
        self.stopped: dict[str, str] = {}

    def teardown(self) -> None:
        self.world.registry.catalogue.close()
        shutil.rmtree(self.folder)

    @rule(target=names, parents=st.lists(names, max_size=3, unique=True))
    def push(self, parents: list[str]) -> str:
        name = f"n{len(self.parents)}:1"
        self.world.push(name, None, *(f"derived-from={parent}" for parent in parents))
        self.parents[name] = set(parents)
        return name

    @rule(child=names, parent=names)
    def late_edge(self, child: str, parent: str) -> None:
        """The same bytes again, with one more parent: cycles and self-loops included."""
        self.world.push(child, None, f"derived-from={parent}")
        self.parents[child].add(parent)

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

    @rule()
    def rebuild(self) -> None:
        before = self.answers()
        self.world.rebuild()
        assert self.answers() == before

    def blocked(self) -> set[str]:
        """What the model says is blocked."""
        found: set[str] = set()
        for name in self.parents:
            seen, todo = {name}, [name]
            while todo:
                for parent in self.parents[todo.pop()]:
                    if parent not in seen:
                        seen.add(parent)
                        todo.append(parent)
            if seen & set(self.stopped.values()):
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
                found.append([repr(stops.stops), repr(stops.suspects)])
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
    max_examples=15,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
