"""Verify keyless bundles: whom a certificate names, at what time, and which log saw it.

sigstore's verifier does the cryptography, offline, against exactly the trusted root
it is handed: https://docs.sigstore.dev/about/bundle/ and the client specification.
Around it stand the checks that it leaves to its caller, or does not make:

- the bytes are read by our strict parser first, and nothing is said twice in them;
- the log, the CT log and the authority are named in the trusted root, and their
  windows (`validFor`) were open at the time (sigstore tries every key it has, and
  compares the windows' starts with the clock, not with the time of the signature);
- the checkpoint is of the size that the inclusion proof is about;
- the payload type, and that what was verified is what we parse.

Nothing is read from a disk or the network: there is no default root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, SignatureRefused
from stemma_attestations.guarding import guarded
from stemma_attestations.identity import Identity
from stemma_attestations.log_entry import LogEntry
from stemma_attestations.message import MessageBundle, is_message
from stemma_attestations.statement import PAYLOAD_TYPE, Statement
from stemma_attestations.times import Dated, Times
from stemma_attestations.trusted_root import TrustedRoot

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle as SigstoreBundle
    from sigstore.verify import Verifier

T = TypeVar("T")
# Kept per process: a root is parsed once, not for every bundle.
_ROOTS = 32


# What Rekor v1 and v2 record of an envelope, and of a message.
_KINDS: dict[type, frozenset[str]] = {
    Bundle: frozenset({"dsse/0.0.1", "hashedrekord/0.0.2"}),
    MessageBundle: frozenset({"hashedrekord/0.0.1", "hashedrekord/0.0.2"}),
}


@dataclass(frozen=True)
class LogProof:
    """Which log saw the signature, and where.

    `index` is the entry's place in the tree that the proof is about (of `tree_size`
    entries, with this root hash): not the number outside the proof, which in a v2
    entry nobody has signed.
    """

    log_id: str  # hex
    url: str  # from the trusted root
    index: int
    tree_size: int
    root_hash: str  # hex
    kind: str  # one of _KINDS


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a keyless bundle proves about its signature, whatever it is over."""

    identity: Identity
    log: LogProof
    log_time: datetime | None  # the log's promise; Rekor v2 gives none
    timestamps: tuple[datetime, ...]  # of trusted authorities, sorted

    @property
    def times(self) -> tuple[datetime, ...]:
        """Every trusted time, sorted; at least one. The signature existed at the first."""
        return tuple(sorted({*self.timestamps, *([self.log_time] if self.log_time else [])}))


@dataclass(frozen=True, kw_only=True)
class Verified(Proof):
    """A statement, and who signed it when."""

    statement: Statement


@dataclass(frozen=True, kw_only=True)
class VerifiedMessage(Proof):
    """The digest of the bytes that somebody signed as they are."""

    digest: Digest


def verify(raw: bytes, trusted_root: bytes, *, pin: Digest | None = None) -> Verified:
    """Verify a bundle's bytes against a trusted root's bytes, offline.

    With `pin` the root must have that digest. Whom the identity that comes back is
    believed for is the caller's to decide. Raises UnknownLog where the trusted root
    does not know a log that the bundle names, SignatureRefused for everything else.
    """
    return _opened(trusted_root, pin, lambda root, verifier: _verify(raw, root, verifier))


def verify_message(
    raw: bytes, artifact: Digest, trusted_root: bytes, *, pin: Digest | None = None
) -> VerifiedMessage:
    """Verify a bundle with a message signature over the bytes that have this SHA-256.

    Everything around the signature is as in `verify`, and so is what is raised.
    """
    return _opened(
        trusted_root, pin, lambda root, verifier: _verify_message(raw, artifact, root, verifier)
    )


def verify_artifact(
    raw: bytes, artifact: Digest, trusted_root: bytes, *, pin: Digest | None = None
) -> Verified | VerifiedMessage:
    """Verify a bundle that is to be about the bytes that have this SHA-256.

    They are the message that was signed, or a subject of the statement. Raises as `verify`.
    """
    if guarded(lambda: is_message(raw)):
        return verify_message(raw, artifact, trusted_root, pin=pin)
    verified = verify(raw, trusted_root, pin=pin)
    if not verified.statement.subjects_about(artifact):
        raise SignatureRefused("its statement is about other bytes")
    return verified


def verify_each(
    raw: bytes, wanted: Iterable[Digest], roots: Mapping[Digest, bytes]
) -> dict[Digest, Verified]:
    """Verify a bundle under every one of the `wanted` trusted roots: those that do, in order.

    At least one does. `roots` are the bytes of those at hand. Raises SignatureRefused
    with every reason.
    """
    return _each(wanted, roots, lambda root, digest: verify(raw, root, pin=digest))


def verify_each_message(
    raw: bytes, artifact: Digest, wanted: Iterable[Digest], roots: Mapping[Digest, bytes]
) -> dict[Digest, VerifiedMessage]:
    """`verify_message` under every one of the `wanted` trusted roots, as `verify_each`."""
    return _each(
        wanted, roots, lambda root, digest: verify_message(raw, artifact, root, pin=digest)
    )


def _each(
    wanted: Iterable[Digest], roots: Mapping[Digest, bytes], work: Callable[[bytes, Digest], T]
) -> dict[Digest, T]:
    found: dict[Digest, T] = {}
    reasons = []
    for digest in wanted:
        if digest not in roots:
            reasons.append(f"the trusted root {digest.short} is not on this machine")
            continue
        try:
            found[digest] = work(roots[digest], digest)
        except SignatureRefused as error:
            reasons.append(str(error))
    if not found:
        text = "; ".join(dict.fromkeys(reasons))
        raise SignatureRefused(text or "it is keyless, and the trust root lists no identity")
    return found


