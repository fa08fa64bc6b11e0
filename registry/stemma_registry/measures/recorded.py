"""Stopping every dataset that has any of some records, today and later.

One statement does both. It names, by their digests, the datasets that were found and the files in
them that have the records: those are stopped on its word alone, as by any quarantine. And it is a
criterion: the hashes of the records, with which every index that is made later is compared
(`records.comparing`). The records themselves are nowhere in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
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
from stemma_registry.catalogue import record_facts
from stemma_registry.config import LIMITS
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
    their bytes could not be read. `of` is what is met later, `sets` the blobs that it names, by
    the id of the record key, and `indexes` how many there were when it was looked for. Without
    `of` nothing later is met.
    """

    answer: Answer
    preview: Preview
    unsure: tuple[str, ...]
    of: Recorded | None
    sets: Mapping[str, bytes]
    indexes: int


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
    view = replace(view, trust=view.trust.introducing(signer.certified))
    with search.asked(registry, view, source, fields) as question:
        answer = question.answer()
        sets = _sets(question) if later else {}
    targets, unsure = list[Target](), []
    for dataset in answer.found:
        matches = [match for match in dataset.matches if _is_sure(match)]
        if matches:
            targets += _targets(registry, view, dataset, matches)
        else:
            unsure.append(dataset.label)
    if not (targets or later):
        raise NotFound(f"no dataset is known to have a record of {source.name:.80}")
    blobs = tuple((key, Digest.of(raw)) for key, raw in sets.items())
    of = Recorded(canonical.VERSION, answer.fields, answer.asked, view.n, blobs) if later else None
    seen = custody.previewed(view, targets, (), signer)
    more = _warnings(view, signer, targets)
    seen = replace(seen, warnings=(*seen.warnings, *more))
    indexes = record_facts.count(view.connection)
    return Found(answer, seen, tuple(unsure), of, sets, indexes)


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

    Returns the digest of the statement and the ledger entry, too. Between the two a dataset may
    be indexed, which was not looked into and knows of nothing to be compared with: then it is
    looked for again. Raises as `preview`, LedgerBroken, Unavailable.
    """
    because = signing.reason(reason)
    for tries in range(LIMITS.record_compare_tries, 0, -1):
        with snapshot(registry, trust, now) as view:
            found = preview(registry, view, *asked, signer, later)
        if found.of is None:
            targets = found.preview.targets
            return found, *custody.quarantine(registry, trust, signer, targets, because, now)
        done = _append(registry, trust, signer, (found, found.of), because, now, tries == 1)
        if done is not None:
            return found, *done
    raise AssertionError("the last try has an end")


def _append(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    what: tuple[Found, Recorded],
    because: str,
    now: datetime,
    last: bool,
) -> tuple[Digest, int] | None:
    """Sign and append it; None where more was indexed meanwhile, but for the last time."""
    found, of = what
    statement = Statement.build(
        [
            ResourceDescriptor(digests=(criterion.subject(of),)),
            *(custody.descriptor(target) for target in found.preview.targets),
        ],
        predicate.TYPE,
        predicate.build_matching(of, because, format_time(now), secrets.token_hex(16)),
    )
    uploads = Uploads.begin(registry.store, registry.catalogue)
    files = [Entry(f"{key}.hashes", len(raw), uploads.put(raw)) for key, raw in found.sets.items()]
    event = Event(
        STATUS,
        artifacts=(uploads.put(Manifest.of(files).raw),),
        bundles=(uploads.put(signer.sign(statement).raw),),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )

    def decide() -> list[Event]:
        with snapshot(registry, trust, now) as view:
            same = record_facts.count(view.connection) == found.indexes
        return [event] if same or last else []

    entry = record(registry, trust, signer, now, decide, uploads)
    return None if entry is None else (statement.digest, entry)


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


def _warnings(view: Snapshot, signer: Signer, targets: list[Target]) -> list[str]:
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
