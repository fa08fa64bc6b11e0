"""What the status statements of a feed are worth: signatures, grants, releases, and whom they stop.

No catalogue is asked: everything that counts is in the bundles and the reader's trust
root. The rules are those of `lineage.status`, over statements instead of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from stemma_attestations import dating, distrusting, releasing
from stemma_attestations.bundle import Bundle
from stemma_attestations.certified import Certified
from stemma_attestations.digest import NODES, Digest
from stemma_attestations.distrusting import Rule
from stemma_attestations.errors import BadBundle, BadKey, BadStatement, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Criterion, Distrusted, Packaged, Recorded
from stemma_attestations.reasons import Edge
from stemma_attestations.releasing import Voice
from stemma_attestations.request import Stop
from stemma_attestations.statement import Statement
from stemma_attestations.times import Times
from stemma_attestations.trust import Assurance, TrustRoot
from stemma_registry.status.documents import Custody


class _RootMissing(SignatureRefused):
    """It might verify under a trusted root that is asked for and is not at hand."""


@dataclass(frozen=True)
class Target:
    """What a quarantine stops, under the name it was said about (None: none)."""

    digest: Digest
    name: str | None
    label: str
    path: str | None = None


@dataclass(frozen=True)
class Said:
    """A status statement whose signature verified; `lifts` is empty but for releases."""

    bundle: Bundle
    statement: Digest
    signer: str
    signed: Times
    action: str
    reason: str
    targets: tuple[Target, ...]
    lifts: frozenset[Digest] = frozenset()
    criterion: Criterion | None = None

    @property
    def voice(self) -> Voice:
        """Who stands behind it."""
        return Voice(self.signer, self.signed)


@dataclass(frozen=True)
class Reached:
    """A node that a verdict depends on, and the NAME it is asked about under (None: none).

    `path` explains how it was reached, a line a hop, `edges` the same for machines; `file`
    is set for a file of an artifact, which is asked about under that artifact's name.
    """

    digest: Digest
    asked: str | None = None
    path: tuple[str, ...] = ()
    file: str | None = None
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True)
class Judged:
    """Every act of custody of a feed, under one trust root at one time.

    `standing` are quarantines with those of their targets that no believed release has
    lifted for every question, whoever signed them; what each is worth depends on the
    question, and so does what a release is worth that is believed about some names only.
    """

    trust: TrustRoot
    said: tuple[Said, ...]
    standing: tuple[Said, ...]
    refused: int  # bundles that no signature, or no key at hand, vouches for
    now: datetime
    undecided: str | None = None
    releases: Mapping[Digest, tuple[Voice, ...]] = field(default_factory=dict)

    @property
    def believed(self) -> tuple[Said, ...]:
        """The standing quarantines that stop something, with the targets that they stop."""
        found = []
        for said in self.standing:
            targets = tuple(t for t in said.targets if _is_believed(self.trust, said, t))
            if targets:
                found.append(replace(said, targets=targets))
        return tuple(found)

    @property
    def unanswered(self) -> str | None:
        """Why the feed alone cannot tell what is stopped: it has no BOMs, no record indexes."""
        for said in self.believed:
            if isinstance(said.criterion, Packaged):
                told = f"{said.criterion.label} is stopped by {said.statement.short}"
                return f"{told}, and what has it is only known where BOMs are"
            if isinstance(said.criterion, Recorded):
                told = f"what has {said.criterion.label} is stopped by {said.statement.short}"
                return f"{told}, and what came later is only known where record indexes are"
        return None

    @property
    def lifted(self) -> tuple[Said, ...]:
        """The quarantines that would stop something, had they not been released altogether."""
        standing = {said.bundle.raw for said in self.standing}
        return tuple(
            said
            for said in self.said
            if said.bundle.raw not in standing
            and any(_is_believed(self.trust, said, target) for target in said.targets)
        )

    def lost(self, others: Judged) -> tuple[Said, Target] | None:
        """A target that others, under the same trust root, stop for more questions than this."""
        here: dict[tuple[Digest, Digest, str | None], list[Voice]] = {}
        for said in self.believed:
            for target in said.targets:
                about = (said.statement, target.digest, target.name)
                here.setdefault(about, []).append(said.voice)
        for said in others.believed:
            for target in said.targets:
                voices = here.get((said.statement, target.digest, target.name), [])
                if not any(releasing.speaks_for(self.trust, one, said.voice) for one in voices):
                    return said, target
        return None


def judge(
    custody: Custody, trust: TrustRoot, roots: Mapping[Digest, bytes], now: datetime
) -> Judged:
    """Verify every statement, and hold releases against quarantines.

    `roots` are the bytes of the Sigstore trusted roots that `trust` asks for.
    """
    keys, people = _keys(custody), dict[str, Certified]()
    trust = trust.knowing(people.get)
    said, refused, undecided = list[Said](), 0, None
    for raw in custody.bundles:
        try:
            statement, signer, who, signed, bundle = _verified(raw, keys, trust, roots)
        except _RootMissing as error:
            undecided = f"a status statement cannot be verified here: {error}"
            refused += 1
            continue
        except (BadBundle, BadStatement, SignatureRefused):
            refused += 1
            continue
        if statement.predicate_type != predicate.TYPE:
            refused += 1
            continue
        if who is not None:
            people[signer] = who
        missing = [root for root in trust.time if root not in roots and who is None]
        if missing and dating.has_evidence(bundle) and trust.might_matter(signer, signed):
            undecided = (
                f"the trusted root {missing[0].short} is not on this machine: "
                "whether a revoked key had signed before is not known"
            )
        one = Said(bundle, statement.digest, signer, signed, "", "", _targets(statement))
        try:
            view = predicate.parse(statement.predicate)
        except BadStatement as error:
            if any(_is_believed(trust, one, target) for target in one.targets):
                undecided = (
                    f"status statement {bundle.digest.short} is of a kind that this version does "
                    f"not understand ({error}); a newer stemma is needed"
                )
            continue
        acts = replace(one, action=view.action, reason=view.reason, criterion=view.criterion)
        said.append(replace(acts, lifts=frozenset(view.releases)))
    releases: dict[Digest, tuple[Voice, ...]] = {}
    for one in said:
        for lifted in one.lifts:
            releases[lifted] = (*releases.get(lifted, ()), one.voice)
    trust = distrusting.overlay(trust, _rules(said, releases, trust), now)
    standing = [
        left
        for one in said
        if one.action in (predicate.QUARANTINE, predicate.MATCHING)
        and (left := _left(one, releases.get(one.statement, ()), trust, now)) is not None
    ]
    return Judged(trust, tuple(said), tuple(standing), refused, now, undecided, releases)


def stops(judged: Judged, reached: Iterable[Reached]) -> tuple[list[Stop], list[Stop]]:
    """The quarantines that reach an artifact, and those that would if they were believed.

    `reached` are the artifact, what is above it on edges that count, and the files of all
    of these. For step 9 of the gate, where the registry cannot be asked.
    """
    places: dict[Digest, list[Reached]] = {}
    for place in reached:
        places.setdefault(place.digest, []).append(place)
    found: list[Stop] = []
    suspects: list[Stop] = []
    for said in judged.standing:
        hits = [
            (target, place)
            for target in said.targets
            for place in places.get(target.digest, ())
            if not _is_lifted(judged, said, target, place)
        ]
        counting = [hit for hit in hits if _worth(judged.trust, said, *hit)]
        if hits:
            target, place = (counting or hits)[0]
            label = f"{place.file} ({target.digest.short})" if place.file else target.label
            by = judged.trust.label(said.signer)
            told = (label, said.reason, by, said.bundle.digest, place.path)
            stop = Stop(*told, key_id=said.signer, edges=place.edges)
            (found if counting else suspects).append(stop)
    return found, suspects


def _worth(trust: TrustRoot, said: Said, target: Target, place: Reached) -> bool:
    """Whether it stops what is asked for under that name."""
    worth = trust.assurance(said.signer, predicate.TYPE, target.name, place.asked, said.signed)
    return worth is Assurance.ATTESTED


def _is_lifted(judged: Judged, said: Said, target: Target, place: Reached) -> bool:
    """Whether somebody who may speak about the name that is asked for too has released it."""
    releases = judged.releases.get(said.statement, ())
    return bool(releases) and releasing.lifted(
        judged.trust, releases, target.name, place.asked, judged.now
    )


def _is_believed(trust: TrustRoot, said: Said, target: Target) -> bool:
    if said.criterion is not None:  # which is about no name: it counts where its signer may speak
        return bool(trust.patterns(said.signer, predicate.TYPE, None, said.signed))
    return trust.has_authorised(said.signer, predicate.TYPE, target.name, said.signed)


def _rules(
    said: Iterable[Said], releases: Mapping[Digest, tuple[Voice, ...]], trust: TrustRoot
) -> list[Rule]:
    """The distrust in a feed, of those who may distrust somebody."""
    return [
        Rule(
            one.statement,
            one.bundle.digest,
            one.voice,
            one.criterion,
            one.reason,
            releases.get(one.statement, ()),
        )
        for one in said
        if isinstance(one.criterion, Distrusted)
        and trust.patterns(one.signer, predicate.TYPE, None, one.signed)
    ]


def _left(one: Said, releases: Sequence[Voice], trust: TrustRoot, now: datetime) -> Said | None:
    """A quarantine without the targets that are released today, whatever is asked about."""
    if one.criterion is not None:
        return None if releasing.covers_wholly(trust, releases, one.voice, now) else one
    left = tuple(
        target
        for target in one.targets
        if not releasing.lifts_wholly(trust, releases, one.voice, target.name, now)
    )
    return replace(one, targets=left) if left else None


def _keys(custody: Custody) -> dict[str, PublicKey]:
    found: dict[str, PublicKey] = {}
    for der in custody.keys:
        try:
            key = PublicKey.parse(der)
            found.update(dict.fromkeys(key.hints, key))
        except BadKey:
            continue  # its statements are then refused
    return found


def _verified(
    raw: bytes,
    keys: Mapping[str, PublicKey],
    trust: TrustRoot,
    roots: Mapping[Digest, bytes],
) -> tuple[Statement, str, Certified | None, Times, Bundle]:
    """A bundle's statement, who signed it and what proves when. BadBundle, SignatureRefused."""
    bundle = Bundle.parse(raw)
    if bundle.certificate is None:
        key = trust.key(bundle.hint) or keys.get(bundle.hint)
        if key is None:
            raise SignatureRefused(f"public key {bundle.hint:.12} is not known")
        statement = bundle.verify(key)
        times = dating.under_roots(bundle, key.id, trust.time, roots)
        return statement, key.id, None, times, bundle
    from stemma_attestations import keyless  # what it stands on takes a second to import

    try:
        found = keyless.verify_each(raw, [one for one in trust.roots if one in roots], roots)
    except SignatureRefused:
        pass
    else:
        who, proven = keyless.speaker(found)
        return found[who.root].statement, who.id, who, proven, bundle
    missing = [digest.short for digest in trust.roots if digest not in roots]
    if missing:
        raise _RootMissing(
            f"the trusted root {missing[0]} is not on this machine (`stemma trust root add FILE`)"
        )
    raise SignatureRefused("no trusted root at hand verifies it")


def _targets(statement: Statement) -> tuple[Target, ...]:
    found = []
    for subject in statement.subjects:
        digest = subject.first(*NODES)
        if digest is None:
            continue
        name, path = subject_name(subject.name), subject.annotations.get("path")
        path = path if isinstance(path, str) else None
        label = f"{path} ({digest.short})" if path else subject.name or digest.short
        found.append(Target(digest, name.name if name else None, label, path))
    return tuple(found)
