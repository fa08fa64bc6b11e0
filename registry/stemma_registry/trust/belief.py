"""Would this bundle be believed, for what, and why not?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations import dating, keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.guarding import guarded
from stemma_attestations.names import subject_name
from stemma_attestations.statement import Statement
from stemma_attestations.times import Dated, Times
from stemma_attestations.trust import TrustRoot, described


@dataclass(frozen=True)
class Word:
    """What a statement says about one subject; `refusal` is empty where it is believed.

    `principals` is how many distinct ones must say so before it counts for a yes,
    `voices` as whom its signer may: as several where patterns overlap.
    """

    subject: str
    refusal: str
    principals: int
    voices: frozenset[str]


@dataclass(frozen=True)
class Testimony:
    """Who says when it was signed, under which trusted root of this machine.

    `counts` is whether that root is believed about this signer's time.
    """

    time: datetime
    by: str
    root: Digest
    counts: bool


@dataclass(frozen=True)
class Belief:
    """A bundle whose signature verifies, and what it is worth under a trust root.

    `signed` is since when it provably exists, `untimed` why a trusted root that is
    believed about time does not prove it.
    """

    by: str
    principal: str | None
    predicate_type: str
    signed: datetime | None
    times: tuple[Testimony, ...]
    untimed: tuple[str, ...]
    words: tuple[Word, ...]

    @property
    def believed(self) -> bool:
        """Whether all of it is."""
        return bool(self.words) and not any(word.refusal for word in self.words)


@dataclass(frozen=True)
class Verified:
    id: str
    certified: Certified | None
    statement: Statement
    times: tuple[Testimony, ...]
    untimed: tuple[str, ...] = ()

    @property
    def signed(self) -> Times:
        return tuple(Dated(one.time, one.root) for one in self.times)


def examine(raw: bytes, trust: TrustRoot, roots: Mapping[Digest, bytes], now: datetime) -> Belief:
    """Verify a bundle under a trust root, and ask what it may say.

    `roots` are the Sigstore trusted roots at hand. Raises BadBundle, and
    SignatureRefused where no signature verifies.
    """
    found = identify(raw, trust, roots)
    known, statement = trust.introducing(found.certified), found.statement
    kind, signed, words = statement.predicate_type, found.signed, []
    for subject in statement.subjects:
        name = subject_name(subject.name)
        label = subject.name or next((digest.short for digest in subject.digests), "nothing")
        about = name.name if name else None
        voices = known.principals(found.id, kind, about, now, signed)
        refusal = "" if voices else known.refusal(found.id, kind, label, signed)
        words.append(Word(label, refusal, known.needed(kind, about), voices))
    return Belief(
        by=described(found),
        principal=known.principal(found.id),
        predicate_type=kind,
        signed=known.since(found.id, signed),
        times=found.times,
        untimed=found.untimed,
        words=tuple(words),
    )


def identify(raw: bytes, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Verified:
    """Verify a bundle with whatever key or identity of a trust root signed it.

    Whether that one may say so is another question. Raises BadBundle, SignatureRefused.
    """
    bundle = Bundle.parse(raw)
    by_key = bundle.certificate is None
    return (_by_key if by_key else _by_certificate)(bundle, trust, roots)


def _by_key(bundle: Bundle, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Verified:
    key = guarded(lambda: trust.key(bundle.hint))
    if key is None:
        raise SignatureRefused(f"key {bundle.hint:.12} is not in the trust root")
    statement, times, untimed = bundle.verify(key), list[Testimony](), list[str]()
    wanted = (*trust.time, *(digest for digest in roots if digest not in trust.time))
    for digest in wanted if dating.has_evidence(bundle) else ():
        counts = digest in trust.time
        if digest not in roots:
            untimed.append(f"trusted root {digest.short}: it is not on this machine")
            continue
        try:
            who = dating.witnesses(bundle, key.id, roots[digest])
        except SignatureRefused as error:
            # Of a root that would not count either way there is nothing to say.
            untimed += [f"trusted root {digest.short}: {error}"] if counts else []
            continue
        times += [Testimony(one.time, one.by, digest, counts) for one in who]
        if counts and not who:
            untimed.append(f"trusted root {digest.short}: none of its authorities says so")
    return Verified(key.id, None, statement, tuple(times), tuple(untimed))


def _by_certificate(bundle: Bundle, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Verified:
    found = keyless.verify_each(bundle.raw, trust.roots, roots)
    who, _ = keyless.speaker(found)
    listed = {entry.root for entry in trust.introducing(who).entries(who.id)}
    said = []
    for digest, proof in found.items():
        counts = digest in listed or not listed
        times = [(time, "timestamp authority") for time in proof.timestamps]
        times += [(proof.log_time, f"log {proof.log.url}")] if proof.log_time else []
        said += [Testimony(time, by, digest, counts) for time, by in sorted(times)]
    return Verified(who.id, who, found[who.root].statement, tuple(said))
