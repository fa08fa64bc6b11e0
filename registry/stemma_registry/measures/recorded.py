"""Stopping every dataset that has any of some records, as far as it is known today.

What is stopped are the datasets that were found and the files in them that have the records, by
their digests: an ordinary quarantine. So everything that keeps to quarantines keeps to it, without
an index or a record key; and what is pushed later is not met: the question is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from stemma_attestations.trust import Assurance
from stemma_registry import custody
from stemma_registry.custody import Preview, Target
from stemma_registry.errors import NotFound
from stemma_registry.records import search
from stemma_registry.records.answers import Answer, Dataset, Match
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Found:
    """What was found, and what a quarantine of it would do. `unsure` datasets are not in it.

    Of those only an index by somebody who is not believed says that they have a record, and
    their bytes could not be read.
    """

    answer: Answer
    preview: Preview
    unsure: tuple[str, ...]


def preview(
    registry: Registry, view: Snapshot, source: Path, fields: Iterable[str] | None, signer: Signer
) -> Found:
    """Look for the records of a file. Raises NotFound where no dataset has any; as `search`."""
    view = replace(view, trust=view.trust.introducing(signer.certified))
    answer = search.search(registry, view, source, fields)
    targets, unsure = list[Target](), []
    for dataset in answer.found:
        matches = [match for match in dataset.matches if _is_sure(match)]
        if matches:
            targets += _targets(registry, view, dataset, matches)
        else:
            unsure.append(dataset.label)
    if not targets:
        raise NotFound(f"no dataset is known to have a record of {source.name:.80}")
    return Found(answer, custody.previewed(view, targets, (), signer), tuple(unsure))


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
