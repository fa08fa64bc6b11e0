"""Stopping every dataset that has any of some records, today and later.

One statement does both. It names, by their digests, the datasets that were found and the files in
them that have the records: those are stopped on its word alone, as by any quarantine. And it is a
criterion: the hashes of the records, with which every index that is made later is compared
(`records.comparing`). The records themselves are nowhere in it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Recorded
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import Assurance, TrustRoot, described
from stemma_registry import custody
from stemma_registry.care.uploads import Uploads
from stemma_registry.custody import Preview, Target
from stemma_registry.errors import NotFound, Refused
from stemma_registry.ledger.entry import STATUS, Event
from stemma_registry.measures import signing
from stemma_registry.records import canonical, comparing, keys, search
from stemma_registry.records.answers import Answer, Dataset, Match
from stemma_registry.records.search import Question
from stemma_registry.registry import Registry, Snapshot, record, snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Found:
    """What was found, and what a quarantine of it would do. `unsure` datasets are not in it.

    Of those only an index by somebody who is not believed says that they have a record, and
    their bytes could not be read. `of` is what is met later; without it nothing later is.
    """

    answer: Answer
    preview: Preview
    unsure: tuple[str, ...]
    of: Recorded | None


@dataclass(frozen=True)
class _Look:
    """What there was to be found at an entry of the ledger, and the sets that `of` names."""

    answer: Answer
    targets: tuple[Target, ...]
    unsure: tuple[str, ...]
    of: Recorded
    sets: Mapping[str, bytes]

    def previewed(self, view: Snapshot, signer: Signer) -> Found:
        """What stopping it would do; `view` knows the signer."""
        seen = custody.previewed(view, self.targets, (), signer)
        more = _warnings(view, signer, self.targets)
        seen = replace(seen, warnings=(*seen.warnings, *more))
        return Found(self.answer, seen, self.unsure, self.of if self.sets else None)


@dataclass(frozen=True)
class _Draft:
    """What was found, and the statement (its digest) and the event that stop it."""

    look: _Look
    statement: Digest
    event: Event


def preview(
    registry: Registry,
    view: Snapshot,
    source: Path,
    fields: Iterable[str] | None,
    signer: Signer,
    later: bool = True,
) -> Found:
    """Look for the records of a file. Raises as `search`.

    Also Refused where no key is here by which others could be compared `later`, and NotFound
    where no dataset has any and none is to be met later.
    """
    view = _introduced(view, signer)
    with search.asked(registry, view, source, fields) as question:
        return _look(question, question.answer(), source, later).previewed(view, signer)


def stop(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    asked: tuple[Path, Iterable[str] | None],
    reason: str,
    now: datetime,
    later: bool = True,
) -> tuple[Found, Digest, int]:
    """Look for the records, and stop what has them now and `later`, or by a plain quarantine.

    Returns the digest of the statement and the ledger entry, too. What is indexed before that
    entry knows of nothing to be compared with, so it is looked into, however much arrives
    meanwhile; what is indexed after it was compared. Raises as `preview`, LedgerBroken,
    Unavailable.
    """
    because = signing.reason(reason)
    with contextlib.ExitStack() as stack:
        with snapshot(registry, trust, now) as first:
            view = _introduced(first, signer)
            question = stack.enter_context(search.asked(registry, view, *asked))
            look = _look(question, question.answer(), asked[0], later)
            found = look.previewed(view, signer)
        if not later:
            return found, *custody.quarantine(registry, trust, signer, look.targets, because, now)
        uploads = Uploads.begin(registry.store, registry.catalogue)
        draft = _drafted(uploads, signer, look, because, now)

        def decide() -> list[Event]:
            nonlocal draft
            with snapshot(registry, trust, now) as latest:
                more = question.again(_introduced(latest, signer))
                look = _look(question, more, asked[0], later) if more else None
            if look is not None:
                draft = _drafted(uploads, signer, look, because, now)
            return [draft.event]

        entry = record(registry, trust, signer, now, decide, uploads)
    if entry is None:
        raise AssertionError("there is always something to record")
    if draft.look is not look:
        with snapshot(registry, trust, now) as latest:
            found = draft.look.previewed(_introduced(latest, signer), signer)
    return found, draft.statement, entry


def _introduced(view: Snapshot, signer: Signer) -> Snapshot:
    return replace(view, trust=view.trust.introducing(signer.certified))


def _look(question: Question, answer: Answer, source: Path, later: bool) -> _Look:
    """What an answer stops. Raises Refused, NotFound."""
    sets = _sets(question) if later else {}
    targets, unsure = list[Target](), []
    for dataset in answer.found:
        matches = [match for match in dataset.matches if _is_sure(match)]
        if matches:
            targets += _targets(question.registry, question.view, dataset, matches)
        else:
            unsure.append(dataset.label)
    if not (targets or later):
        raise NotFound(f"no dataset is known to have a record of {source.name:.80}")
    blobs = tuple((key, Digest.of(raw)) for key, raw in sets.items())
    of = Recorded(canonical.VERSION, answer.fields, answer.asked, answer.entry, blobs)
    return _Look(answer, tuple(targets), tuple(unsure), of, sets)


def _drafted(uploads: Uploads, signer: Signer, look: _Look, because: str, now: datetime) -> _Draft:
    """Say it and sign it; all that the entry needs is put."""
    of = look.of
    statement = Statement.build(
        [
            ResourceDescriptor(digests=(criterion.subject(of),)),
            *(custody.descriptor(target) for target in look.targets),
        ],
        predicate.TYPE,
        predicate.build_matching(of, because, format_time(now), secrets.token_hex(16)),
    )
    files = [Entry(f"{key}.hashes", len(raw), uploads.put(raw)) for key, raw in look.sets.items()]
    event = Event(
        STATUS,
        artifacts=(uploads.put(Manifest.of(files).raw),),
        bundles=(uploads.put(signer.sign(statement).raw),),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )
    return _Draft(look, statement.digest, event)


def _sets(question: Question) -> dict[str, bytes]:
    """The records by each key that a later index may be made with. Raises Refused.

    Hashes of a public index can be tried by anybody, so there are some only where datasets are
    indexed so, by those who are believed.
    """
    usable = sorted(key for key in question.keys if key != keys.PUBLIC or key in question.believed)
    if not usable:
        raise Refused(
            "this home has no record key, so nothing can be compared with these records later: "
            "copy the record.key of those who index, and `stemma key record --add FILE`, or stop "
            "what has one today (--only-found)"
        )
    return {key: comparing.write(question.hashed(key)) for key in usable}


def _warnings(view: Snapshot, signer: Signer, targets: Sequence[Target]) -> list[str]:
    if targets:
        return []
    if not view.trust.lets(signer, predicate.TYPE, None, view.now):
        warning = (
            f"the trust root does not let {described(signer)} stop all that has such a record: "
            "of what he may not, this would be shown, and stop nothing"
        )
        return [warning]
    return ["no dataset is known to have such a record today; what is pushed later is met"]


def _is_sure(match: Match) -> bool:
    return match.checked or match.assurance is Assurance.ATTESTED


def _targets(
    registry: Registry, view: Snapshot, dataset: Dataset, matches: Iterable[Match]
) -> list[Target]:
    """The dataset under the best name it has, and its files that have a record."""
    first, node = custody.target_of(view, str(dataset.digest))
    others = [] if node is None else custody.aliases(view, registry.store, node, first)[0]
    files = {match.shard: match.path for match in matches}
    return [first, *(Target(blob, first.name, files[blob]) for blob in sorted(files)), *others]
