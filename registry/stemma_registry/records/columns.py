"""The canonical form of records, whole columns of Arrow at a time. The rules are in `canonical`.

Whatever is unusual in a column is given to `canonical` value by value; the rest never
becomes a Python object.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from stemma_registry.records import canonical

_TABLE = 4_096  # lengths, in bytes, of which there is a table
_CELLS = 1 << 20  # values that are joined at once: each takes some 50 bytes beside its own


def messages(batch: Any, fields: Collection[str] | None) -> Any:
    """Canonical records as binary; empty where one says nothing.

    `batch` is a pyarrow.RecordBatch. Raises ValueError, TypeError, ArrowException.
    """
    import pyarrow as pa

    wanted = None if fields is None else {canonical.normal(name) for name in fields}
    named: dict[bytes, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        plain = canonical.normal(name)
        if name in canonical.NO_DATA or (wanted is not None and plain not in wanted):
            continue
        if plain.encode() in named:
            raise ValueError(f"two columns are named {plain:.80}")
        named[plain.encode()] = texts(column)
    step, count = max(1, _CELLS // max(1, len(named))), batch.num_rows
    parts = [
        _joined(
            [(name, named[name].slice(start, step)) for name in sorted(named)],
            min(step, count - start),
        )
        for start in range(0, max(1, count), step)
    ]
    return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)


def _joined(named: Sequence[tuple[bytes, Any]], count: int) -> Any:
    """Of each of `count` rows the pieces of its names and values, one behind the other.

    All pieces there are, and which of them make a row: picking them puts the bytes in
    order, in half the time that `binary_join_element_wise` takes.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not named or not count:
        return pa.array([b""] * count, pa.large_binary())
    pool, start, rows = [pa.array([b""], pa.large_binary())], 1, np.arange(count)
    picked = np.empty((count, 2 * len(named)), np.int64)
    for place, (name, said) in enumerate(named):
        piece = said.view(pa.large_binary())
        ends = np.frombuffer(piece.buffers()[1], np.int64, count + 1, 8 * piece.offset)
        lengths: Any = np.diff(ends)
        longest = int(lengths.max(initial=0))
        if longest < _TABLE:
            heads, which = _table(canonical.piece(name), 1 << longest.bit_length()), lengths
        else:
            heads, which = _heads(canonical.piece(name), lengths), rows
        np.add(which, start, out=picked[:, 2 * place])
        np.add(rows, start + len(heads), out=picked[:, 2 * place + 1])
        if said.null_count:  # what is not there is the empty piece
            picked[np.asarray(pc.is_null(said)), 2 * place : 2 * place + 2] = 0
        start += len(heads) + count
        pool += [heads, piece]
    flat = pc.take(pa.concat_arrays(pool), pa.array(picked.ravel()), boundscheck=False)
    _, ends, data = flat.buffers()
    if not data:
        return pa.array([b""] * count, pa.large_binary())
    bounds = np.frombuffer(ends, np.int64)[: picked.size + 1 : picked.shape[1]].copy()
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(bounds), data]
    )


def _heads(before: bytes, lengths: Any) -> Any:
    """What stands before each value of these lengths (numpy)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shown = pa.array(lengths).cast(pa.large_string()).cast(pa.large_binary())
    ends = (pa.scalar(end, pa.large_binary()) for end in (b":", b""))
    return pc.binary_join_element_wise(pa.scalar(before, pa.large_binary()), shown, *ends)


@functools.lru_cache(maxsize=256)
def _table(before: bytes, size: int) -> Any:
    """The heads of all lengths below `size`: looking one up is cheaper than writing it."""
    import pyarrow as pa

    return pa.array([b"%b%d:" % (before, length) for length in range(size)], pa.large_binary())


def texts(column: Any) -> Any:
    """The canonical texts of a column as large strings, null where a value says nothing."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return texts(column.storage)
    if pa.types.is_dictionary(kind):
        return texts(column.dictionary).take(column.indices)
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return texts(pc.run_end_decode(column))
    for fits, make in _makers():
        if fits(kind):
            return make(column)
    return _one_by_one(column)


def _makers() -> list[tuple[Callable[[Any], bool], Callable[[Any], Any]]]:
    import pyarrow.types as pt

    return [
        (lambda t: pt.is_string(t) or pt.is_large_string(t) or pt.is_string_view(t), _strings),
        (lambda t: pt.is_binary(t) or pt.is_large_binary(t) or pt.is_binary_view(t), _binaries),
        (pt.is_fixed_size_binary, _binaries),
        (lambda t: pt.is_integer(t) or pt.is_null(t) or pt.is_boolean(t), _large),
        (pt.is_floating, _floats),
        (pt.is_timestamp, _timestamps),
        (pt.is_time, _times),
        (pt.is_duration, _durations),
    ]


