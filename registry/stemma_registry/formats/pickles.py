"""Pickles in a file: one, several, PyTorch's old form of five and raw storages behind them.

`torch.save` of before 1.6 (https://github.com/pytorch/pytorch, `torch/serialization.py`):
a magic number, a protocol version and a description of the machine, each a pickle; the
object; the keys of its storages; and of each storage its length and its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stemma_registry.formats import pickle_names as names
from stemma_registry.formats.findings import Look, Setting
from stemma_registry.formats.machine import Machine
from stemma_registry.formats.sources import Cursor, Source
from stemma_registry.formats.symbols import Run

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_PICKLES = 5
OBJECT = 3  # which of the five is the object


@dataclass(frozen=True)
class Pickled:
    """What a look at a file's beginning gives: whether it is a pickle, and of what form."""

    is_pickle: bool
    is_torch: bool = False
    whole: bool = False  # nothing is behind it


def has_header(source: Source, at: int = 0) -> bool:
    """Whether an opcode that says the protocol is there: 2 and later begin with it."""
    head = source.read_at(at, 2)
    return len(head) == 2 and head[0] == 0x80 and head[1] <= 5


def is_torch_magic(source: Source) -> bool:
    """Whether the file begins with the magic number of PyTorch's old form."""
    head = source.read_at(0, 32)
    return TORCH_MAGIC.to_bytes(10, "little") in head and head[:1] in (b"\x80", b"\x8a")


def look(look: Look, source: Source, setting: Setting, *, text: bool = False) -> Pickled:
    """Follow all pickles from the beginning of `source`.

    Unless the setting is `sure`, the first one may turn out to be none, and then nothing is
    found; plain `text` has to get further for that than other bytes.
    """
    first = _follow(look, source, 0, setting)
    if not (setting.sure or has_header(source) or _any_counts(look, source, first, text)):
        whole = first.stopped and first.end == source.size and not first.imports
        return Pickled(whole and source.size > 1, whole=whole)
    if first.value == TORCH_MAGIC:
        return _torch(look, source, first)
    _report(look, first)
    if not first.stopped:
        return Pickled(True)
    _following(look, source, first.end, setting)
    return Pickled(True, whole=first.end == source.size)


def _any_counts(look: Look, source: Source, run: Run, text: bool) -> bool:
    """Whether the first pickle counts, or one behind it: loaders may read several."""
    while not _counts(run, text) and run.value != TORCH_MAGIC:
        if not run.stopped or run.end >= source.size:
            return False
        run = _follow(look, source, run.end, look.setting)
    return True


def _counts(run: Run, text: bool) -> bool:
    """Whether bytes that need not be a pickle would do something if they were taken for one."""
    if text or not run.found:
        return run.plausible and (run.acts or run.stopped or not text)
    return run.plausible or run.stopped


def _follow(look: Look, source: Source, at: int, setting: Setting) -> Run:
    look.budget.spend("pickles")
    run = Machine(Cursor(source, at), look.budget, setting).run()
    if run.wrapped:  # pickle.load would take the arrays for opcodes
        look.formats.add("joblib")
        plain = replace(setting, joblib=False)
        other = Machine(Cursor(source, at), look.budget, plain).run()
        run.found = {**other.found, **run.found}
    return run


def _report(look: Look, run: Run) -> None:
    for (rule, text), at in sorted(run.found.items(), key=lambda item: (item[1], item[0])):
        look.add(rule, text, at)
    if run.error:
        look.add("pickle-malformed", run.error, run.end)


def _following(look: Look, source: Source, at: int, setting: Setting) -> None:
    """Further pickles behind the first."""
    while at < source.size:
        run = _follow(look, source, at, setting)
        if not has_header(source, at) and not run.plausible and not run.stopped:
            look.add("pickle-trailing", f"{source.size - at} bytes that are no pickle", at)
            return
        _report(look, run)
        if not run.stopped:
            return
        at = run.end


def _torch(look: Look, source: Source, first: Run) -> Pickled:
    """PyTorch's old form: five pickles, and as many raw bytes as their storages have."""
    at, storages, run = first.end, dict[str, tuple[str, int]](), first
    _report(look, first)
    for number in range(1, TORCH_PICKLES):
        run = _follow(look, source, at, Setting(torch=number == OBJECT))
        _report(look, run)
        storages |= run.storages
        if not run.stopped:
            return Pickled(True, is_torch=True)
        at = run.end
    expected = 0
    for kind, count in storages.values():
        width = names.STORAGES.get(kind)
        if width is None:
            look.add("too-much", f"a storage of {kind}, whose bytes are not counted", at)
            return Pickled(True, is_torch=True)
        expected += 8 + count * width
    if source.size - at != expected:
        found = f"{source.size - at} bytes of storages, {expected} are described"
        look.add("pickle-trailing", found, at)
    return Pickled(True, is_torch=True, whole=True)
