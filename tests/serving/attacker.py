"""Somebody who can write to the source, and does: `python -m tests.serving.attacker PATH...`.

Each PATH is a file or a directory. It is overwritten, cut, extended, swapped, linked or
moved for a moment and put back; in between it is whole, now and then for long enough to
be read. Ends with its standard input.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

EVIL = b"EVIL"


def pause() -> None:
    """Leave it as it is, for a moment of any length."""
    time.sleep(random.choice([0, 0, 0.0002, 0.002, 0.01]))


def in_place(path: Path, good: bytes) -> None:
    """Other bytes of the same length in the same file, with the old times."""
    found = os.stat(path)
    with path.open("r+b") as file:
        file.write((EVIL * len(good))[: len(good)])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    pause()
    with path.open("r+b") as file:
        file.write(good)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def cut(path: Path, good: bytes) -> None:
    """Shorter, empty, and longer."""
    os.truncate(path, len(good) // 2)
    pause()
    os.truncate(path, 0)
    path.write_bytes(good + EVIL)
    pause()
    path.write_bytes(good)


def swap(path: Path, good: bytes) -> None:
    """Another file of the same length by a rename, and back."""
    aside, evil = path.with_name("aside"), path.with_name("evil")
    evil.write_bytes((EVIL * len(good))[: len(good)])
    os.link(path, aside)
    os.rename(evil, path)
    pause()
    os.rename(aside, path)


def link(path: Path, good: bytes) -> None:
    """A symbolic link to other bytes, a directory, nothing."""
    aside, evil = path.with_name("aside"), path.with_name("evil")
    evil.write_bytes(EVIL)
    os.rename(path, aside)
    os.symlink(random.choice([evil, "/", "nowhere", "/dev/zero"]), path)
    pause()
    os.rename(aside, path)
    evil.unlink()


def special(path: Path, good: bytes) -> None:
    """A pipe, which nobody writes to, or a directory."""
    aside = path.with_name("aside")
    os.rename(path, aside)
    random.choice([os.mkfifo, os.mkdir])(path)
    pause()
    os.rmdir(path) if path.is_dir() else os.unlink(path)
    os.rename(aside, path)


def parent(path: Path, good: bytes) -> None:
    """The directory of a file moved away; a link, or one with other bytes, in its place."""
    folder = path.parent
    aside, evil = folder.with_name(f"{folder.name}.aside"), folder.with_name(f"{folder.name}.evil")
    shutil.rmtree(evil, ignore_errors=True)
    shutil.copytree(folder, evil, symlinks=True)
    (evil / path.name).write_bytes((EVIL * len(good))[: len(good)])
    os.rename(folder, aside)
    if random.random() < 0.5:
        os.symlink(evil, folder)
        pause()
        os.unlink(folder)
    else:
        os.rename(evil, folder)
        pause()
        os.rename(folder, evil)
    os.rename(aside, folder)
    shutil.rmtree(evil)


ATTACKS: tuple[Callable[[Path, bytes], None], ...] = (in_place, cut, swap, link, special, parent)


def main() -> None:
    files = {Path(text): Path(text).read_bytes() for text in sys.argv[1:]}
    for path in files:
        path.chmod(0o600)
    count = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        path, good = random.choice(list(files.items()))
        random.choice(ATTACKS)(path, good)
        count += 1
        time.sleep(random.choice([0, 0, 0.001, 0.02, 0.08]))
    print(count)


if __name__ == "__main__":
    main()
