"""Many objects of a repository at once: what each is, then the bytes, by few calls of Git."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stemma_attestations import gitobject
from stemma_registry.config import LIMITS
from stemma_registry.errors import Unavailable
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository


@dataclass(frozen=True)
class Found:
    """An object, or in `fault` why it is none that can be read."""

    kind: str = ""
    data: bytes = b""
    fault: str = ""


def kinds(repository: Repository, names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """The kind and size of each object that is there, as Git has it: not held against its id.

    An id of the other object format is that of nothing here: Git would take a short one for the
    beginning of another.
    """
    digits = gitobject.DIGITS[repository.object_format]
    whole = (name for name in dict.fromkeys(names) if len(name) == digits)
    asked = "".join(f"{name}\n" for name in whole).encode()
    if not asked:
        return {}
    told = program.run(repository.directory, "cat-file", "--batch-check", "--buffer", stdin=asked)
    found = {}
    for line in told.decode(errors="replace").splitlines():
        parts = line.split(" ")
        if len(parts) == 3 and parts[2].isdigit():
            found[parts[0]] = parts[1], int(parts[2])
    return found


def read(repository: Repository, names: Iterable[str], most: int) -> Iterator[tuple[str, Found]]:
    """Each object once, held against its id; those of more than `most` bytes are a fault.

    Raises Refused and Unavailable where Git does.
    """
    wanted = list(dict.fromkeys(names))
    known = kinds(repository, wanted)
    part, size = list[str](), 0
    for name in wanted:
        if name not in known:
            yield name, Found(fault=f"the repository has no object {name}")
        elif known[name][1] > most:
            why = (
                f"the object {name} has {known[name][1]} bytes, more than the {most} that are read"
            )
            yield name, Found(fault=why)
        else:
            part.append(name)
            size += known[name][1]
            if size > LIMITS.git_object_bytes:
                yield from _bytes(repository, part)
                part, size = [], 0
    yield from _bytes(repository, part)


def _bytes(repository: Repository, names: Sequence[str]) -> Iterator[tuple[str, Found]]:
    if not names:
        return
    asked = "".join(f"{name}\n" for name in names).encode()
    told = program.run(repository.directory, "cat-file", "--batch", "--buffer", stdin=asked)
    at = 0
    for name in names:
        end = told.find(b"\n", at)
        parts = told[at:end].decode(errors="replace").split(" ")
        if end < 0 or len(parts) != 3 or parts[0] != name or not parts[2].isdigit():
            raise Unavailable("git cat-file has ended; `git fsck` says what is wrong")
        size = int(parts[2])
        data = told[end + 1 : end + 1 + size]
        at = end + 2 + size
        if gitobject.identify(parts[1], data, repository.object_format) != name:
            yield name, Found(fault=f"the repository gives other bytes for the object {name}")
        else:
            yield name, Found(parts[1], data)
