"""The way in for evidence about commits: `stemma import commits`.

Signed objects are kept as their raw bytes, with one statement that says where they are.
Bundles become statements like any other where a key or root that is known verifies them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.keys import PublicKey
from stemma_attestations.predicates import git_signature
from stemma_attestations.predicates.git_signature import GitObject
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import commits as known_commits
from stemma_registry.catalogue import keyless_facts, query
from stemma_registry.catalogue.held import Held
from stemma_registry.catalogue.rows import Fact
from stemma_registry.commits.offered import Document, Offer
from stemma_registry.config import LIMITS
from stemma_registry.foreign import attached, links
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger.entry import MAX_EVENTS, PUSH, Event
from stemma_registry.registry import Registry, Snapshot, record, settle, snapshot
from stemma_registry.signing import Signer

T = TypeVar("T")


@dataclass(frozen=True)
class Proof:
    """A document with the bundles of it that verify, and the keys that do."""

    document: Document
    bundles: tuple[bytes, ...]
    keys: tuple[PublicKey, ...]


@dataclass(frozen=True)
class Taken:
    """What came of it: `entry` is None where all of it was there.

    `signed` are objects and `statements` bundles that the registry has now; `new` how many it
    did not have.
    """

    commits: int
    signed: tuple[GitObject, ...]
    statements: tuple[tuple[str, Digest, tuple[str, ...]], ...]  # type, bundle, commits
    new: int
    entry: int | None
    passed: int
    reasons: tuple[str, ...]


def take(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    wanted: tuple[Repository, str | None],
    now: datetime,
) -> Taken:
    """Take in what a repository has about a commit, a range, or all commits that are known here.

    Raises NotFound, Refused, LedgerBroken, Unavailable.
    """
    with registry.catalogue.reading() as connection:
        known = known_commits.everyone(connection)
    offer = Offer.of(*wanted, known)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    raws = {
        GitObject(Digest("gitCommit", one.commit), one.kind, Digest.of(one.raw)): one.raw
        for one in offer.objects()
    }
    with snapshot(registry, trust, now) as view:
        proofs = list(_proofs(view, offer, Held.of(registry.catalogue.roots)))
    wrapped = {Digest.of(raw): (raw, proof) for proof in proofs for raw in proof.bundles}

    def missing() -> tuple[list[GitObject], list[Digest]]:
        with snapshot(registry, trust, now) as view:
            here, said = _there(registry, view, signer, offer.commits)
        return sorted(set(raws) - here), sorted(set(wrapped) - said)

    objects, bundles = missing()
    events = []
    for part in _parts(objects, git_signature.MAX_OBJECTS):
        stored = [uploads.put(raws[one]) for one in part]
        signed = uploads.put(signer.sign(git_signature.build(part)).raw)
        keys = tuple(uploads.put(key) for key in signer.keys)
        events.append(Event(PUSH, bundles=tuple(dict.fromkeys([signed, *stored])), keys=keys))
    for digest in bundles:
        raw, proof = wrapped[digest]
        along = tuple(dict.fromkeys(uploads.put(key.der) for key in proof.keys))
        events.append(Event(PUSH, bundles=(uploads.put(raw),), keys=along))
    entry = None
    for some in _parts(events, MAX_EVENTS):

        def decide(some: Sequence[Event] = some) -> Sequence[Event]:
            return some if any(missing()) else []

        entry = record(registry, trust, signer, now, decide, uploads)
    if entry is None:
        settle(registry)  # that it is there is a promise, too
    return Taken(
        commits=len(offer.commits),
        signed=tuple(sorted(raws)),
        statements=tuple(
            (proof.document.piece.says, digest, proof.document.commits)
            for digest, (_, proof) in sorted(wrapped.items())
        ),
        new=len(objects) + len(bundles) if entry is not None else 0,
        entry=entry,
        passed=offer.passed,
        reasons=tuple(offer.reasons),
    )


def _proofs(view: Snapshot, offer: Offer, held: Held) -> Iterator[Proof]:
    """The documents that something known verifies, as bundles."""
    keys = attached.known_keys(view, ())
    for document in offer.documents():
        piece = document.piece
        found = dict[bytes, None]()
        signers = links.signers(piece, keys)
        for signature, key in signers:
            if _names(document.raw, key):
                found[document.raw] = None
            elif piece.statement is not None:
                found[Bundle.build(piece.statement.raw, signature, key).raw] = None
        keyless = attached.bundle_of(piece)
        if keyless is not None and keyless_facts.prove(keyless, held.roots).certified is not None:
            found[keyless] = None
        if not found:
            why = attached.unproven(piece) or "no listed key verifies it"
            offer.skip(f"{document.place}: {piece.note or why}")
            continue
        yield Proof(document, tuple(found), tuple(key for _, key in signers))


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _names(raw: bytes, key: PublicKey) -> bool:
    """Whether the bytes are a bundle that names the key: then nothing is wrapped anew."""
    try:
        return Bundle.parse(raw).hint in key.hints
    except BadBundle:
        return False


def _there(
    registry: Registry, view: Snapshot, signer: Signer, asked: Iterable[str]
) -> tuple[set[GitObject], set[Digest]]:
    """The objects that the signer has brought before, and the bundles about these commits."""
    nodes = known_commits.among(view.connection, asked).values()
    listings: set[Digest] = set()
    for facts in query.facts_of(view.connection, nodes, git_signature.TYPE).values():
        listings |= {f.bundle for f in facts if view.trust.is_same(f.signer, signer)}
    said = {fact.bundle for node in nodes for fact in spoken(view, node)}
    return _objects(registry, sorted(listings)), said


def spoken(view: Snapshot, node: int) -> Iterator[Fact]:
    """Statements about a commit that somebody signed, and those of what was built from it."""
    built = (edge.fact for edge in query.edges_from(view.connection, [node]))
    for fact in (*query.facts_about(view.connection, node), *built):
        if fact.signer is not None:
            yield fact


def _objects(registry: Registry, bundles: Sequence[Digest]) -> set[GitObject]:
    found: set[GitObject] = set()
    for bundle in bundles:
        raw = get_bytes(registry.store, bundle, LIMITS.small_object_bytes)
        try:
            found |= set(git_signature.parse(Bundle.parse(raw).statement().predicate))
        except (BadBundle, BadStatement):
            continue
    return found
