"""Digests, through one door.

Names follow the in-toto digest set
(https://github.com/in-toto/attestation/blob/main/spec/v1/digest_set.md).
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from stemma_attestations.errors import BadDigest

# Algorithm -> allowed lengths in hex digits. Git object ids are SHA-1 (40) or SHA-256 (64).
LENGTHS: Mapping[str, tuple[int, ...]] = {
    "sha256": (64,),
    "sha384": (96,),
    "sha512": (128,),
    "sha1": (40,),
    "md5": (32,),
    "gitCommit": (40, 64),
    "gitTree": (40, 64),
    "gitBlob": (40, 64),
}
# Collisions are cheap here: they are read and compared, but never count as a match.
WEAK = frozenset({"sha1", "md5"})
# What a node of the graph is known by: the first of these that a descriptor has. A tree is what
# is meant only where neither bytes nor a commit are.
NODES = ("sha256", "gitCommit", "gitTree")
_SHA1_DIGITS = 40
_SHA256_DIGITS = 64
_HEX = re.compile(r"[0-9a-f]+\Z")
_DIGITS = b"0123456789abcdef"


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """One digest: `algorithm` from the allow-list, `value` lower-case hex of exact length."""

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        # Nearly all are, and there are millions. It is what the pattern says too, in a third of
        # the time.
        value = self.value
        if (
            self.algorithm == "sha256"
            and isinstance(value, str)
            and len(value) == _SHA256_DIGITS
            and value.isascii()
            and not value.encode().translate(None, _DIGITS)
        ):
            return
        if not isinstance(self.algorithm, str) or not isinstance(self.value, str):
            raise BadDigest("a digest's algorithm and value are text")  # JSON holds anything
        lengths = LENGTHS.get(self.algorithm)
        if lengths is None:
            raise BadDigest(f"unknown digest algorithm {self.algorithm!r:.40}")
        if len(self.value) not in lengths or not _HEX.match(self.value):
            wanted = " or ".join(str(n) for n in lengths)
            raise BadDigest(f"a {self.algorithm} digest is {wanted} lower-case hex digits")

    def __hash__(self) -> int:
        return hash(self.value)  # a graph hashes millions, and the value says nearly all

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `ALGORITHM:HEX`; the inverse of `str`. Raises BadDigest."""
        algorithm, colon, value = text.partition(":")
        if not colon:
            raise BadDigest(f"not a digest: {text!r:.80} (write sha256:<64 hex digits>)")
        return cls(algorithm, value)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The SHA-256 of `data`."""
        return written(hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"

    @property
    def short(self) -> str:
        """For people: the first twelve hex digits."""
        return f"{self.algorithm}:{self.value[:12]}"


def sha256(value: str) -> Digest:
    """A SHA-256 digest from its bare hex. Raises BadDigest."""
    return Digest("sha256", value)


def written(value: str) -> Digest:
    """The same from what `bytes.hex` wrote: of such digits only the number needs a look."""
    if len(value) != _SHA256_DIGITS:
        return Digest("sha256", value)
    found = object.__new__(Digest)
    _set_algorithm(found, "sha256")
    _set_value(found, value)
    return found


def all_written(values: Sequence[str]) -> list[Digest]:
    """The same of many at once."""
    if {*map(len, values)} != {_SHA256_DIGITS}:
        return list(map(written, values))
    found = list(map(object.__new__, repeat(Digest, len(values))))
    deque(map(_set_algorithm, found, repeat("sha256")), maxlen=0)
    deque(map(_set_value, found, values), maxlen=0)
    return found


def sha256s(values: Collection[str]) -> dict[str, Digest]:
    """Digests by their bare hex, looked at all together. Raises BadDigest."""
    # Of one length each, and together of no other signs: so is each of them.
    every = "".join(values)
    plain = every.isascii() and not every.encode().translate(None, _DIGITS)
    if plain and set(map(len, values)) <= {_SHA256_DIGITS}:
        return dict(zip(values, all_written(list(values)), strict=True))
    return {value: Digest("sha256", value) for value in values}


# The slots themselves: an answer has thousands, and a frozen class is filled slowly.
_set_algorithm, _set_value = (vars(Digest)[slot].__set__ for slot in ("algorithm", "value"))


def parse_digest_set(obj: object) -> tuple[Digest, ...]:
    """The recognised digests of an in-toto digest set, sorted.

    Unknown algorithms are passed over, as the specification asks; a recognised
    one that is malformed raises BadDigest.
    """
    if not isinstance(obj, dict):
        raise BadDigest("a digest set is an object of algorithm: hex")
    if len(obj) == 1 and (value := obj.get("sha256")) is not None:  # nearly all are
        if not isinstance(value, str):
            raise BadDigest("the sha256 digest is not text")
        return (Digest("sha256", value),)
    found = []
    for algorithm, value in obj.items():
        if algorithm in LENGTHS:
            if not isinstance(value, str):
                raise BadDigest(f"the {algorithm} digest is not text")
            found.append(Digest(algorithm, value))
    return tuple(found) if len(found) < 2 else tuple(sorted(found))


def digests_match(expected: Iterable[Digest], actual: Iterable[Digest]) -> bool:
    """Whether two digest sets name the same bytes.

    Every algorithm that both know must agree, and at least one that is not
    weak must be among them: not MD5, not SHA-1, not a Git object named by SHA-1.
    """
    theirs = {d.algorithm: d.value for d in actual}
    common = [d for d in expected if d.algorithm in theirs]
    strong = [d for d in common if d.algorithm not in WEAK and len(d.value) > _SHA1_DIGITS]
    agree = all(theirs[d.algorithm] == d.value for d in common)
    return agree and bool(strong)
