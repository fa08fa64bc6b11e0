"""The way in for what other tools signed: read, held against the artifact, stored as it came.

One attachment statement says which blobs belong to the artifact. What verifies with a
known key becomes a statement in the catalogue like any other; what does not is kept, and
counts for nothing until it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey
from stemma_attestations.foreign import Piece
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import attachment
from stemma_attestations.predicates.attachment import Attachment, Item
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry import gate
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import keyless_facts
from stemma_registry.catalogue.held import Held
from stemma_registry.errors import Refused
from stemma_registry.foreign import attached, links
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot, record, settle, snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Given:
    """What to attach: files by their names, public keys that came along, and how strictly."""

    files: Sequence[tuple[str, bytes]]
    keys: Sequence[PublicKey] = ()
    skip_bad: bool = False


@dataclass(frozen=True)
class Taken:
    """One signed thing that is attached. `names` is what of the artifact it names.

    `signers` are the keys that verify it, `identity` the one that does where it is keyless.
    """

    label: str
    digest: Digest
    piece: Piece
    names: str | None
    signers: tuple[tuple[bytes, PublicKey], ...]
    identity: Certified | None = None

    @property
    def signer(self) -> str | None:
        """The id of the key or the identity that verifies it."""
        if self.signers:
            return self.signers[0][1].id
        return self.identity.id if self.identity else None

    @property
    def note(self) -> str:
        """Why it is not verified, or counts for less; else empty."""
        if self.piece.note:
            return self.piece.note
        if self.signer is not None:
            return ""
        return attached.unproven(self.piece) or "no known key verifies it"


@dataclass(frozen=True)
class Done:
    """What was attached: `entry` is None where all of it was there."""

    artifact: Digest
    name: NameVersion | None
    entry: int | None
    taken: tuple[Taken, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Document:
    """A document of a file: its place, its bytes and what is in it."""

    name: str
    line: int | None
    raw: bytes
    taken: tuple[Taken, ...]


@dataclass(frozen=True)
class _Desk:
    """What is on the table while files are read."""

    view: Snapshot
    given: Given
    things: attached.Things
    held: Held


def attach(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    text: str,
    given: Given,
    now: datetime,
) -> Done:
    """Attach files to the artifact that `text` names, all or nothing unless `skip_bad`.

    Raises BadBundle for what cannot be read, Refused for what is about something else,
    NotFound, LedgerBroken, Unavailable.
    """
    uploads = Uploads.begin(registry.store, registry.catalogue)
    with snapshot(registry, trust, now) as view:
        found = resolve(view, text)
        manifest = gate.load_manifest(registry, view, found)
        subject, name = attached.subject_of(view, found)
        things = attached.Things(registry.store, manifest)
        documents, skipped = _read(_Desk(view, given, things, Held.of(registry.catalogue.roots)))
    keys = {key.id: key for d in documents for t in d.taken for _, key in t.signers}
    stored, items = [], []
    for document in documents:
        item = _store(uploads, document)
        items.append(item)
        stored += [item.digest, *item.bundles]
    known = [uploads.put(key.der) for _, key in sorted(keys.items())]
    said = Statement.build(
        [subject], attachment.TYPE, attachment.build(Attachment(tuple(items), tuple(known)))
    )

    def is_there() -> bool:
        with snapshot(registry, trust, now) as view:
            return _is_there(registry, view, found, (items, known), signer)

    entry = None
    if not is_there():
        event = Event(
            PUSH,
            bundles=tuple(dict.fromkeys([uploads.put(signer.sign(said).raw), *stored])),
            keys=tuple(dict.fromkeys([*map(uploads.put, signer.keys), *known])),
        )
        entry = record(registry, trust, signer, now, lambda: [] if is_there() else [event], uploads)
    if entry is None:
        settle(registry)  # that it is there is a promise, too
    taken = tuple(t for document in documents for t in document.taken)
    return Done(found.digest, name, entry, taken, tuple(skipped))


def _read(desk: _Desk) -> tuple[list[_Document], list[str]]:
    """Every document that may be attached, and why others may not. Raises the first of those."""
    documents: list[_Document] = []
    skipped: list[str] = []
    for name, raw in desk.given.files:
        try:
            lines = attached.read_file(name, raw)
        except BadBundle as error:
            _skip(desk.given, skipped, BadBundle(f"{name}: {error}"))
            continue
        texts = raw.split(b"\n")
        for line in lines:
            label = f"{name} line {line.number}" if line.number else name
            if line.problem is not None:
                _skip(desk.given, skipped, BadBundle(f"{label}: {line.problem}"))
                continue
            own = texts[line.number - 1].removesuffix(b"\r") if line.number else raw
            try:
                taken = [_take(desk, (label, own), piece) for piece in line.pieces]
            except Refused as error:
                _skip(desk.given, skipped, error)
                continue
            documents.append(_Document(name, line.number or None, own, tuple(taken)))
    if not documents:
        raise Refused("nothing is left to attach: " + "; ".join(skipped))
    return documents, skipped


def _skip(given: Given, skipped: list[str], problem: BadBundle | Refused) -> None:
    if not given.skip_bad:
        raise problem
    skipped.append(str(problem))


def _take(desk: _Desk, place: tuple[str, bytes], piece: Piece) -> Taken:
    """A piece with its signers. Raises Refused where it is about something else."""
    label, raw = place
    names = attached.names_of(piece, desk.things)
    # A link of an earlier step names what that step made, which need not be in here: the
    # layout says how the steps hang together, and the gate where they must end.
    if names is None and piece.link is None:
        said = next((s.name or s.uri for s in piece.subjects if s.name or s.uri), "other bytes")
        raise Refused(
            f"{label}: it is about {said:.80}, whose digests are none of this artifact's "
            "(its manifest, its files; of a model signature, all of its files)"
        )
    along = [PublicKey.parse(piece.key)] if piece.key and _is_key(piece.key) else []
    keys = attached.known_keys(desk.view, [*desk.given.keys, *along])
    signers = tuple(links.signers(piece, keys))
    bundle = attached.bundle_of(piece)
    proven = keyless_facts.prove(bundle, desk.held.roots) if bundle is not None else None
    identity = proven.certified if proven else None
    return Taken(label, Digest.of(raw), piece, names, signers, identity)


def _is_key(pem: bytes) -> bool:
    try:
        PublicKey.parse(pem)
    except BadKey:
        return False
    return True


def _store(uploads: Uploads, document: _Document) -> Item:
    """Put a document as it came and, where it is no bundle of its own, its statements as some."""
    digest = uploads.put(document.raw)
    bundles = []
    for taken in document.taken:
        piece = taken.piece
        if piece.bundle is not None and piece.keyless:
            bundles.append(uploads.put(piece.bundle))
        if piece.statement is None:
            continue
        for signature, key in taken.signers:
            if not _is_bundle(document.raw, key):
                wrapped = Bundle.build(piece.statement.raw, signature, key)
                bundles.append(uploads.put(wrapped.raw))
    unique = tuple(sorted(set(bundles) - {digest}))
    return Item(document.name, digest, document.line, unique)


def _is_bundle(raw: bytes, key: PublicKey) -> bool:
    """Whether the bytes are a bundle that names the key: then nothing is wrapped anew."""
    try:
        return Bundle.parse(raw).hint in key.hints
    except BadBundle:
        return False


def _is_there(
    registry: Registry,
    view: Snapshot,
    found: Resolved,
    what: tuple[Sequence[Item], Sequence[Digest]],
    signer: Signer,
) -> bool:
    """Whether the signer attached all of it before, under the same name and with these keys."""
    items, keys = what
    about = str(found.name) if found.name else None
    places, known = set[tuple[Digest, ...]](), set[Digest]()
    for note in attached.noted(registry, view, found.node):
        if view.trust.is_same(note.fact.signer, signer) and about in (None, note.fact.about):
            places |= {(item.digest, *item.bundles) for item in note.attachment.items}
            known |= set(note.attachment.keys)
    return {(item.digest, *item.bundles) for item in items} <= places and known.issuperset(keys)
