"""Datasets, record indexes and criteria about records, by anybody, in any order.

No records are read: what an index says it was compared with and meets is drawn, too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import criterion, lineage, record_index, status
from stemma_attestations.predicates.criterion import Recorded
from stemma_attestations.predicates.record_index import RecordIndex, Skipped
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.ledger.entry import STATUS
from tests.registry.test_scale import digest, tell
from tests.world import World

PATHS = ("a.jsonl", "A.CSV.GZ", "a.bin")  # the last has no records
KINDS = ("dataset", "dataset", "model")
RELATIONS = ("trained-on", "filtered-from", "evaluated-on", "never-heard-of")


@dataclass
class Drawn:
    """What there is so far: names with what they are of, and criteria with what was searched."""

    world: World
    dice: random.Random
    signers: Sequence[str]
    nodes: int
    of: list[Recorded] = field(default_factory=list)
    named: list[tuple[str, Digest]] = field(default_factory=list)
    acts: list[Digest] = field(default_factory=list)

    def take(self, steps: int) -> None:
        """So many datasets with an edge away from each; indexes, acts and releases between."""
        head = self.world.registry.catalogue.catch_up().n
        # All of the datasets came later than what one of the criteria searched, some of them later
        # than another, none later than the last: one that stands does not answer for another.
        some_later = self.dice.randrange(-1, 4 * steps)
        for number, later in enumerate((-1, some_later, 100 * steps)):
            searched = max(0, head + later)
            blob = Digest.of(b"set %d" % number)
            self.of.append(Recorded("1", None, 1, searched, (("public", blob),)))
        some = [self.index] * 2 * steps + [self.stop] * steps + [self.lift] * (steps // 2)
        self.dice.shuffle(some)
        for number in range(steps):
            self.push(number)
            self.use()
            for step in some[4 * number : 4 * number + 4]:
                step()

    def push(self, number: int) -> None:
        """A dataset or something else, with or without records, of bytes that others may have."""
        name = f"n{self.dice.randrange(3)}/d{number}:1"
        files = {self.dice.choice(PATHS): b"%d" % self.dice.randrange(3)}
        kind, by = self.dice.choice(KINDS), self.dice.choice(self.signers)
        self.named.append((name, self.world.push(name, files, kind=kind, by=by).artifact))

    def use(self) -> None:
        """Somebody says that a node, or another of these, was made from one of them."""
        name, source = self.dice.choice(self.named)
        node = self.dice.randrange(self.nodes)
        called, output = f"n{node % 3}/n{node}:1", digest(node)
        if self.dice.random() < 0.3:
            called, output = self.dice.choice(self.named)
        edge = {
            "output": {"digest": {"sha256": output.value}},
            "relation": self.dice.choice(RELATIONS),
            "input": {"digest": {"sha256": source.value}, "name": name},
        }
        subject = ResourceDescriptor(called, digests=(output,))
        said = Statement.build([subject], lineage.TYPE, {"edges": [edge]})
        tell(self.world, said, self.dice.choice(self.signers))

    def index(self) -> None:
        """One that was held against some of the criteria, and meets some of those."""
        name, about = self.dice.choice(self.named)
        compared = self.dice.sample([criterion.subject(one) for one in self.of], k=2)
        meets = self.dice.sample(compared, k=self.dice.choice((0, 1)))
        skipped = (Skipped(about, "too large"),) if self.dice.random() < 0.2 else ()
        held = RecordIndex("1", "public", None, about, (), skipped, tuple(compared), tuple(meets))
        subject = ResourceDescriptor(name, digests=(about,))
        said = Statement.build([subject], record_index.TYPE, record_index.build(held))
        tell(self.world, said, self.dice.choice(self.signers))

    def stop(self) -> None:
        """One of the criteria, which may name what was found."""
        of = self.dice.choice(self.of)
        subjects = [ResourceDescriptor(digests=(criterion.subject(of),))]
        if self.dice.random() < 0.3:
            name, found = self.dice.choice(self.named)
            subjects.append(ResourceDescriptor(name, digests=(found,)))
        nonce = str(len(self.acts))
        said = status.build_matching(of, "bad", "2026-01-01T00:00:00Z", nonce)
        by = self.dice.choice(self.signers)
        statement = Statement.build(subjects, status.TYPE, said)
        self.acts.append(tell(self.world, statement, by, STATUS))

    def lift(self) -> None:
        """Of any that there is, by anybody."""
        if not self.acts:
            return
        act = self.dice.choice(self.acts)
        said = status.build_release("good", "2026-01-02T00:00:00Z", [act])
        subject = ResourceDescriptor(digests=(act,))
        by = self.dice.choice(self.signers)
        tell(self.world, Statement.build([subject], status.TYPE, said), by, STATUS)
