"""Which datasets have records that are nearly these: asked of the near indexes, and read again.

See docs/formats/record-index.md. A record that is the very same is no near match: those are the
answer of `search`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.predicates.record_index import RecordIndex, Shard
from stemma_attestations.trust import Assurance
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.lineage.hops import signer_label
from stemma_registry.records import attaching, near
from stemma_registry.records.answers import Answer, Near, NearDataset, NearMatch, Unsearched
from stemma_registry.records.building import candidates, fetched
from stemma_registry.records.readers import Form, Unreadable
from stemma_registry.records.search import EVERYTHING, Below, Question, asked
from stemma_registry.records.subjects import Subject, because, subjects
from stemma_registry.registry import Registry, Snapshot

NONE = "it has no near index"


def search(
    registry: Registry,
    view: Snapshot,
    source: Path,
    fields: Iterable[str] | None,
    threshold: float = near.USUAL,
    below: Below = EVERYTHING,
) -> tuple[Answer, Near]:
    """What has the very records of a file, and what has nearly those.

    Raises Refused, Unavailable.
    """
    if not near.LEAST <= threshold <= 1:
        raise Refused(f"near matches are similar by {near.LEAST} to 1")
    with asked(registry, view, source, fields, below) as question:
        if len(question.messages) > LIMITS.record_near_asked:
            most = LIMITS.record_near_asked
            raise Refused(f"more than {most} records for near matches; the limit is a named one")
        answer = question.answer()
        exact = {
            (match.shard, row, match.asked)
            for dataset in answer.found
            for match in dataset.matches
            for row in match.rows
        }
        return answer, _Search(question, threshold, exact).answer()


@dataclass(frozen=True)
class _Index:
    """An index that can answer: the fields it is of, and whose word it is."""

    said: RecordIndex
    fields: tuple[str, ...]
    assurance: Assurance
    signer: str


@dataclass(frozen=True)
class _Pair:
    """A record of the question, by its place, with a row of a file, in the fields of an index."""

    place: int
    row: int
    fields: tuple[str, ...]


@dataclass
class _Search:
    question: Question
    threshold: float
    exact: set[tuple[Digest, int, int]]
    bands: dict[tuple[str, tuple[str, ...]], tuple[Any, Any]] = field(default_factory=dict)
    shingles: dict[tuple[int, tuple[str, ...]], Any] = field(default_factory=dict)
    held: int = 0  # bytes of those

    def answer(self) -> Near:
        found, unsearched = [], []
        for one in subjects(self.question.registry, self.question.view):
            if isinstance(one, Unsearched):
                unsearched.append(one)
                continue
            matches, reasons = self._dataset(one)
            if matches:
                down = self.question.below(self.question.view, one.node)
                found.append(NearDataset(one.digest, one.label, one.names, matches, down))
            if reasons:
                unsearched.append(because(one, reasons))
        return Near(self.threshold, tuple(found), tuple(unsearched))

    def _dataset(self, subject: Subject) -> tuple[tuple[NearMatch, ...], list[str]]:
        wanted = candidates(subject.manifest)
        left = {blob: set(subject.believed) for blob in wanted}
        shared: dict[Digest, Counter[_Pair]] = {}
        words: dict[tuple[Digest, _Pair], _Index] = {}
        reasons: dict[str, None] = {}
        for index, spoken in self._indexes(subject, reasons):
            for shard in (shard for shard in index.said.shards if left.get(shard.blob)):
                try:
                    counted = self._ask(shard, index, reasons, wanted[shard.blob][1].path)
                except (BlobMissing, Damaged, Malformed) as error:
                    reasons[f"{wanted[shard.blob][1].path}: its near index: {error}"] = None
                    continue
                for pair, count in counted.items():
                    words.setdefault((shard.blob, pair), index)
                    some = shared.setdefault(shard.blob, Counter())
                    some[pair] = max(some[pair], count)
                left[shard.blob] -= spoken
        matches = []
        for blob, counts in shared.items():
            form, entry = wanted[blob]
            for pair, similarity, checked in self._checked(blob, form, counts, reasons, entry.path):
                index = words[blob, pair]
                matches.append(
                    NearMatch(
                        self.question.rows[pair.place],
                        entry.path,
                        blob,
                        pair.row,
                        similarity,
                        checked,
                        pair.fields,
                        index.assurance,
                        index.signer,
                    )
                )
        if any(left.values()) and not reasons:
            reasons[NONE] = None
        matches.sort(key=lambda m: (m.asked, -m.similarity, m.path, m.row, m.fields))
        return tuple(matches), list(reasons)

    def _indexes(
        self, subject: Subject, reasons: dict[str, None]
    ) -> Iterator[tuple[_Index, set[str | None]]]:
        """The near indexes of a dataset that can answer, and the names they speak for."""
        view, question = self.question.view, self.question
        for fact, said in question.statements(subject.facts):
            if said.canonical != near.VERSION or not said.fields:
                continue
            shown = ", ".join(said.fields)
            if question.fields is not None and not set(said.fields) <= set(question.fields):
                reasons[f"a near index of {shown:.80}, not of {', '.join(question.fields)}"] = None
            elif said.key not in question.keys:
                reasons[f"a near index made with the record key {said.key}, not known here"] = None
            else:
                spoken = {
                    name
                    for name in subject.believed
                    if attaching.worth(view, fact, name) is Assurance.ATTESTED
                }
                worth = attaching.worth(view, fact)
                yield _Index(said, said.fields, worth, signer_label(view, fact.signer)), spoken

    def _ask(
        self, shard: Shard, index: _Index, reasons: dict[str, None], path: str
    ) -> Counter[_Pair]:
        """How many bands records share with rows of a file. Raises as reading a blob does."""
        key = index.said.key, index.fields
        if key not in self.bands:
            texts = [near.text(message, index.fields) for message in self.question.messages]
            seeds = near.Seeds.of(self.question.keys[index.said.key].block)
            self.bands[key] = near.bands(texts, seeds)
        places, bands = self.bands[key]
        counted: Counter[_Pair] = Counter()
        for run in shard.runs:
            for place, rows, count in self.question.in_run(run, bands.ravel(), index.assurance):
                asked_place = int(places[place // near.BANDS])
                if count > len(rows):
                    reasons[f"{path}: only {len(rows)} of {count} rows were looked at"] = None
                counted.update(_Pair(asked_place, row, index.fields) for row in rows)
        return counted

    def _checked(
        self,
        blob: Digest,
        form: Form,
        counts: Counter[_Pair],
        reasons: dict[str, None],
        path: str,
    ) -> Iterator[tuple[_Pair, float, bool]]:
        """The pairs that are similar enough, and are not the very same."""
        pairs = sorted(counts, key=lambda pair: (-counts[pair], pair.row, pair.place))
        most = LIMITS.record_near_places
        if len(pairs) > most:
            reasons[f"{path}: only {most} of {len(pairs)} pairs were looked at"] = None
        pairs = sorted(pairs[:most], key=lambda pair: (pair.row, pair.fields, pair.place))
        rows = sorted({pair.row for pair in pairs})
        there = self._read_again(blob, form, rows)
        if there is not None and len(there) < len(rows):
            reasons[f"{path}: only {len(there)} of {len(rows)} rows were looked at"] = None
        held: tuple[tuple[int, tuple[str, ...]], Any] | None = None  # the shingles of one row
        for pair in pairs:
            message = self.question.messages[pair.place]
            if there is None:
                similarity = near.estimate(counts[pair])
                if (blob, pair.row, self.question.rows[pair.place]) in self.exact:
                    continue
            elif pair.row not in there or there[pair.row] == message:
                continue
            else:
                other = pair.row, pair.fields
                if held is None or held[0] != other:
                    held = other, near.shingles(near.text(there[pair.row], pair.fields))
                similarity = near.similarity(self._asked(pair), held[1])
            if similarity >= self.threshold:
                yield pair, similarity, there is not None

    def _asked(self, pair: _Pair) -> Any:
        key = pair.place, pair.fields
        if key not in self.shingles:
            message = self.question.messages[pair.place]
            made = near.shingles(near.text(message, pair.fields))
            self.held += made.nbytes
            if self.held > LIMITS.record_near_bytes:
                self.shingles.clear()
                self.held = made.nbytes
            self.shingles[key] = made
        return self.shingles[key]

    def _read_again(self, blob: Digest, form: Form, rows: list[int]) -> dict[int, bytes] | None:
        """The records of rows; None where the file cannot be read."""
        if not rows or self.question.registry.store.size(blob) is None:
            return None if rows else {}
        store, room = self.question.registry.store, LIMITS.record_near_bytes
        try:
            with fetched(store, blob, self.question.scratch / "shard") as path:
                found, _ = self.question.records(path, form, rows, len(rows), room)
        except (BlobMissing, Damaged, Unreadable):
            return None
        return dict(found)