def speaker(found: Mapping[Digest, Proof]) -> tuple[Certified, Times]:
    """Who made a signature that verifies under these roots, and what each proves about when.

    The certificate is one, so whom it names is the same under all of them.
    """
    (root, first), *more = found.items()
    who = Certified(root, first.identity, tuple(digest for digest, _ in more))
    return who, tuple(Dated(said.times[0], digest) for digest, said in found.items())


def _opened(
    trusted_root: bytes, pin: Digest | None, work: Callable[[TrustedRoot, Verifier], T]
) -> T:
    if pin is not None and Digest.of(trusted_root) != pin:
        raise SignatureRefused(f"the trusted root is not the one that is pinned ({pin.short})")
    root, verifier = guarded(lambda: _load(trusted_root))
    return guarded(lambda: work(root, verifier))


@lru_cache(maxsize=_ROOTS)
def _load(trusted_root: bytes) -> tuple[TrustedRoot, Verifier]:
    from sigstore.models import TrustedRoot as SigstoreRoot
    from sigstore.verify import Verifier
    from sigstore_models.trustroot import v1

    root = TrustedRoot.parse(trusted_root)
    inner = v1.TrustedRoot.from_json(trusted_root)
    for authority in inner.timestamp_authorities:
        # sigstore leaves the last moment of a window out; ours, which decides, has it in.
        if authority.valid_for is not None and authority.valid_for.end is not None:
            authority.valid_for.end += timedelta(microseconds=1)
    return root, Verifier(trusted_root=SigstoreRoot(inner))


class _Leaf:
    """The certificate that sigstore has verified, read at the moment it says so."""

    identity: Identity | None = None

    def verify(self, cert: Certificate) -> None:
        """Be the policy: sigstore calls this once the chain and the SCT are good."""
        from cryptography.hazmat.primitives.serialization import Encoding

        self.identity = Identity.from_certificate(cert.public_bytes(Encoding.DER))


def _verify(raw: bytes, root: TrustedRoot, verifier: Verifier) -> Verified:
    bundle = Bundle.parse(raw)
    if bundle.certificate is not None and bundle.envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureRefused(f"the payload type is not {PAYLOAD_TYPE}")

    def check(signed: SigstoreBundle, leaf: _Leaf) -> None:
        kind, payload = verifier.verify_dsse(signed, leaf)
        if kind != PAYLOAD_TYPE or payload != bundle.envelope.payload:
            raise SignatureRefused("what was verified is not what the bundle says")

    proof = _prove(bundle, bundle.envelope.signatures[0].sig, root, check)
    return Verified(statement=_statement(bundle.envelope.payload), **vars(proof))


def _verify_message(
    raw: bytes, artifact: Digest, root: TrustedRoot, verifier: Verifier
) -> VerifiedMessage:
    from sigstore.hashes import Hashed
    from sigstore_models.common.v1 import HashAlgorithm

    bundle = MessageBundle.parse(raw)
    bundle.check_digest(artifact)
    hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(artifact.value))

    def check(signed: SigstoreBundle, leaf: _Leaf) -> None:
        verifier.verify_artifact(hashed, signed, leaf)

    return VerifiedMessage(digest=artifact, **vars(_prove(bundle, bundle.signature, root, check)))


def _prove(
    bundle: Bundle | MessageBundle,
    signature: bytes,
    root: TrustedRoot,
    check: Callable[[SigstoreBundle, _Leaf], None],
) -> Proof:
    """Everything around a signature; `check` has sigstore verify it, and what it is over."""
    from sigstore.models import Bundle as SigstoreBundle

    if bundle.certificate is None:
        raise SignatureRefused("the bundle names a key: it has no certificate")
    entry = LogEntry.parse(bundle.material)
    log = root.log(entry.log_id)
    if entry.kind not in _KINDS[type(bundle)]:
        raise SignatureRefused(f"a log entry of kind {entry.kind!r:.40} is not verified for this")
    entry.check_checkpoint(log.key)
    root.check_certificate_log(bundle.certificate)

    leaf = _Leaf()
    check(SigstoreBundle.from_json(bundle.raw), leaf)
    identity = Identity.from_certificate(bundle.certificate)
    if leaf.identity != identity:
        raise SignatureRefused("the certificate that was verified is not the bundle's")

    proof = Proof(
        identity=identity,
        log=_proof(entry, log.url),
        log_time=entry.integrated if entry.promised else None,
        timestamps=tuple(sorted(root.timestamps(entry.timestamps, signature))),
    )
    if not proof.times:
        raise SignatureRefused("no trusted time says when it was signed")
    for time in proof.times:
        log.check_open(time)
        root.check_authority(bundle.certificate, time)
    return proof


def _proof(entry: LogEntry, url: str) -> LogProof:
    return LogProof(
        log_id=entry.log_id.hex(),
        url=url,
        index=entry.index,
        tree_size=entry.tree_size,
        root_hash=entry.root_hash.hex(),
        kind=entry.kind,
    )


def _statement(payload: bytes) -> Statement:
    try:
        return Statement.parse(payload)
    except BadStatement as error:
        raise SignatureRefused(f"signed, but not a statement: {error}") from error
