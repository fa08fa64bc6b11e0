"""What is dear to make and only read is made once, and not once in each worker of a run."""

from __future__ import annotations

import fcntl
import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Made = TypeVar("Made")


class Once:
    """Results kept in a folder that all workers of one run share; the first to ask makes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._here: dict[str, object] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def folder(self, name: str) -> Path:
        """A new folder for the files of what has that name; for `make` to fill."""
        folder = self._folder / f"{self._stem(name)}.files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def make(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` gave to whoever asked first; who comes later waits for it.

        It is pickled. Where `make` fails the next to ask tries again.
        """
        if name not in self._here:
            kept = self._folder / self._stem(name)
            with kept.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not kept.exists():
                    kept.write_bytes(pickle.dumps(make()))
            self._here[name] = pickle.loads(kept.read_bytes())
        return self._here[name]  # type: ignore[return-value]

    @staticmethod
    def _stem(name: str) -> str:
        return hashlib.sha256(name.encode()).hexdigest()[:16]
