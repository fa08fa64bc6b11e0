"""What a repository offers about its commits: signed objects, notes, and attestation refs.

    refs/notes/*                a note on a commit: one bundle or envelope, or one a line
    refs/attestations/*,        a tree of files, each a bundle or an envelope, or one a line,
    refs/gittuf/attestations    which say themselves which commits they are about

slsa-framework's source-tool keeps notes of Sigstore bundles, one a line, in refs/notes/commits;
gittuf keeps DSSE envelopes in a tree (https://gittuf.dev). Notes for people are no evidence, and
are passed over. Everything is bounded: a repository is a stranger's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stemma_attestations import edges, foreign, sources
from stemma_attestations.errors import BadBundle, BadStatement, Malformed
from stemma_attestations.foreign import Piece
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused
from stemma_registry.gitrepo import bulk
from stemma_registry.gitrepo.repository import File, Repository
from stemma_registry.plain import plain

NOTES, TREES = "refs/notes/", ("refs/attestations/", "refs/gittuf/attestations")
SHOWN = 20  # reasons that are kept


@dataclass(frozen=True)
class Object:
    """A signed object as Git has it, and the commit that it is about."""

    commit: str
    kind: str
    raw: bytes


@dataclass(frozen=True)
class Document:
    """A document about commits: where it stood, its bytes, what is in it."""

    place: str
    raw: bytes
    piece: Piece
    commits: tuple[str, ...]


@dataclass
class Offer:
    """A repository, the commits that are asked about, and what was passed over."""

    repository: Repository
    commits: frozenset[str]
    passed: int = 0
    reasons: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, repository: Repository, text: str | None, known: Iterable[str]) -> Offer:
        """About one commit (REV), or a range (A..B; ..B is all that B reaches).

        Without one: about those of the `known` commits that are here. Raises NotFound, Refused
        for more commits than are taken in at once.
        """
        if text is None:
            return cls(repository, frozenset(bulk.kinds(repository, known)))
        first, dots, last = text.partition("..")
        if not dots:
            return cls(repository, frozenset([repository.resolve(first)]))
        exclude = [repository.resolve(first)] if first else []
        found = repository.between([repository.resolve(last or "HEAD")], exclude)
        if len(found) > LIMITS.git_taken:
            raise Refused(
                f"{len(found)} commits, and {LIMITS.git_taken} are taken at once; name a range"
            )
        return cls(repository, frozenset(found))

    def skip(self, why: str) -> None:
        """Note that something was passed over."""
        self.passed += 1
        if len(self.reasons) < SHOWN:
            self.reasons.append(why)

    def objects(self) -> Iterator[Object]:
        """The signed commits among them, and the signed tags of them."""
        for commit in sorted(self.commits):
            yield from self._signed(commit, commit, sources.COMMIT, f"commit {commit[:12]}")
        for ref in self.repository.refs("refs/tags/"):
            if ref.id != ref.peeled and ref.peeled in self.commits:
                yield from self._signed(ref.id, ref.peeled, sources.TAG, _shown(ref.name))

    def _signed(self, name: str, commit: str, kind: str, label: str) -> Iterator[Object]:
        try:
            _, raw = self.repository.read(name, LIMITS.git_signed_bytes)
        except (Refused, NotFound) as error:
            self.skip(f"{label}: {error}")
            return
        try:
            sources.signed_part(commit, kind, raw)
        except Malformed:
            return  # not signed, or no evidence: nothing to say about most commits
        yield Object(commit, kind, raw)

    def documents(self) -> Iterator[Document]:
        """What notes and attestation refs hold about them."""
        for ref in self.repository.refs(NOTES):
            for commit, file in notes(self.repository, ref.name):
                if commit in self.commits:
                    place = f"{_shown(ref.name)} on {commit[:12]}"
                    yield from self._read(place, file.id, frozenset([commit]))
        for ref in self.repository.refs(*TREES):
            for file in _files(self.repository, ref.peeled):
                place = f"{_shown(ref.name)} {_shown(file.path)}"
                yield from self._read(place, file.id, self.commits)

    def _read(self, place: str, blob: str, about: frozenset[str]) -> Iterator[Document]:
        try:
            raw = self.repository.blob(blob, LIMITS.git_note_bytes)
            lines = _lines(raw)
        except (Refused, NotFound, BadBundle) as error:
            self.skip(f"{place}: {error}")
            return
        texts = raw.split(b"\n")
        for line in lines:
            label = f"{place} line {line.number}" if line.number else place
            if line.problem is not None:
                self.skip(f"{label}: {line.problem}")
            own = texts[line.number - 1].removesuffix(b"\r") if line.number else raw
            for piece in line.pieces:
                said = _commits(piece)
                if piece.statement is None:
                    self.skip(f"{label}: {piece.note or 'no statement that is read'}")
                elif not said & about:
                    self.skip(f"{label}: it is about something else than that commit")
                else:
                    yield Document(label, own, piece, tuple(sorted(said & about)))


def notes(repository: Repository, ref: str) -> list[tuple[str, File]]:
    """The notes below a reference: the id that each is on, and its file, however it fans out.

    Raises Refused for more than are read.
    """
    digits = set("0123456789abcdef")
    width = 40 if repository.object_format == "sha1" else 64
    found = []
    for file in _files(repository, repository.resolve(ref)):
        name = file.path.replace("/", "")
        if len(name) == width and set(name) <= digits:
            found.append((name, file))
    if len(found) > LIMITS.git_notes:
        raise Refused(f"{_shown(ref)} has more than {LIMITS.git_notes} notes")
    return found


def _lines(raw: bytes) -> list[foreign.Line]:
    """A document, or one a line: a note may hold lines for people too. Raises BadBundle."""
    try:
        return [foreign.Line(0, foreign.read(raw))]
    except BadBundle as error:
        if b"\n" not in raw.strip():
            raise
        lines = foreign.read_lines(raw)
        if any(line.problem is None for line in lines):
            return lines
        raise BadBundle(str(error)) from error


def _commits(piece: Piece) -> set[str]:
    """The commits that a statement is about, or that it says something was made from."""
    if piece.statement is None:
        return set()
    ends = [subject.digest("gitCommit") for subject in piece.subjects]
    with contextlib.suppress(BadStatement):
        ends += [edge.input.digest for edge in edges.of(piece.statement)]
    return {end.value for end in ends if end is not None and end.algorithm == "gitCommit"}


def _files(repository: Repository, commit: str) -> list[File]:
    files = repository.files(repository.commit(commit).tree)
    return [file for file in files if file.mode in ("100644", "100755", "100664")]


def _shown(name: str) -> str:
    """A name out of a repository, for people."""
    return plain(name, 120)
