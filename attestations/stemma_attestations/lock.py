"""`stemma.lock`: what a deploy repository expects, reviewed line by line (docs/formats/lock.md).

A lock names artifacts by digest and says on whose word each was let in. It gives nobody
authority: what is held to it still has to pass the gate under the trust root of the day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from stemma_attestations import yaml_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadLock, BadName
from stemma_attestations.names import NameVersion
from stemma_attestations.placed import Placed
from stemma_attestations.relations import KINDS

FORMAT = "urn:stemma:lock:v0.1"
NAME = "stemma.lock"  # what the file is called, where nobody says
MAX_BYTES = 256 * 1024
MAX_MEMBERS = 64
MAX_WORD = 64
RESERVED = frozenset({"path"})  # in a command, {path} is the folder of the whole set
_HEADER = "# What may be served, and on whose word. Written by `stemma lock`; review each change.\n"
_WORD = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z", re.ASCII)
_KEY_ID = re.compile(r"[0-9a-f]{64}\Z")


class Said(StrEnum):
    """What an expected signer said about the artifact, best first."""

    PROVENANCE = "provenance"
    ADMISSION = "admission"


@dataclass(frozen=True)
class Signatory:
    """An expected signer: a principal of the trust root, by a key or as an identity.

    `key` is the key's id. Of an identity, `subject` and `issuer` are the certificate's,
    and `root` is the Sigstore trusted root that the trust root lists it under.
    """

    principal: str
    said: Said = Said.PROVENANCE
    key: str | None = None
    subject: str | None = None
    issuer: str | None = None
    root: str | None = None

    def __str__(self) -> str:
        """For people: who, and by what."""
        what = f"key {self.key[:12]}" if self.key else f"identity {self.subject}"
        return f"{self.principal} ({what})"


@dataclass(frozen=True)
class Member:
    """One artifact of a lock.

    `source` is the reference it came from, as somebody wrote it: `models/qa:3`, or
    `models/qa#prod`. `signers` are sorted, and one at least.
    """

    word: str
    source: str
    name: NameVersion
    kind: str
    artifact: Digest
    size: int
    signers: tuple[Signatory, ...]


@dataclass(frozen=True)
class Lock:
    """The members, by word and sorted by it."""

    members: tuple[Member, ...]

    @classmethod
    def of(cls, members: Iterable[Member]) -> Lock:
        """A lock of members in any order. Raises BadLock for two that are the same."""
        found = tuple(sorted(members, key=lambda member: member.word))
        if not found or len(found) > MAX_MEMBERS:
            raise BadLock(f"a lock has from 1 to {MAX_MEMBERS} members, not {len(found)}")
        words, artifacts = dict[str, Member](), dict[Digest, Member]()
        for member in found:
            if member.word in words:
                raise BadLock(f"two members are called {member.word}: say WORD=REF")
            twin = artifacts.get(member.artifact)
            if twin is not None:
                raise BadLock(f"{twin.word} and {member.word} are the same artifact")
            words[member.word] = artifacts[member.artifact] = member
        return cls(found)

    @property
    def by_word(self) -> Mapping[str, Member]:
        """Word -> member."""
        return {member.word: member for member in self.members}

    def encode(self) -> bytes:
        """The one spelling in which a lock is written. The inverse of `parse`."""
        document = {
            "format": FORMAT,
            "members": {member.word: _written(member) for member in self.members},
        }
        text: str = yaml.safe_dump(
            document, sort_keys=False, allow_unicode=True, width=1 << 30, default_flow_style=False
        )
        raw = (_HEADER + text).encode()
        if len(raw) > MAX_BYTES:
            raise BadLock(f"a lock of {len(raw)} bytes, at most {MAX_BYTES} are read")
        return raw


def check_word(text: str) -> str:
    """Return a word for a member. Raises BadLock."""
    if len(text) > MAX_WORD or not _WORD.match(text) or text in RESERVED:
        raise BadLock(
            f"{text!r:.80} is no word for a member (a-z 0-9 -, at most {MAX_WORD}, "
            f"and not {', '.join(RESERVED)})"
        )
    return text


def word_of(name: NameVersion) -> str:
    """What a member is called where nobody says: the last segment of its name. Raises BadLock."""
    last = re.sub(r"[._]", "-", name.name.rpartition("/")[2])
    try:
        return check_word(last)
    except BadLock as error:
        raise BadLock(f"{name} has no short word of its own: say WORD={name}") from error


def parse(raw: bytes) -> Lock:
    """Read a lock. Raises BadLock with the line of the mistake."""
    if len(raw) > MAX_BYTES:
        raise BadLock(f"a lock of {len(raw)} bytes, at most {MAX_BYTES} are read")
    top = yaml_strict.load_placed(raw, BadLock)
    fields = top.fields(("format", "members"), ("format", "members"))
    if fields["format"].value != FORMAT:
        fields["format"].fail(f"{FORMAT} is expected")
    listed = fields["members"]
    if not isinstance(listed.value, dict):
        listed.fail("a mapping of words to members is expected")
    if not 1 <= len(listed.value) <= MAX_MEMBERS:
        listed.fail(f"from 1 to {MAX_MEMBERS} members are expected")
    found: dict[Digest, Member] = {}
    for word, item in listed.value.items():
        member = _member(word, item)
        twin = found.get(member.artifact)
        if twin is not None:
            item.fail(f"the same artifact as {twin.word}")
        found[member.artifact] = member
    return Lock.of(found.values())


_FIELDS = ("from", "name", "kind", "artifact", "size", "signers")


def _member(word: str, item: Placed) -> Member:
    try:
        check_word(word)
    except BadLock as error:
        item.fail(str(error))
    fields = item.fields(_FIELDS, _FIELDS)
    size = fields["size"]
    if not isinstance(size.value, str) or not _SIZE.match(size.value):
        size.fail("a number of bytes is expected")
    return Member(
        word=word,
        source=fields["from"].text(),
        name=_name(fields["name"]),
        kind=fields["kind"].choice(*KINDS),
        artifact=_digest(fields["artifact"]),
        size=int(size.value),
        signers=_signers(fields["signers"]),
    )


def _name(item: Placed) -> NameVersion:
    try:
        return NameVersion.parse(item.text())
    except BadName as error:
        item.fail(str(error))


def _digest(item: Placed) -> Digest:
    try:
        digest = Digest.parse(item.text())
    except BadDigest as error:
        item.fail(str(error))
    if digest.algorithm != "sha256":
        item.fail("a sha256 digest is expected")
    return digest


def _signers(listed: Placed) -> tuple[Signatory, ...]:
    found = [_signatory(item) for item in listed.items()]
    if not found or len(set(found)) != len(found):
        listed.fail("a list of different signers is expected, one at least")
    return ordered(found)


def _signatory(item: Placed) -> Signatory:
    fields = item.fields(("principal", "said", "key", "identity"), ("principal",))
    if ("key" in fields) == ("identity" in fields):
        item.fail("a signer has a `key` or an `identity`, one of the two")
    said = fields["said"].choice(*Said) if "said" in fields else Said.PROVENANCE
    principal = fields["principal"].text()
    if "key" in fields:
        key = fields["key"].text()
        if not _KEY_ID.match(key):
            fields["key"].fail("a key's id is 64 lower-case hex digits")
        return Signatory(principal, Said(said), key=key)
    known = ("issuer", "subject", "root")
    identity = fields["identity"].fields(known, known)
    return Signatory(
        principal,
        Said(said),
        subject=identity["subject"].text(),
        issuer=identity["issuer"].text(),
        root=str(_digest(identity["root"])),
    )


def ordered(signers: Iterable[Signatory]) -> tuple[Signatory, ...]:
    """Each once, in the order in which a lock lists them."""
    return tuple(sorted(set(signers), key=lambda signer: str(_spelled(signer))))


def _written(member: Member) -> dict[str, Any]:
    return {
        "from": member.source,
        "name": str(member.name),
        "kind": member.kind,
        "artifact": str(member.artifact),
        "size": member.size,
        "signers": [_spelled(signer) for signer in member.signers],
    }


def _spelled(signer: Signatory) -> dict[str, Any]:
    found: dict[str, Any] = {"principal": signer.principal}
    if signer.said is not Said.PROVENANCE:
        found["said"] = str(signer.said)
    if signer.key is not None:
        return {**found, "key": signer.key}
    identity = {"issuer": signer.issuer, "subject": signer.subject, "root": signer.root}
    return {**found, "identity": identity}
