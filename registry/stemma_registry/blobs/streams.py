"""Moving bytes once: hashing in one thread while another writes, through a few reused buffers."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from stemma_attestations.digest import Digest

CHUNK = 1024 * 1024
# Below this, handing buffers from thread to thread costs more than it saves.
OVERLAPPED = 8 * CHUNK
BUFFERS = 4
IN_KERNEL = 256 * 1024  # smaller files are read and written
PIECE = 16 * CHUNK  # bytes that one call of the kernel copies
_FICLONE = 0x40049409  # linux/fs.h

# What copy_file_range(2) says where it cannot, between these files.
_CANNOT_COPY = (
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EBADF,
    errno.ETXTBSY,
)

Write = Callable[[memoryview], object]
# Whoever wants the bytes of a reading too, in order: called where one begins, also where it begins
# anew, with a function as the result that is handed each piece.
Tap = Callable[[], Write]


class Progress(Protocol):
    """Whoever wants to know how far the work is. Called from many threads."""

    def __call__(self, count: int) -> None:
        """So many bytes were done."""

    def expect(self, count: int) -> None:
        """So many bytes more are to be done."""


def hash_stream(
    source: BinaryIO, limit: int, write: Write | None = None, progress: Progress | None = None
) -> tuple[Digest, int]:
    """Read `source` once: its digest and size in bytes, each piece handed to `write` too.

    Stops behind `limit` bytes: a source that never ends is one of the wrong
    size. Raises what reading and writing raise; after an error the rest is not
    written.
    """
    if write is not None and limit >= OVERLAPPED:
        with _Writer(write) as writer:
            return _hash(source, limit, writer.buffer, writer.write, progress)
    buffer = memoryview(bytearray(max(1, min(limit + 1, CHUNK))))
    return _hash(source, limit, lambda: buffer, write, progress)


def write_all(fd: int, data: memoryview | bytes) -> None:
    """Write every byte. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_chunks(chunks: Iterable[bytes], out: BinaryIO, progress: Progress | None = None) -> None:
    """Write chunks as they come, while the next one is being made."""
    with _Writer(out.write) as writer:
        for chunk in chunks:
            writer.write(memoryview(chunk))
            if progress is not None:
                progress(len(chunk))


@contextlib.contextmanager
def beside(write: Write | None) -> Iterator[Write]:
    """Hand pieces, which nobody changes any more, to another thread, in order."""
    if write is None:
        yield _nowhere
        return
    with _Writer(write) as writer:
        yield writer.write


def _nowhere(piece: memoryview) -> None:
    """Nobody wants it."""


def reserve(fd: int, size: int) -> None:
    """Say how long a large file is going to be: growing it write by write costs ext4 twice as much.

    Raises OSError.
    """
    if size >= OVERLAPPED:
        os.ftruncate(fd, size)