def _large(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(pa.large_string())


def _one_by_one(column: Any) -> Any:
    import pyarrow as pa

    return pa.array([canonical.value(item) for item in column.to_pylist()], pa.large_string())


def _mended(column: Any, mask: Any, mend: Callable[[Any], str | None]) -> Any:
    """The column of large strings with what the mask (numpy) picks put through `mend`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not mask.any():
        return column
    picked = column.filter(pa.array(mask)).to_pylist()
    new = [None if item is None else mend(item) for item in picked]
    if len(new) == len(column):
        return pa.array(new, pa.large_string())
    return pc.replace_with_mask(column, pa.array(mask), pa.array(new, pa.large_string()))


def _strings(column: Any) -> Any:
    import numpy as np
    import pyarrow.compute as pc

    column = _large(column)
    if column.offset:
        column = pc.take(column, np.arange(len(column)))  # its buffers then begin with it
    _, ends, data = column.buffers()
    if not data or not len(column):
        return _mended(column, np.ones(len(column), bool), canonical.text)
    offsets = np.frombuffer(ends, np.int64, len(column) + 1)
    lengths = np.diff(offsets)
    octets = np.frombuffer(data, np.uint8)
    room = np.zeros(256, np.int64)
    for letter, most in canonical.SPECIAL.items():
        room[ord(letter)] = most
    first = octets[np.minimum(offsets[:-1], len(octets) - 1)]
    mask = lengths <= room[first]
    mask |= lengths == 0
    if octets[offsets[0] : offsets[-1]].max(initial=0) >= 0x80:
        mask |= ~np.asarray(pc.fill_null(pc.string_is_ascii(column), True))
    return _mended(column, mask, canonical.text)


def _binaries(column: Any) -> Any:
    import pyarrow as pa

    try:
        as_text = column.cast(pa.large_binary()).cast(pa.large_string())
        as_text.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _one_by_one(column)
    return _strings(as_text)


def _floats(column: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    values = np.asarray(pc.fill_null(column, float("nan")))
    size, silent = np.abs(values), np.isnan(values)
    exact = 2.0**24 if values.dtype == np.float32 else 2.0**53
    with np.errstate(invalid="ignore"):
        whole = (size < exact) & (values == np.trunc(values))
    shown = None
    if whole.any() or silent.all():
        integers = pa.array(np.where(whole, values, 0).astype(np.int64), mask=silent)
        shown = integers.cast(pa.large_string())
    others = ~(whole | silent)
    if not others.any():
        return shown
    decimals = _decimals(values, silent)
    shown = decimals if shown is None else pc.if_else(pa.array(whole), shown, decimals)
    # Between these a float is written plainly, as `canonical.number` does.
    odd = others & ~((size >= 1e-3) & (size < min(1e9, exact)))
    if not odd.any():
        return shown
    written = pa.array(values[odd]).cast(pa.large_string()).to_pylist()
    mended = pa.array(map(canonical.floating, written), pa.large_string())
    picked = np.arange(len(values))  # short texts: half the time that `replace_with_mask` takes
    picked[odd] = np.arange(len(values), len(values) + len(mended))
    return pc.take(pa.concat_arrays([shown, mended]), picked, boundscheck=False)


def _decimals(values: Any, silent: Any) -> Any:
    """Floats (numpy) as their shortest decimals, null where silent.

    That takes orjson a third of the time that it takes Arrow.
    """
    import numpy as np
    import orjson
    import pyarrow as pa

    raw = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    commas = np.flatnonzero(np.frombuffer(raw, np.uint8) == ord(","))
    data = raw[1:-1].replace(b",", b"")
    ends = np.empty(len(values) + 1, np.int64)
    ends[0], ends[1:-1], ends[-1] = 0, commas - np.arange(1, len(values)), len(data)
    there = pa.array(~silent).buffers()[1] if silent.any() else None
    return pa.LargeStringArray.from_buffers(
        len(values), pa.py_buffer(ends), pa.py_buffer(data), there
    )


def _timestamps(column: Any) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    unit, zone = column.type.unit, column.type.tz
    counts = column.cast(pa.int64())
    values = np.asarray(pc.fill_null(counts, 0)).astype(f"M8[{unit}]")
    shown = pa.array(np.datetime_as_string(values, unit=unit).astype(object), pa.large_string())
    if unit != "s":
        shown = pc.utf8_rtrim(pc.utf8_rtrim(shown, "0"), ".")
    if zone is None:
        shown = pc.replace_substring_regex(shown, r"T00:00:00$", "")
    else:
        ends = (pa.scalar(end, pa.large_string()) for end in ("Z", ""))
        shown = pc.binary_join_element_wise(shown, *ends)
    return pc.if_else(pc.is_null(column), None, shown)


def _times(column: Any) -> Any:
    import pyarrow as pa

    shown = column.cast(pa.large_string())
    return pa.array(
        [None if item is None else canonical.clock(item) for item in shown.to_pylist()],
        pa.large_string(),
    )


def _durations(column: Any) -> Any:
    from decimal import Decimal

    import pyarrow as pa

    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[column.type.unit]
    counts = column.cast(pa.int64()).to_pylist()
    found = [
        None if item is None else canonical.number(format(Decimal(item).scaleb(-digits), "f"))
        for item in counts
    ]
    return pa.array(found, pa.large_string())
