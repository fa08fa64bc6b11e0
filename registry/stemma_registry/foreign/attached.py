"""What is attached to an artifact: reading it again, and what its signatures are worth.

An attachment statement says where bytes are. All else is read from those bytes, each
time, under the trust root of the question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from stemma_attestations import foreign
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, BadStatement
from stemma_attestations.foreign import Piece, Thing
from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import attachment, signature
from stemma_attestations.predicates.attachment import Attachment, Item
from stemma_attestations.statement import ResourceDescriptor
from stemma_attestations.times import Times
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import aliases, dated_facts, query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.foreign import links
from stemma_registry.lineage.hops import signer_label
from stemma_registry.reference import Resolved, best_version
from stemma_registry.registry import Registry, Snapshot

UNVERIFIED = "unverified"
KEYLESS = "keyless, and no trusted root of this machine verifies it"
NO_PROOF = "keyless, and nothing in it proves that a log saw it"
OTHER = "keyless, and no Statement v1: not verified by this version"
CHAINED = "signed with a certificate: a claim, unless the key of that certificate is known"
# Digests of a file that a subject may have beside SHA-256, or instead of it.
_MORE = ("sha384", "sha512", "sha1", "md5")


@dataclass(frozen=True)
class Noted:
    """A signed attachment statement, and what it lists."""

    fact: Fact
    attachment: Attachment


@dataclass(frozen=True)
class Seen:
    """One signed thing in what is attached.

    `names` is what of the artifact it names, `key_id` the id of the key or the identity
    whose signature verifies.
    `assurance` is `unverified` where there is none.
    """

    piece: Piece
    item: Item
    fact: Fact
    names: str | None
    key_id: str | None
    signer: str
    assurance: str
    note: str


@dataclass
class Things:
    """The artifact and its files, by all digests that a statement may name them by.

    Only SHA-256 is in a manifest. A file is read for another digest where a subject has
    one, once; without a store, what is in the manifest has to do.
    """

    store: Store | None
    manifest: Manifest
    _known: dict[tuple[Digest, str], Digest | None] = field(default_factory=dict)

    def for_piece(self, piece: Piece) -> Iterator[Thing]:
        """What the subjects of a piece may name."""
        said = [digest for subject in piece.subjects for digest in subject.digests]
        more = [name for name in _MORE if any(digest.algorithm == name for digest in said)]
        raw = self.manifest.raw
        yield Thing("the artifact", (self.manifest.digest, *(_hash(name, raw) for name in more)))
        yield Thing("its OMS root", (self.manifest.oms_root,))
        named = {digest for digest in said if digest.algorithm == "sha256"}
        blind = any(
            subject.digest("sha256") is None
            and (subject.digest("sha512") or subject.digest("sha384"))
            for subject in piece.subjects
        )
        for entry in self.manifest.entries:
            if blind or entry.sha256 in named:
                extra = [self._read(entry.sha256, name) for name in more]
                found = (entry.sha256, *(digest for digest in extra if digest is not None))
                yield Thing(entry.path, found)

    def _read(self, blob: Digest, algorithm: str) -> Digest | None:
        key = (blob, algorithm)
        if self.store is not None and key not in self._known:
            state = hashlib.new(algorithm, usedforsecurity=False)
            try:
                for chunk in self.store.chunks(blob):
                    state.update(chunk)
                self._known[key] = Digest(algorithm, state.hexdigest())
            except (BlobMissing, Damaged):
                self._known[key] = None
        return self._known.get(key)


def _hash(algorithm: str, data: bytes) -> Digest:
    return Digest(algorithm, hashlib.new(algorithm, data, usedforsecurity=False).hexdigest())


def read_file(name: str, raw: bytes) -> list[foreign.Line]:
    """The documents of a file: a collection's lines, or the one document as line 0.

    A file is a collection where it is called `.jsonl`, or where its first line is a
    document by itself. Raises BadBundle.
    """
    if name.endswith(".jsonl"):
        return foreign.read_lines(raw)
    try:
        return [foreign.Line(0, foreign.read(raw))]
    except BadBundle:
        lines = foreign.read_lines(raw) if raw.strip().count(b"\n") else []
        if len(lines) < 2 or lines[0].problem is not None:
            raise
        return lines


def noted(registry: Registry, view: Snapshot, node: int) -> list[Noted]:
    """The signed attachment statements about a node: believed first, then newest first."""
    facts = {
        fact.bundle: fact
        for fact in query.facts_about(view.connection, node)
        if fact.predicate_type == attachment.TYPE and fact.signer is not None
    }
    found = []
    for fact in facts.values():
        raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
        try:
            said = attachment.parse(Bundle.parse(raw).statement().predicate)
        except (BadBundle, BadStatement):
            continue
        found.append(Noted(fact, said))
    order = list(Assurance)
    return sorted(found, key=lambda n: (order.index(_worth(view, n.fact)), -n.fact.n))


def _worth(view: Snapshot, fact: Fact) -> Assurance:
    return view.trust.assurance(fact.signer, fact.predicate_type, fact.name, None, fact.signed)


def pieces(registry: Registry, view: Snapshot, node: int) -> Iterator[tuple[Noted, Item, Piece]]:
    """Every signed thing that is attached, each document once, at most `LIMITS.attached`."""
    done: set[Digest] = set()
    for note in noted(registry, view, node):
        for item in note.attachment.items:
            if item.digest in done or len(done) >= LIMITS.attached:
                continue
            done.add(item.digest)
            raw = get_bytes(registry.store, item.digest, LIMITS.small_object_bytes)
            try:
                found = foreign.read(raw)
            except BadBundle:
                continue  # nothing can be shown of it
            for piece in found:
                yield note, item, piece


def seen(registry: Registry, view: Snapshot, found: Resolved, manifest: Manifest) -> list[Seen]:
    """What is attached to an artifact and is no statement about it in the catalogue."""
    # Looking at a list reads no files: of what only SHA-512 names, it is not said what that is.
    things = Things(None, manifest)
    facts = query.facts_about(view.connection, found.node)
    rows = {fact.bundle for fact in facts if fact.predicate_type not in aliases.TYPES}
    listed = []
    for note, item, piece in pieces(registry, view, found.node):
        if piece.statement is not None and rows & {item.digest, *item.bundles}:
            continue
        keys = known_keys(view, (), _stored_keys(registry.store, note.attachment.keys))
        listed.append(_seen(view, note.fact, item, piece, (things, keys)))
    return sorted(listed, key=lambda one: one.fact.n)


def _seen(
    view: Snapshot,
    fact: Fact,
    item: Item,
    piece: Piece,
    known: tuple[Things, dict[str, PublicKey]],
) -> Seen:
    things, keys = known
    found = _signer(view, piece, keys)
    assurance, signer = UNVERIFIED, "(keyless)" if piece.keyless else "-"
    if found is not None:
        worth = view.trust.assurance(found[0], piece.says, fact.name, None, found[1])
        # Only what is a statement of today's version can count as more than signed.
        assurance = str(worth if piece.statement else Assurance.SIGNED)
        signer = signer_label(view, found[0])
    note = piece.note or ("" if found else unproven(piece))
    names = names_of(piece, things)
    return Seen(piece, item, fact, names, found[0] if found else None, signer, assurance, note)


def _signer(view: Snapshot, piece: Piece, keys: dict[str, PublicKey]) -> tuple[str, Times] | None:
    """The key or identity that signed a piece, and when: the catalogue knows the identities."""
    key = next((key for _, key in links.signers(piece, keys)), None)
    if key is not None:
        return key.id, ()
    raw = bundle_of(piece)
    return dated_facts.signer_of(view.connection, Digest.of(raw)) if raw is not None else None


def bundle_of(piece: Piece) -> bytes | None:
    """The keyless bundle of a statement, as this version can verify it."""
    if not piece.keyless or piece.statement is None:
        return None
    return piece.bundle or (piece.raw if piece.form == foreign.SIGSTORE else None)


def unproven(piece: Piece) -> str:
    """Why nothing verifies what was signed with a certificate; else empty."""
    if piece.chained:
        return CHAINED
    if not piece.keyless:
        return ""
    if bundle_of(piece) is not None:
        return KEYLESS
    return NO_PROOF if piece.form in {foreign.DSSE, foreign.COSIGN} else OTHER


def names_of(piece: Piece, things: Things) -> str | None:
    """What of the artifact a piece names, or None."""
    if piece.says not in {signature.TYPE, signature.TYPE_V0}:
        return piece.names(things.for_piece(piece))
    return _signed_files(piece, things.manifest)


def _signed_files(piece: Piece, manifest: Manifest) -> str | None:
    """A model signature names an artifact whose files it lists, by path and digest.

    The root alone leaves the paths out. The signature may be one of the files, and what it
    ignores may be others.
    """
    if piece.statement is None:
        return None
    try:
        signed = signature.parse(piece.statement)
    except BadStatement:
        return None
    files = {entry.path: entry.sha256 for entry in manifest.entries}
    if any(files.get(path) != digest for path, digest in signed.files.items()):
        return None
    own = Digest.of(piece.raw)
    left = sorted(files.keys() - signed.files.keys())
    if any(files[path] != own and not signature.covers(signed.ignored, path) for path in left):
        return None
    return f"its files but {', '.join(left):.80}" if left else "all its files"


def known_keys(
    view: Snapshot, given: Sequence[PublicKey], also: Iterable[PublicKey] = ()
) -> dict[str, PublicKey]:
    """Every key that may be tried, by its id: those that came along, and the trust root's."""
    listed = (signer.key for signer in view.trust.signers)
    return {key.id: key for key in (*given, *also, *listed) if key is not None}


def _stored_keys(store: Store, digests: Sequence[Digest]) -> list[PublicKey]:
    found = []
    for digest in digests:
        try:
            found.append(PublicKey.parse(get_bytes(store, digest, LIMITS.small_object_bytes)))
        except (BadKey, BlobMissing, Damaged):
            continue
    return found


def subject_of(view: Snapshot, found: Resolved) -> tuple[ResourceDescriptor, NameVersion | None]:
    """The subject of a statement about an artifact, as `push` writes it, and its name."""
    name = found.name
    if name is None:
        rows = query.versions_of(view.connection, [found.node]).get(found.node, [])
        best = best_version(view, rows)
        name = best.name if best else None
    return ResourceDescriptor(name=str(name) if name else None, digests=(found.digest,)), name