def clone(source: int, target: int) -> bool:
    """Share the blocks of two files where the file system can; whether it could."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def copy_hashed(
    source: BinaryIO,
    target: int,
    size: int,
    progress: Progress | None = None,
    tap: Tap | None = None,
) -> tuple[Digest, int]:
    """Copy a file of `size` bytes to the new file `target`; the digest and size of what arrived.

    The kernel copies (or shares the blocks), which costs half of what reading and
    writing does; what is hashed is read back from the target, so that it is what
    is kept, and so is what `tap` is handed. Raises OSError.
    """
    fd, hand = source.fileno(), tap() if tap is not None else None

    def write(piece: memoryview) -> None:
        write_all(target, piece)
        if hand is not None:
            hand(piece)

    if size < IN_KERNEL:
        return hash_stream(source, size, write, progress)
    copy = _Copy(fd, target, size)
    if clone(fd, target):
        copy.done = os.fstat(target).st_size
    elif not copy.first():
        return hash_stream(source, size, write, progress)
    reserve(target, size)
    with copy:
        digest = _hash_behind(copy, progress, hand)
    grown = len(os.pread(fd, 1, size))
    return digest, copy.done + grown


def _hash_behind(copy: _Copy, progress: Progress | None, hand: Write | None) -> Digest:
    """Hash the target of a copy as far as it has come, until it ends."""
    if hand is None:
        buffer = memoryview(bytearray(CHUNK))
        return _read_behind(copy, progress, lambda: buffer, _nowhere)
    with _Writer(hand) as writer:
        return _read_behind(copy, progress, writer.buffer, writer.write)


def _read_behind(
    copy: _Copy, progress: Progress | None, buffer: Callable[[], memoryview], hand: Write
) -> Digest:
    state, position = hashlib.sha256(), 0
    while (reached := copy.wait_beyond(position)) > position:
        while position < reached:
            piece = buffer()[: min(CHUNK, reached - position)]
            count = os.preadv(copy.target, [piece], position)
            if count == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            hand(piece[:count])
            state.update(piece[:count])
            position += count
            if progress is not None:
                progress(count)
    return Digest("sha256", state.hexdigest())


class _Copy:
    """A copy inside the kernel: beside the reader if it is large, ahead of it if not."""

    def __init__(self, source: int, target: int, size: int) -> None:
        self.source, self.target, self.size = source, target, size
        self.done = 0
        self._ended = False
        self._error: OSError | None = None
        self._moved = threading.Condition()
        self._thread: threading.Thread | None = None

    def first(self) -> bool:
        """Copy the first piece; False where these file systems cannot."""
        try:
            self._step()
        except OSError as error:
            if error.errno in _CANNOT_COPY:
                return False
            raise
        return self.done > 0

    def wait_beyond(self, position: int) -> int:
        """How far it has come, once that is beyond `position`, or all there is. Raises OSError."""
        with self._moved:
            self._moved.wait_for(lambda: self.done > position or self._ended)
        if self._error is not None:
            raise self._error
        return self.done

    def _step(self) -> bool:
        count = os.copy_file_range(
            self.source,
            self.target,
            min(PIECE, self.size - self.done),
            offset_src=self.done,
            offset_dst=self.done,
        )
        with self._moved:
            self.done += count
            self._moved.notify()
        return count > 0

    def _run(self) -> None:
        try:
            while self.done < self.size and self._step():
                pass
        except OSError as error:
            self._error = error
        finally:
            with self._moved:
                self._ended = True
                self._moved.notify()

    def __enter__(self) -> Self:
        if self.size >= OVERLAPPED:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        else:
            self._run()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self.size = 0 if error is not None else self.size  # stop early
            self._thread.join()


def _hash(
    source: BinaryIO,
    limit: int,
    buffer: Callable[[], memoryview],
    write: Write | None,
    progress: Progress | None,
) -> tuple[Digest, int]:
    state, size = hashlib.sha256(), 0
    # The buffer is asked for anew each time: the last one may still be on its way to the disk.
    while size <= limit and (count := source.readinto(view := buffer())):  # type: ignore[attr-defined]
        piece = view[:count]
        state.update(piece)
        size += count
        if write is not None and size <= limit:
            write(piece)
        if progress is not None:
            progress(count)
    return Digest("sha256", state.hexdigest()), size


class _Writer:
    """A thread that writes what it is handed, in order, and gives the buffers back."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._full: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(BUFFERS - 1)
        self._buffers: list[memoryview] = []
        self._next = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def buffer(self) -> memoryview:
        """A buffer that nobody uses: one more than can be under way at once."""
        if len(self._buffers) <= BUFFERS:
            self._buffers.append(memoryview(bytearray(CHUNK)))
        self._next = (self._next + 1) % len(self._buffers)
        return self._buffers[self._next]

    def write(self, piece: memoryview) -> None:
        """Hand a piece over; waits while too many are under way. Raises what writing raised."""
        self._room.acquire()
        if self._error is not None:
            raise self._error
        self._full.put(piece)

    def _run(self) -> None:
        while (piece := self._full.get()) is not None:
            try:
                if self._error is None:
                    self._write(piece)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                self._error = error
            self._room.release()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._full.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error
