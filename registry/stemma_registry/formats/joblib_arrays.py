"""joblib's arrays: raw bytes in the midst of a pickle, behind the wrapper that describes them.

https://github.com/joblib/joblib, `joblib/numpy_pickle.py`: an optional padding (one byte
says how long), then the array's bytes; of object arrays another pickle.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from stemma_registry.formats import pickle_names as names
from stemma_registry.formats.findings import Stop
from stemma_registry.formats.opcodes import Fails
from stemma_registry.formats.symbols import Global, Made, Mapping

if TYPE_CHECKING:
    from stemma_registry.formats.machine import Machine

_PLAIN = re.compile(r"[<>|=]?([biufcSUmMV?])([0-9]{1,9})")
MAX_DIMENSIONS = 64


def pass_over(machine: Machine, state: Mapping) -> None:
    """Move the cursor behind the array that the wrapper's state describes.

    Raises Fails, EOFError, and Stop for an array whose length cannot be told.
    """
    size = item_size(_type_of(state.items.get("dtype")))
    shape = state.items.get("shape")
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        raise Stop("too-much", "an array of joblib's whose shape cannot be told")
    if not all(isinstance(length, int) and length >= 0 for length in shape):
        raise Fails("an array of joblib's without a shape")
    if size is None:  # objects
        _objects(machine)
        return
    if isinstance(state.items.get("numpy_array_alignment_bytes"), int):
        machine.cursor.skip(machine.cursor.take(1)[0])
    machine.cursor.skip(size * math.prod(shape))


def item_size(text: Any) -> int | None:
    """Bytes of an item of a simple type such as `<f4`; None for objects. Raises Stop."""
    if isinstance(text, str):
        if text.lstrip("<>|=").startswith("O"):
            return None
        match = _PLAIN.match(text)
        if match is not None and match[1] != "V":
            return int(match[2]) * (4 if match[1] == "U" else 1)
    raise Stop("too-much", "an array whose type is not looked into")


def _type_of(value: Any) -> Any:
    if isinstance(value, Made) and isinstance(value.of, Global) and value.of.key == names.DTYPE:
        return value.arguments[0] if value.arguments else None
    return None


def _objects(machine: Machine) -> None:
    from stemma_registry.formats.machine import Machine as Another

    inner = Another(machine.cursor, machine.budget, machine.setting)
    machine.budget.spend("pickles")
    inner.depth = machine.depth + 1
    if inner.depth > machine.budget.bounds.depth:
        raise Stop("too-deep", "arrays of objects in arrays of objects")
    run = inner.run()
    machine.result.found.update(run.found)
    machine.result.imports += run.imports
    machine.result.acts |= run.acts
    machine.result.plausible |= run.plausible
    if run.error:
        raise Fails(run.error)
