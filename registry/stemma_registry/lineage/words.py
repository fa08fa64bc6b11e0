"""Words for an edge: statements that say it, what each is worth, and the strongest first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from stemma_attestations.digest import Digest
from stemma_attestations.edges import is_claim
from stemma_attestations.marks import Mark
from stemma_attestations.times import Times
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import evidence, made
from stemma_registry.catalogue.evidence import Ends, Row
from stemma_registry.catalogue.rows import Fact
from stemma_registry.lineage.hops import signer_label
from stemma_registry.registry import Snapshot

_ORDER, _MARKS = tuple(Assurance), tuple(Mark)


class Word(NamedTuple):
    """A statement that says an edge, what it is worth, who signed it, and how it says it."""

    assurance: Assurance
    signer: str
    fact: Fact
    mark: Mark = Mark.EXACT


def word_of(snapshot: Snapshot, fact: Fact, worth: Assurance, mark: Mark = Mark.EXACT) -> Word:
    """A statement as evidence."""
    return Word(worth, signer_label(snapshot, fact.signer), fact, mark)


def ordered(words: Iterable[Word]) -> tuple[Word, ...]:
    """Strongest first."""
    every = tuple(words)
    if len(every) == 1:
        return every

    def rank(word: Word) -> tuple[int, int, int, Digest]:
        assurance, mark = _ORDER.index(word.assurance), _MARKS.index(word.mark)
        return assurance, mark, word.fact.n, word.fact.bundle

    return tuple(sorted(every, key=rank))


def of_edges(snapshot: Snapshot, rows: Sequence[Row]) -> dict[Ends, tuple[Word, ...]]:
    """Every word for the edges of these rows (`evidence.rows`)."""
    trust, new = snapshot.trust, tuple.__new__
    unnamed = set[Digest]()  # statements that hang on the name, and give none to something

    def hear(
        kind: str, signer: str | None, signed: Times, mark: Mark
    ) -> Callable[[Fact], tuple[Word]]:
        # Of whom there are few, mostly trusted for every name.
        label, claim = signer_label(snapshot, signer), is_claim(mark, kind)
        worth = Assurance.CLAIMED if claim else trust.anywhere(signer, kind, signed)
        if worth is not None:
            return lambda fact: (new(Word, (worth, label, fact, mark)),)

        def word(fact: Fact) -> tuple[Word]:
            found = trust.assurance(signer, kind, fact.name, None, signed)
            if fact.name is None:
                unnamed.add(fact.bundle)
            return (Word(found, label, fact, mark),)

        return word

    found = evidence.edges(snapshot.connection, rows, hear)
    if unnamed:
        found |= _of_files(snapshot, found, unnamed)
    return {
        ends: said[0] if len(said) == 1 else _once(ordered(word for (word,) in said))
        for ends, said in found.items()
    }


def _of_files(
    snapshot: Snapshot, found: Mapping[Ends, list[tuple[Word]]], unnamed: Collection[Digest]
) -> dict[Ends, list[tuple[Word]]]:
    """Of edges into files of artifacts, such words are worth what they are worth to those."""

    def hangs(word: Word) -> bool:
        fact = word.fact
        return fact.name is None and fact.bundle in unnamed and word.assurance is Assurance.SIGNED

    def weighed(word: Word) -> Word:
        fact = word.fact
        if not hangs(word):
            return word
        worth = snapshot.trust.of_file(fact.signer, fact.predicate_type, None, fact.signed)
        return word._replace(assurance=worth)

    some = [ends for ends, said in found.items() if any(hangs(word) for (word,) in said)]
    files = made.held(snapshot.connection, {output for _, output, _ in some})
    return {
        ends: [(weighed(word),) for (word,) in found[ends]] for ends in some if ends[1] in files
    }


def _once(words: Iterable[Word]) -> tuple[Word, ...]:
    """Each statement once, by its strongest word: it may name one output several times."""
    found = dict[Digest, Word]()
    for word in words:
        found.setdefault(word.fact.bundle, word)
    return tuple(found.values())
