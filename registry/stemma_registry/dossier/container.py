r"""The file: a line that names the format, the signed statement, and the members behind it.

    urn:stemma:dossier-file:v0.1\n
    LENGTH\n               of the bundle, decimal
    BUNDLE                 the signed statement that lists the members
    MEMBER MEMBER ...      their bytes, in the order of the list, nothing between or behind them

There are no names, no paths and no compression, and one way to write the same content.
What is read here is whole; whether anybody believes it is asked elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.names import NameVersion, subject_name
from stemma_attestations.predicates import dossier as predicate
from stemma_attestations.predicates.dossier import Dossier, Member, Role
from stemma_attestations.statement import Statement
from stemma_registry import files
from stemma_registry.config import LIMITS
from stemma_registry.errors import BadDossier, NotFound, Refused, Unavailable

HEADER = b"urn:stemma:dossier-file:v0.1\n"
_DIGITS = 12


@dataclass(frozen=True)
class Content:
    """A dossier that is whole: every member has the digest by which it is listed."""

    bundle: Bundle
    said: Dossier
    artifact: Digest
    name: NameVersion
    blobs: Mapping[Digest, bytes]

    def one(self, role: Role) -> bytes | None:
        """The member that there is at most one of."""
        return next((self.blobs[member.digest] for member in self.said.of(role)), None)

    def all(self, role: Role) -> dict[Digest, bytes]:
        """The members that are this, by their digests."""
        return {member.digest: self.blobs[member.digest] for member in self.said.of(role)}


def write(path: Path, bundle: bytes, members: Iterable[bytes]) -> int:
    """Write the file, whole or not at all; its size. Raises Unavailable."""
    data = b"".join((HEADER, b"%d\n" % len(bundle), bundle, *members))
    files.replace(path, "dossier", data)
    return len(data)


def read(path: Path) -> Content:
    """Read a file. Raises BadDossier, NotFound, Unavailable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as source:
            _check_regular(fd)
            return parse(source)
    except BadDossier as error:
        raise BadDossier(f"the dossier {path}: {error}") from error
    except FileNotFoundError as error:
        raise NotFound(f"no dossier at {path}") from error
    except OSError as error:
        raise Unavailable(f"cannot read the dossier {path}: {error.strerror}") from error


def parse(source: BinaryIO) -> Content:
    """Read from the beginning. Raises BadDossier, OSError."""
    if source.read(len(HEADER)) != HEADER:
        raise BadDossier("it is no dossier, or one that only a newer stemma understands")
    bundle, statement = _bundle(_exactly(source, _length(source)))
    said = _said(statement)
    artifact, name = _subject(statement)
    if sum(member.size for member in said.members) > LIMITS.dossier_bytes:
        raise BadDossier(f"its members have more than {LIMITS.dossier_bytes} bytes")
    blobs = {member.digest: _member(source, member) for member in said.members}
    if source.read(1):
        raise BadDossier("there is something behind its last member")
    return Content(bundle, said, artifact, name, blobs)


def _check_regular(fd: int) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise BadDossier("it is not a regular file")


def _length(source: BinaryIO) -> int:
    digits = source.readline(_DIGITS)
    number = digits[:-1]
    if not digits.endswith(b"\n") or not number.isdigit() or number.startswith(b"0"):
        raise BadDossier("it does not say how long its statement is")
    if int(number) > LIMITS.dossier_statement_bytes:
        raise BadDossier(f"its statement has more than {LIMITS.dossier_statement_bytes} bytes")
    return int(number)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise BadDossier("it ends too early")
    return data


def _bundle(raw: bytes) -> tuple[Bundle, Statement]:
    try:
        bundle = Bundle.parse(raw)
        return bundle, bundle.statement()
    except (BadBundle, BadStatement) as error:
        raise BadDossier(f"its statement: {error}") from error


def _said(statement: Statement) -> Dossier:
    if statement.predicate_type != predicate.TYPE:
        raise BadDossier(f"its statement is no {predicate.TYPE}")
    try:
        return predicate.parse(statement.predicate)
    except BadStatement as error:
        raise BadDossier(str(error)) from error


def _subject(statement: Statement) -> tuple[Digest, NameVersion]:
    if len(statement.subjects) == 1:
        subject = statement.subjects[0]
        digest, name = subject.digest("sha256"), subject_name(subject.name)
        if digest is not None and name is not None:
            return digest, name
    raise BadDossier("it is not about one artifact under one NAME:VERSION")


def _member(source: BinaryIO, member: Member) -> bytes:
    data = _exactly(source, member.size)
    if Digest.of(data) != member.digest:
        raise BadDossier(
            f"its {member.role} {member.digest.short} has other bytes than were signed"
        )
    return data


def check_room(members: Iterable[Member], statement: bytes) -> None:
    """Raise Refused for what nobody would read."""
    listed = list(members)
    if len(listed) > predicate.MAX_MEMBERS:
        raise Refused(
            f"a dossier with {len(listed)} members; it has at most {predicate.MAX_MEMBERS}"
        )
    if sum(member.size for member in listed) > LIMITS.dossier_bytes:
        raise Refused(
            f"a dossier has at most {LIMITS.dossier_bytes} bytes; the limit is a named one"
        )
    # In base64, and some more for what stands around it.
    if len(statement) * 4 // 3 + 1024 * 1024 > LIMITS.dossier_statement_bytes:
        raise Refused("the list of a dossier's members would be too long")
