"""Doing what the plan of a sync says: names, stages, and the record of all.

Names are one entry, each stage is one, and the record is one: a sync that was cut off anywhere is
done again, and finds what it had done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, NotVerified
from stemma_attestations.named import Named
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import imported, provenance
from stemma_attestations.predicates import tags as predicate
from stemma_attestations.predicates.imported import Claim
from stemma_attestations.predicates.tags import CLAIMED, PROMOTED
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.care.uploads import Uploads
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, NotFound, Overtaken, Refused
from stemma_registry.gate import Terms
from stemma_registry.gitrepo import bulk
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.measures import retiring
from stemma_registry.reference import binding
from stemma_registry.registry import record, snapshot
from stemma_registry.stages import holding, promoting
from stemma_registry.stages.desk import Desk
from stemma_registry.tagging import folders
from stemma_registry.tagging.asked import Asked, Synced
from stemma_registry.tagging.planning import REFUSED, UNRESOLVED, Plan, Planner, Result
from stemma_registry.tagging.reading import PREFIX
from stemma_registry.tagging.resolving import BUILT_FROM, Held, Resolver

BUILDER = "urn:stemma:builder:tags:v0.1"
SOURCE = "git-tags"

# What is said again about an artifact, and under which names.
Again = dict[tuple[Digest, ...], tuple[list[Statement], list[Result]]]


def resolve(desk: Desk, asked: Asked, planner: Planner, plan: Plan) -> Again:
    """Which artifacts the tags are about, and so what is to be done; it goes into the plan."""
    commits = {one.tag.commit for one in plan.results if one.outcome == UNRESOLVED}
    resolver = Resolver(desk.registry, planner.view, commits, _held(asked, commits))
    planner.names(plan, resolver)
    said: Again = {}
    for one in plan.bind:
        if one.candidate is None or one.name is None:
            continue
        try:
            found = resolver.said(one.name.name, one.tag.commit, one.candidate)
        except Refused as error:
            one.become(UNRESOLVED, str(error))
            continue
        key = tuple(statement.digest for statement in found)
        said.setdefault(key, (found, []))[1].append(one)
    planner.stages(plan, resolver)
    return said


def follow(desk: Desk, asked: Asked, done: Synced, said: Again) -> None:
    """Write all of it. Raises LedgerBroken, Unavailable, Overtaken."""
    work = _Work(desk, asked, done)
    work.bind(said)
    for one in done.plan.retire:
        work.retire(one)
    for one in done.plan.moves:
        work.move(one)
    work.record()


def _held(asked: Asked, commits: Collection[str]) -> Held:
    """What a commit holds under a name, looked at once for ever."""
    roots = cache(lambda: folders.roots_of(asked.repository, commits))

    def held(commit: str, name: str) -> Digest | None:
        known = asked.keeper.folders.get(f"{commit} {name}")
        if known is not None:
            return Digest("sha256", known) if known else None
        root = roots().get(commit, {})
        found = folders.manifest_of(asked.repository, commit, root, name)
        asked.keeper.note_folder(commit, name, found)
        return found

    return held


@dataclass
class _Work:
    desk: Desk
    asked: Asked
    done: Synced

    def bind(self, said: Again) -> None:
        """Give the names, all in one entry. Raises Overtaken where one was given meanwhile."""
        desk, plan = self.desk, self.done.plan
        if not said:
            return
        uploads = self._uploads()
        with desk.registry.store.batch() as uploads.store:
            bundles = [uploads.put(bundle.raw) for bundle in self._again(said)]
            keys = tuple(uploads.put(key) for key in desk.signer.keys)
        uploads.store = desk.registry.store
        event = Event(PUSH, bundles=tuple(bundles), keys=keys)
        names = [one.name for _, group in said.values() for one in group if one.name is not None]

        def decide() -> list[Event]:
            with snapshot(desk.registry, desk.trust, desk.now) as view:
                taken = [] if view.n == plan.n else [n for n in names if binding(view, n)]
            if taken:
                raise Overtaken(f"{taken[0]} was given meanwhile; sync again")
            return [event]

        self._append(decide, uploads)

    def _again(self, said: Again) -> Iterator[Bundle]:
        """What is believed of each artifact, signed anew under its new names."""
        for statements, group in said.values():
            subjects = {one.name: one.artifact for one in group}
            described = [
                ResourceDescriptor(name=str(name), digests=(digest,))
                for name, digest in subjects.items()
                if name is not None and digest is not None
            ]
            for one in statements:
                yield self.desk.signer.sign(
                    Statement.build(described, one.predicate_type, _repeated(one))
                )

    def retire(self, one: Result) -> None:
        """Take a name back."""
        desk = self.desk
        try:
            of = retiring.named(str(one.name))
            args = (desk.registry, desk.trust, desk.signer, of, self._because(one), desk.now)
            self.done.entries.append(retiring.retire(*args)[1])
        except Refused as error:
            one.become(REFUSED, str(error))

    def move(self, one: Result) -> None:
        """Promote or roll back, as the gate lets. What it refuses is asked again next time."""
        desk, because, stage = self.desk, self._because(one), one.tag.said.place
        terms = Terms(self.asked.policy)
        if one.name is None:
            return
        try:
            if self._is_moved(one.name, stage, because):
                return
            if one.outcome == PROMOTED:
                changed = promoting.promote(desk, str(one.name), stage, terms, because)
            else:
                changed = promoting.rollback(desk, one.name.name, stage, terms, because)
        except (NotVerified, NotFound, Refused) as error:
            one.become(REFUSED, str(error))
            return
        one.name, one.artifact = changed.name, changed.digest
        if changed.entry is not None:
            self.done.entries.append(changed.entry)

    def _is_moved(self, name: NameVersion, stage: str, because: str) -> bool:
        """Whether that very tag was followed, and not recorded."""
        with snapshot(self.desk.registry, self.desk.trust, self.desk.now) as view:
            counted = holding.history(view, name.name, stage).counted
            return any(row.reason == because for row in counted)

    def _because(self, one: Result) -> str:
        tag = one.tag
        return f"Git tag {tag.name} ({tag.id}) of {self.asked.name}, signed by {one.principal}"

    def record(self) -> None:
        """Write down what came of each tag, so that it is not asked about again."""
        final = [one for one in self.done.plan.results if one.is_final]
        for part, document in _documents(self.asked.repository, final):
            self._record(part, document)

    def _record(self, part: Sequence[Result], document: bytes) -> None:
        desk, digest = self.desk, Digest.of(document)
        statements = [predicate.build(self.asked.name, digest, (one.seen() for one in part))]
        claims = [self._claim(one) for one in part if one.outcome == CLAIMED]
        if claims:
            subject = ResourceDescriptor(digests=(digest,))
            says = imported.build(SOURCE, claims)
            statements.append(Statement.build([subject], imported.TYPE, says))
        uploads = self._uploads()
        bundles = [uploads.put(desk.signer.sign(one).raw) for one in statements]
        event = Event(
            PUSH,
            bundles=(*bundles, uploads.put(document)),
            keys=tuple(uploads.put(key) for key in desk.signer.keys),
        )
        self._append(lambda: [event], uploads)

    def _claim(self, one: Result) -> Claim:
        """An unsigned tag says that something of that name is at a commit."""
        thing = Named.make("name", f"name:{self.asked.name}/{one.tag.name}")
        return Claim(thing, BUILT_FROM, Digest("gitCommit", one.tag.commit))

    def _uploads(self) -> Uploads:
        return Uploads.begin(self.desk.registry.store, self.desk.registry.catalogue)

    def _append(self, decide: Callable[[], list[Event]], uploads: Uploads) -> None:
        desk = self.desk
        entry = record(desk.registry, desk.trust, desk.signer, desk.now, decide, uploads)
        if entry is not None:
            self.done.entries.append(entry)


def _repeated(one: Statement) -> dict[str, object]:
    """A predicate as it stood. Of provenance who says so is the notary, who built nothing."""
    said = dict(one.predicate)
    if one.predicate_type == provenance.TYPE:
        details = said.get("runDetails")
        if not isinstance(details, dict):
            raise BadStatement("provenance has runDetails")
        said["runDetails"] = {**details, "builder": {"id": BUILDER}}
    return said


def _documents(
    repository: Repository, results: Sequence[Result]
) -> Iterator[tuple[list[Result], bytes]]:
    """The refs and tag objects as `git for-each-ref` and `git cat-file --batch` write them."""
    part: list[Result] = []
    refs, objects, size = list[bytes](), list[bytes](), 0
    raw = _objects(repository, results)
    for one in results:
        line = f"{one.tag.id} {PREFIX}{one.tag.name}\n".encode()
        found = raw.get(one.tag.id, b"")
        if part and (
            len(part) == predicate.MAX_TAGS
            or size + len(line) + len(found) > LIMITS.tag_document_bytes
        ):
            yield part, b"".join((*refs, b"\n", *objects))
            part, refs, objects, size = [], [], [], 0
        part.append(one)
        refs.append(line)
        objects.append(found)
        size += len(line) + len(found)
    if part:
        yield part, b"".join((*refs, b"\n", *objects))


def _objects(repository: Repository, results: Sequence[Result]) -> dict[str, bytes]:
    """Tag objects, each with its header. Raises Damaged where one cannot be read any more."""
    names = [one.tag.id for one in results if one.tag.fact.name is not None]
    objects = {}
    for name, found in bulk.read(repository, names, LIMITS.tag_bytes):
        if found.fault:
            raise Damaged(found.fault)
        objects[name] = f"{name} {found.kind} {len(found.data)}\n".encode() + found.data + b"\n"
    return objects
