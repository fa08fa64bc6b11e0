"""Words for an edge: statements that say it, what each is worth, and the strongest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from stemma_attestations.digest import Digest
from stemma_attestations.edges import is_claim
from stemma_attestations.marks import Mark
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import evidence, made
from stemma_registry.catalogue.evidence import Ends
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


def of_edges(
    snapshot: Snapshot, nodes: Iterable[int], *, down: bool
) -> list[tuple[Ends, tuple[Word, ...]]]:
    """Every word for the edges that statements say from these nodes, or to them."""
    trust = snapshot.trust
    voices: dict[object, tuple[str, Assurance | None]] = {}
    unnamed = set[Digest]()  # statements that hang on the name, and give none to something

    def word(fact: Fact, mark: Mark) -> Word:
        kind, signer, signed = fact.predicate_type, fact.signer, fact.signed
        by = signer, kind, mark, signed
        if by not in voices:  # of whom there are few, mostly trusted for every name
            claim = is_claim(mark, kind)
            worth = Assurance.CLAIMED if claim else trust.anywhere(signer, kind, signed)
            voices[by] = signer_label(snapshot, signer), worth
        label, worth = voices[by]
        if worth is None:
            worth = trust.assurance(signer, kind, fact.name, None, signed)
            if fact.name is None:
                unnamed.add(fact.bundle)
        return Word._make((worth, label, fact, mark))

    found = evidence.edges(snapshot.connection, nodes, word, down=down)
    if unnamed:
        _of_files(snapshot, found, unnamed)
    return [
        (ends, (words[0],) if len(words) == 1 else ordered(_once(words))) for ends, words in found
    ]


def _of_files(
    snapshot: Snapshot, found: Iterable[tuple[Ends, list[Word]]], unnamed: Collection[Digest]
) -> None:
    """Of edges into files of artifacts, such words are worth what they are worth to those."""

    def hangs(word: Word) -> bool:
        fact = word.fact
        return fact.name is None and fact.bundle in unnamed and word.assurance is Assurance.SIGNED

    some = [(output, words) for (_, output, _), words in found if any(map(hangs, words))]
    files = made.held(snapshot.connection, {output for output, _ in some})
    for output, words in some:
        if output in files:
            words[:] = [
                word._replace(assurance=_to_holders(snapshot, word.fact)) if hangs(word) else word
                for word in words
            ]


def _to_holders(snapshot: Snapshot, fact: Fact) -> Assurance:
    return snapshot.trust.of_file(fact.signer, fact.predicate_type, None, fact.signed)


def _once(words: list[Word]) -> Collection[Word]:
    """Each statement once: it may name one output several times."""
    return {word.fact.bundle: word for word in words}.values()
