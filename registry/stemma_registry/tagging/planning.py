"""What each tag comes to, decided under one snapshot and before anything is written.

claimed      unsigned, or by somebody who may not say so: noted, and moves nothing
bound        NAME:VERSION is given to the artifact of the tag's commit
agrees       it has that name already
retired      a version is taken back: the name means nothing any more
promoted     a version is put at a stage, if the gate says yes
rolled-back  what is at a stage is taken off it
passed       counts, and nothing follows from it: a later tag says something else
unresolved   counts, and which artifact it means is not known
refused      counts, and the gate, the ledger or the trust root says no
ignored      no tag of a commit, or one under another name
moved        is not the tag any more that was recorded
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadName
from stemma_attestations.gitsigner import GitSigner
from stemma_attestations.gto import Act
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import provenance, stage, status
from stemma_attestations.predicates import tags as predicate
from stemma_attestations.predicates.tags import (
    AGREES,
    BOUND,
    CLAIMED,
    PASSED,
    PROMOTED,
    RETIRED,
    ROLLED_BACK,
    Seen,
)
from stemma_attestations.trust import TrustRoot, described
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.registry import Snapshot
from stemma_registry.tagging.reading import Tag
from stemma_registry.tagging.recorded import Known

if TYPE_CHECKING:
    from stemma_registry.signing import Signer
    from stemma_registry.tagging.resolving import Candidate, Resolver

UNRESOLVED, REFUSED, IGNORED, MOVED = "unresolved", "refused", "ignored", "moved"
# What whoever signs a tag must be let to say.
NEEDS = {
    Act.REGISTER: provenance.TYPE,
    Act.CREATE: provenance.TYPE,
    Act.DEPRECATE: provenance.TYPE,
    Act.DEREGISTER: status.TYPE,
    Act.ASSIGN: stage.TYPE,
    Act.UNASSIGN: stage.TYPE,
}


@dataclass(eq=False)
class Result:
    """What comes of one tag. `principal` is who signed it, of one that counts."""

    tag: Tag
    outcome: str
    reason: str = ""
    principal: str | None = None
    artifact: Digest | None = None
    name: NameVersion | None = None
    candidate: Candidate | None = None

    def become(self, outcome: str, reason: str = "") -> None:
        """Come to something else."""
        self.outcome, self.reason = outcome, reason

    @property
    def is_final(self) -> bool:
        """Whether it is to be recorded, so that it is not asked about again."""
        return self.outcome in predicate.OUTCOMES

    def seen(self) -> Seen:
        """What is recorded."""
        tag, counts = self.tag, self.outcome != CLAIMED
        signer = tag.fact.by.id if counts and tag.fact.by else None
        who = self.principal if counts else None
        about = self.artifact if counts else None
        said = (self.outcome, tag.fact.time, signer, who, about)
        return Seen(tag.name, tag.id, tag.commit, *said)


@dataclass
class Plan:
    """`results` of all tags that are not settled, `settled` how many are; at ledger entry `n`."""

    n: int
    results: list[Result]
    settled: int
    gone: list[Seen]
    bind: list[Result] = field(default_factory=list)
    retire: list[Result] = field(default_factory=list)
    moves: list[Result] = field(default_factory=list)


@dataclass(frozen=True)
class Planner:
    """Decides under a snapshot, for the key that will sign."""

    view: Snapshot
    signer: Signer
    known: Known
    now: datetime

    def judge(self, tags: Iterable[Tag]) -> tuple[list[Result], int]:
        """What is to be said of each tag by itself, and how many are settled."""
        results, settled = [], 0
        for tag in tags:
            if tag.fault:
                results.append(Result(tag, IGNORED, tag.fault))
                continue
            was = self.known.moved(tag.name, tag.id)
            if was is not None:
                why = f"it was {was.id[:12]} at commit {was.commit[:12]}, and {was.outcome}"
                results.append(Result(tag, MOVED, why))
                continue
            if self.known.is_settled(tag.name, tag.id):
                settled += 1
                continue
            against = self._against(tag)
            if against and self.known.is_claimed(tag.name, tag.id):
                settled += 1
                continue
            results.append(self._judged(tag, against))
        return results, settled

    def _judged(self, tag: Tag, against: str) -> Result:
        by = tag.fact.by
        try:
            name = tag.said.name
        except BadName as error:
            return Result(tag, UNRESOLVED, str(error)) if not against else _claim(tag, against)
        if not self.view.trust.lets(self.signer, predicate.TYPE, name, self.now):
            return Result(tag, REFUSED, self._unlet(predicate.TYPE, name))
        if against or by is None:
            return _claim(tag, against)
        result = Result(tag, UNRESOLVED, principal=self._trust(by).label(by.id))
        if tag.said.act in (Act.CREATE, Act.DEPRECATE):
            result.become(PASSED, "a word of GTO's that names no version")
        return result

    def _against(self, tag: Tag) -> str:
        """Why a tag is a claim and no more."""
        fact, needs = tag.fact, NEEDS[tag.said.act]
        if not fact.signed:
            return "unsigned"
        by = fact.by
        if by is None:
            return fact.why or "no key of the trust root signed it"
        try:
            name = tag.said.name
        except BadName:
            return ""
        if not self._trust(by).authorises(by.id, needs, name, self.now, by.signed):
            return self._trust(by).refusal(by.id, needs, name, by.signed)
        ahead = (fact.time or 0) - self.now.timestamp()
        if fact.time is None or ahead > LIMITS.tag_skew_seconds:
            return "its time is in the future" if fact.time else "it has no time"
        return ""

    def _trust(self, by: GitSigner) -> TrustRoot:
        """The trust root, knowing whom a certificate names."""
        return self.view.trust.introducing(by.certified)

    def _unlet(self, kind: str, name: str) -> str:
        return f"the trust root does not let {described(self.signer)} say {kind} about {name}"

    def names(self, plan: Plan, resolver: Resolver) -> None:
        """What becomes of the tags about versions, oldest first."""
        if not _counting(plan.results, Act.REGISTER, Act.DEREGISTER):
            return
        taken_back = self._taken_back(plan.results)
        planned: dict[NameVersion, Candidate] = {}
        for one in _counting(plan.results, Act.REGISTER):
            one.name = one.tag.said.bound
            later = taken_back.get(one.name)
            if later is not None and later[0] > one.tag.order:
                one.become(PASSED, f"taken back by {later[1]}")
                continue
            self._register(plan, resolver, one, planned)
        for one in _counting(plan.results, Act.DEREGISTER):
            self._deregister(plan, resolver, one)

    def _taken_back(
        self, results: Sequence[Result]
    ) -> dict[NameVersion, tuple[tuple[int, int, str], str]]:
        """Version -> when it was taken back last, and by which tag."""
        found = [
            (each.tag.said.bound, each.tag.order, each.tag.name)
            for each in _counting(results, Act.DEREGISTER)
        ]
        found += [
            (old.said.bound, old.order, old.seen.tag)
            for old in self.known.counted
            if old.said.act is Act.DEREGISTER
        ]
        return {name: (order, tag) for name, order, tag in sorted(found, key=lambda one: one[1])}

    def _register(
        self, plan: Plan, resolver: Resolver, one: Result, planned: dict[NameVersion, Candidate]
    ) -> None:
        name, commit = one.tag.said.bound, one.tag.commit
        bound = planned.get(name) or resolver.bound(name)
        retired = resolver.retired(name)
        if retired:
            one.become(REFUSED, retired)
            return
        try:
            # Of several that were built from the commit one may have the name already.
            known = bound is not None and bound in resolver.built_from(name.name, commit)
            found = bound if known and bound else resolver.find(name.name, commit)
        except Refused as error:
            one.become(UNRESOLVED, str(error))
            return
        if bound is not None and bound != found:
            have = f"{name} is {bound.digest.short}, and names are immutable"
            one.become(UNRESOLVED, f"{have}; commit {commit[:12]} is of {found.digest.short}")
            return
        one.candidate, one.artifact = found, found.digest
        if bound is not None:
            one.become(AGREES)
        elif not self.view.trust.lets(self.signer, provenance.TYPE, name.name, self.now):
            one.become(REFUSED, self._unlet(provenance.TYPE, name.name))
        else:
            one.become(BOUND)
            planned[name] = found
            plan.bind.append(one)

    def _deregister(self, plan: Plan, resolver: Resolver, one: Result) -> None:
        """Taking back is of the version that the tag's own commit is of, and of no other."""
        name = one.name = one.tag.said.bound
        bound = resolver.bound(name)
        if bound is None:
            one.become(PASSED, f"nothing is named {name}")
            return
        if resolver.retired(name):
            one.become(AGREES, f"{name} is retired already")
            return
        try:
            found = [resolver.find(name.name, one.tag.commit)]
        except Refused:
            found = resolver.built_from(name.name, one.tag.commit)
        if bound not in found:
            one.become(UNRESOLVED, f"{name} is not of commit {one.tag.commit[:12]}")
        elif not self.view.trust.lets(self.signer, status.TYPE, name.name, self.now):
            one.become(REFUSED, self._unlet(status.TYPE, name.name))
        else:
            one.artifact = bound.digest
            one.become(RETIRED)
            plan.retire.append(one)

    def stages(self, plan: Plan, resolver: Resolver) -> None:
        """What becomes of the tags about stages: of each NAME#STAGE the last word is followed."""
        groups: dict[tuple[str, str], list[Result]] = {}
        for one in _counting(plan.results, Act.ASSIGN, Act.UNASSIGN):
            try:
                groups.setdefault((one.tag.said.name, one.tag.said.place), []).append(one)
            except BadName as error:
                one.become(UNRESOLVED, str(error))
        if not groups:
            return
        versions = self._versions(plan.results)
        # Of each NAME#STAGE the latest that was followed, or passed over for one that was.
        followed = {
            (one.said.artifact, one.said.stage): one
            for one in self.known.counted
            if one.said.stage is not None
        }
        for key, group in groups.items():
            before, new = followed.get(key), list[Result]()
            for one in group:
                if before is None or one.tag.order > before.order:
                    one.become(PASSED, "a later tag says what is there")
                    new.append(one)
                else:
                    one.become(PASSED, f"older than {before.seen.tag}, which was followed")
            last = _last(new)
            if last is not None:
                self._stage(plan, resolver, last, versions)

    def _stage(
        self,
        plan: Plan,
        resolver: Resolver,
        one: Result,
        versions: dict[tuple[str, str], NameVersion],
    ) -> None:
        name, commit = one.tag.said.name, one.tag.commit
        try:
            if not self.view.trust.lets(self.signer, stage.TYPE, name, self.now):
                one.become(REFUSED, self._unlet(stage.TYPE, name))
                return
            if one.tag.said.act is Act.UNASSIGN:
                there = resolver.holder(name, one.tag.said.place)
                found = resolver.find(name, commit)
                if there is None or there.digest != found.digest:
                    one.become(PASSED, "something else is there")
                    return
                one.name, one.artifact = there.name, there.digest
                one.become(ROLLED_BACK)
            else:
                one.name = versions.get((name, commit)) or resolver.version(name, commit)
                one.become(PROMOTED)
            plan.moves.append(one)
        except Refused as error:
            one.become(UNRESOLVED, str(error))

    def _versions(self, results: Sequence[Result]) -> dict[tuple[str, str], NameVersion]:
        """(NAME, commit) -> the version that a tag gives it, by the latest."""
        found = [
            (one.tag.order, one.tag.commit, one.name)
            for one in results
            if one.outcome in (BOUND, AGREES) and one.tag.said.act is Act.REGISTER and one.name
        ]
        found += [
            (old.order, old.seen.commit, old.said.bound)
            for old in self.known.counted
            if old.seen.outcome in (BOUND, AGREES) and old.said.act is Act.REGISTER
        ]
        return {(name.name, commit): name for _, commit, name in sorted(found)}


def _claim(tag: Tag, reason: str) -> Result:
    return Result(tag, CLAIMED, reason)


def _counting(results: Iterable[Result], *acts: Act) -> list[Result]:
    """Those that count and are not decided, of these acts, oldest first."""
    found = [one for one in results if one.outcome == UNRESOLVED and not one.reason]
    return [one for one in found if one.tag.said.act in acts]


def _last(group: Sequence[Result]) -> Result | None:
    """Whose word holds in the end: what is assigned last and not taken back, as GTO has it."""
    assigned: list[Result] = []
    undone: Result | None = None
    for one in group:
        if one.tag.said.act is Act.ASSIGN:
            assigned.append(one)
            undone = None
            continue
        kept = [other for other in assigned if other.tag.commit != one.tag.commit]
        if len(kept) == len(assigned):
            undone = one
        assigned = kept
    return assigned[-1] if assigned else undone
