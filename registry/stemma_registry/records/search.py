"""Which datasets have these very records, in which file and row, and what came from them.

An index says where a record may be; whether it is there is read from the file itself, wherever
its bytes can be had. So an index by a stranger can find something, and blame nothing.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed, Undecided
from stemma_attestations.manifest import Manifest
from stemma_attestations.predicates.record_index import RecordIndex, Run, Shard
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import record_facts
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.lineage.hops import signer_label
from stemma_registry.lineage.trace import Direction, Trace, trace
from stemma_registry.records import attaching, canonical, keys, near, runs
from stemma_registry.records.answers import Answer, Dataset, Match, Unsearched
from stemma_registry.records.building import candidates, fetched
from stemma_registry.records.children import Children, NoExtra, children
from stemma_registry.records.readers import Form, Unreadable
from stemma_registry.records.subjects import because, subjects
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.stored import heard

Below = Callable[[Snapshot, int], Trace]
EVERYTHING: Below = partial(trace, direction=Direction.DOWN)


def search(
    registry: Registry,
    view: Snapshot,
    source: Path,
    fields: Iterable[str] | None,
    below: Below = EVERYTHING,
) -> Answer:
    """Find the records of a file. Raises Refused for what has none, Unavailable."""
    with asked(registry, view, source, fields, below) as question:
        return question.answer()


@contextlib.contextmanager
def asked(
    registry: Registry,
    view: Snapshot,
    source: Path,
    fields: Iterable[str] | None,
    below: Below = EVERYTHING,
) -> Iterator[Question]:
    """What a file of records asks, until the block ends. Raises as `search` does.

    `below` says what came from a dataset that has any.
    """
    named = tuple(sorted({canonical.normal(name) for name in fields})) if fields else None
    try:
        with (
            children() as readers,
            tempfile.TemporaryDirectory(prefix="stemma-records-") as scratch,
        ):
            question = Question(registry, view, readers, Path(scratch), named, below)
            question.read(source)
            yield question
    except NoExtra as error:
        raise Refused(str(error)) from error


@dataclass(frozen=True)
class _Hit:
    """What an index says: rows of a file that may have a record, by its place in the question."""

    place: int
    rows: tuple[int, ...]
    count: int
    assurance: Assurance
    signer: str


@dataclass(frozen=True)
class Word:
    """Whose index says it, what that is worth, and the key it was made with."""

    assurance: Assurance
    signer: str
    key: str


@dataclass
class Question:
    registry: Registry
    view: Snapshot
    children: Children
    scratch: Path
    fields: tuple[str, ...] | None
    below: Below = EVERYTHING
    messages: list[bytes] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    unread: int = 0
    hashes: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, keys.RecordKey] = field(default_factory=dict)
    runs: dict[tuple[Run, str], list[tuple[int, list[int], int]]] = field(default_factory=dict)
    believed: set[str] = field(default_factory=set)  # the keys of believed indexes that were asked
    said: dict[tuple[str, Digest], tuple[Dataset | None, Unsearched | None]] = field(
        default_factory=dict
    )  # of each dataset, by label
    room: int = LIMITS.record_others_bytes

    def read(self, source: Path) -> None:
        """Read the question. Raises Refused."""
        form = Form.of(source.name)
        if form is None:
            raise Refused(
                f"{source.name:.80} has no ending of a file of records (.jsonl, .csv, ...)"
            )
        try:
            found, said = self.records(source.absolute(), form, None, LIMITS.record_asked)
        except Unreadable as error:
            raise Refused(f"{source.name:.80}: {error}") from error
        if said["more"]:
            raise Refused(f"more than {LIMITS.record_asked} records; the limit is a named one")
        first: dict[bytes, int] = {}
        for row, message in found:
            first.setdefault(message, row)
        self.unread = said["unread"]
        if not first:
            raise Refused(f"{source.name:.80} has no records{self.of_fields()}")
        self.messages, self.rows = list(first), list(first.values())
        held = [keys.NO_KEY, *keys.held(self.registry.home)]
        self.keys = {key.id: key for key in held}

    def of_fields(self) -> str:
        return f" with {', '.join(self.fields)}" if self.fields else ""

    def answer(self) -> Answer:
        """Ask every index."""
        self._look(None)
        return self._answer()

    def again(self, view: Snapshot) -> Answer | None:
        """Ask what was indexed, or came, since it was asked, too; None if nothing was indexed.

        `view` is a newer snapshot, under the same trust root. Raises Unavailable.
        """
        before = self.view.n
        if not record_facts.nodes(view.connection, before):
            return None
        self.view = view
        self._look(before)
        return self._answer()

    def _look(self, after: int | None) -> None:
        for one in subjects(self.registry, self.view, after):
            dataset = None
            if isinstance(one, Unsearched):
                self.said[one.label, one.digest] = (None, one)
                continue
            matches, reasons = self._dataset(one.manifest, one.facts, one.believed)
            if matches:
                down = self.below(self.view, one.node)
                dataset = Dataset(one.digest, one.label, one.names, tuple(matches), down)
            self.said[one.label, one.digest] = (dataset, because(one, reasons) if reasons else None)

    def _answer(self) -> Answer:
        said = [self.said[key] for key in sorted(self.said)]
        return Answer(
            len(self.messages),
            self.unread,
            self.fields,
            self.view.n,
            tuple(dataset for dataset, _ in said if dataset is not None),
            tuple(unsearched for _, unsearched in said if unsearched is not None),
        )

    def _dataset(
        self, manifest: Manifest, facts: Sequence[Fact], names: Collection[str | None]
    ) -> tuple[list[Match], list[str]]:
        """The matches in one dataset, and why parts of it are not searched.

        `names` are all under which it is believed to be: who speaks for one of them does not
        hide what is in it from those who ask about another.
        """
        wanted = candidates(manifest)
        left: dict[Digest, set[str | None]] = {blob: set(names) for blob in wanted}
        hits: dict[Digest, list[_Hit]] = {}
        reasons: dict[str, None] = {}
        for fact, said in self.statements(facts):
            spoken = {
                name
                for name in names
                if attaching.worth(self.view, fact, name) is Assurance.ATTESTED
            }
            if said.canonical == near.VERSION:
                continue  # that is another question
            why = self._unfit(said)
            if why:
                reasons[why] = None
                continue
            if spoken:
                self.believed.add(said.key)
            word = Word(
                attaching.worth(self.view, fact), signer_label(self.view, fact.signer), said.key
            )
            for shard in (shard for shard in said.shards if left.get(shard.blob)):
                path = wanted[shard.blob][1].path
                try:
                    hits.setdefault(shard.blob, []).extend(self._ask(shard, word))
                except (BlobMissing, Damaged, Malformed) as error:
                    reasons[f"{path}: its index: {error}"] = None
                    continue
                left[shard.blob] -= spoken
            if spoken:
                for one in (one for one in said.skipped if left.get(one.blob)):
                    reasons[f"{wanted[one.blob][1].path}: {one.reason}"] = None
        matches = [
            match
            for blob, some in hits.items()
            for match in self._checked(blob, wanted[blob][1].path, wanted[blob][0], some)
        ]
        open_ = sorted(wanted[blob][1].path for blob, some in left.items() if some)
        if open_ and not reasons:
            more = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
            reasons[f"no believed record index{self.of_fields()} of {open_[0]}{more}"] = None
        return sorted(matches, key=lambda m: (m.asked, m.path)), list(reasons) if open_ else []

    def statements(self, facts: Sequence[Fact]) -> Iterator[tuple[Fact, RecordIndex]]:
        """What is said, by those who are believed first, and of others within limits."""

        def read(bundle: Digest) -> tuple[int, RecordIndex | None]:
            size = self.registry.store.size(bundle) or 0
            return size, attaching.read(self.registry, by_bundle[bundle])

        order = list(Assurance)
        by_bundle = {fact.bundle: fact for fact in facts if fact.signer is not None}
        signed = list(by_bundle.values())
        try:
            said = [(by_bundle[b], s) for b, s in heard(self.view.trust, signed, read)]
        except Undecided:
            return
        said.sort(key=lambda one: order.index(attaching.worth(self.view, one[0])))
        for fact, index in said:
            if index is not None:
                yield fact, index

    def _unfit(self, said: RecordIndex) -> str:
        """Why an index cannot answer this question; empty where it can, or is of no concern."""
        if said.canonical != canonical.VERSION:
            return f"an index of the canonical form {said.canonical}, which is not known here"
        if said.fields != self.fields:
            shown = ", ".join(said.fields or ()) or "whole records"
            return (
                f"an index of {shown:.80}, not of {', '.join(self.fields or ()) or 'whole records'}"
            )
        if said.key not in self.keys:
            return f"an index made with the record key {said.key}, which this home does not have"
        return ""

    def _ask(self, shard: Shard, word: Word) -> list[_Hit]:
        """Where the index of a file says that the records are. Raises as reading a blob does."""
        key, hits = word.key, list[_Hit]()
        for run in shard.runs:
            if (run, key) not in self.runs:
                self.runs[run, key] = self.in_run(run, self.hashed(key), word.assurance)
            for place, rows, count in self.runs[run, key]:
                hits.append(_Hit(place, tuple(rows), count, word.assurance, word.signer))
        return hits

    def hashed(self, key: str) -> Any:
        """The hashes (numpy) of the records that are asked about, by one of the keys here."""
        if key not in self.hashes:
            self.hashes[key] = runs.hashes(self.messages, self.keys[key].block)
        return self.hashes[key]

    def in_run(self, run: Run, wanted: Any, worth: Assurance) -> list[tuple[int, list[int], int]]:
        """Where hashes (numpy) are in a run: place, rows, how many. Raises as reading a blob."""
        import numpy as np

        packed = self.blob(run.filter, LIMITS.record_filter_bytes, worth)
        places = np.flatnonzero(runs.likely(packed, wanted))
        if not len(places):
            return []
        body = self.blob(run.hashes, run.records * (runs.HASH + runs.ROW), worth)
        found = runs.locate(run, body, wanted[places], LIMITS.record_rows)
        return [(int(places[place]), rows, count) for place, rows, count in found]

    def blob(self, blob: Digest, limit: int, worth: Assurance) -> bytes:
        data = get_bytes(self.registry.store, blob, limit)
        if worth is not Assurance.ATTESTED:
            self.room -= len(data)
            if self.room < 0:
                raise Damaged("no more of what strangers have indexed is read")
        return data

    def _checked(self, blob: Digest, path: str, form: Form, hits: list[_Hit]) -> Iterator[Match]:
        """The hits in one file, as far as they are true."""
        there = self._read_again(blob, form, hits)
        best: dict[int, Match] = {}
        for hit in hits:
            rows, message = hit.rows, self.messages[hit.place]
            if there is not None:
                rows = tuple(row for row in rows if there.get(row) == message)
                if not rows:
                    continue
            known = best.get(hit.place)
            if known is not None and len(known.rows) >= len(rows):
                continue
            count = hit.count if len(rows) == len(hit.rows) else len(rows)
            best[hit.place] = Match(
                self.rows[hit.place],
                path,
                blob,
                rows,
                count,
                there is not None,
                known.assurance if known else hit.assurance,
                known.signer if known else hit.signer,
            )
        yield from best.values()

    def _read_again(self, blob: Digest, form: Form, hits: list[_Hit]) -> dict[int, bytes] | None:
        """The records of the rows that were hit; None where the file cannot be read."""
        rows = sorted({row for hit in hits for row in hit.rows})
        if self.registry.store.size(blob) is None:
            return None
        try:
            with fetched(self.registry.store, blob, self.scratch / "shard") as path:
                found, _ = self.records(path, form, rows, len(rows))
        except (BlobMissing, Damaged, Unreadable):
            return None
        return dict(found)

    def records(
        self, path: Path, form: Form, rows: list[int] | None, most: int, room: int | None = None
    ) -> tuple[list[tuple[int, bytes]], dict[str, Any]]:
        """Rows of a file with their canonical bytes, until `room`. Raises Unreadable."""
        out = self.scratch / "rows"
        question = {
            "do": "rows",
            "path": str(path),
            "form": str(form),
            "fields": self.fields,
            "rows": rows,
            "most": most,
            "room": room,
            "out": str(out),
        }
        try:
            said = self.children.ask(question, path.stat().st_size)
            data = out.read_bytes()
        except OSError as error:
            raise Unreadable(f"{error.strerror}") from error
        finally:
            out.unlink(missing_ok=True)
        found, position = [], 0
        while position < len(data):
            row = int.from_bytes(data[position : position + 8], "little")
            length = int.from_bytes(data[position + 8 : position + 12], "little")
            position += 12
            found.append((row, data[position : position + length]))
            position += length
        return found, said
