"""The types of the catalogue's columns, and how digests are looked up.

What a column holds is the same in every database: digests as bytes, common words as a letter,
and texts in the order of their code points, without the one character that PostgreSQL refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    func,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from stemma_registry.errors import Rotten

# SQLite gives only INTEGER PRIMARY KEY the row id; PostgreSQL wants 64 bits.
Id = BigInteger().with_variant(Integer, "sqlite")


class HexBytes(TypeDecorator[str]):
    """A digest: hex digits in Python, half as many bytes in the database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """To the database. Raises ValueError for what is not hex."""
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """From the database. Raises Rotten for what nobody of ours has written."""
        return None if value is None else hexed(value)


def hexed(value: object) -> str:
    """What `HexBytes` keeps as that. Raises Rotten for what nobody of ours has written."""
    if type(value) is bytes or isinstance(value, bytes | bytearray | memoryview):
        return value.hex()
    raise _rotten(value)


def all_hexed(values: Sequence[object]) -> list[str]:
    """The same of a whole column."""
    try:
        return list(map(bytes.hex, values))  # type: ignore[arg-type] # as nearly all are
    except TypeError:
        return list(map(hexed, values))


def _rotten(value: object) -> Rotten:
    return Rotten(
        f"the catalogue is damaged: it holds {value!r:.40}; `stemma rebuild` makes it anew"
    )


HEAD = 8  # bytes of a digest that an index holds: enough to find it, a quarter of the room


def head(digest: Column[str]) -> ColumnElement[str]:
    """The beginning of a column of digests, as its index has it."""
    # Written out: a database uses the index only for the very expression it was made of.
    bounds = (literal_column(str(number), Integer) for number in (1, HEAD))
    return func.substr(digest, *bounds, type_=HexBytes)


def is_one_of(digest: Column[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Whether a column of digests is one of `values` (hex), by the index on its head."""
    wanted = list(values)
    heads = sorted({value[: 2 * HEAD] for value in wanted})
    return head(digest).in_(heads) & digest.in_(wanted)


# What most rows say, as one letter. Never change one: a new revision adds some. No text that
# is written out begins with a letter of ours, since `=` stands before it.
CODES = {
    "sha256": "s",
    "gitCommit": "g",
    "https://slsa.dev/provenance/v1": "p",
    "urn:stemma:lineage:v0.1": "l",
    "https://cyclonedx.org/bom": "b",
    "urn:stemma:dataset:v0.1": "d",
    "urn:stemma:status:v0.1": "q",
    "trained-on": "t",
    "fine-tuned-from": "f",
    "adapter-of": "a",
    "merged-from": "m",
    "quantized-from": "z",
    "distilled-from": "i",
    "converted-from": "c",
    "evaluated-on": "e",
    "derived-from": "r",
    "filtered-from": "h",
    "sampled-from": "n",
    "synthesized-by": "y",
    "tokenized-by": "k",
    "built-from": "u",
    "same-as": "w",
    "cartesian": "j",
    "name-based": "o",
    "urn:stemma:import:v0.1": "v",
}
_TEXTS = {code: word for word, code in CODES.items()}


# SQLite sorts texts by their code points; a server would by its locale.
_C = Text(collation="C")
_PLAIN = Text().with_variant(_C, "postgresql")
# RFC 3339 takes up to 35 characters. SQLite does not count, and its tables say 32.
Moment = String(32).with_variant(String(40), "postgresql")
_NUL, _INSTEAD = "\0", "\N{REPLACEMENT CHARACTER}"


def without_nul(value: str | None) -> str | None:
    """What `Words` and `Word` keep of a text."""
    return None if value is None else value.replace(_NUL, _INSTEAD)


class Words(TypeDecorator[str]):
    """Text that somebody wrote. NUL, which PostgreSQL cannot hold, is kept as U+FFFD."""

    impl = _PLAIN
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return without_nul(value)


class Word(TypeDecorator[str]):
    """The same for a word that should be a short one, and is whatever somebody wrote."""

    impl = String(32).with_variant(_C, "postgresql")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return without_nul(value)


class Coded(TypeDecorator[str]):
    """One of a few well-known texts in one letter, or any other text behind `=`."""

    impl = _PLAIN
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else CODES.get(value, f"={value.replace(_NUL, _INSTEAD)}")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """From the database. Raises Rotten for a letter that this version does not know."""
        return None if value is None else word(value)


def word(code: object) -> str:
    """What `Coded` keeps as that. Raises Rotten for what nobody of ours has written."""
    if not isinstance(code, str) or not (code.startswith("=") or code in _TEXTS):
        raise _rotten(code)
    return code[1:] if code.startswith("=") else _TEXTS[code]


class in_hex(FunctionElement[str]):  # noqa: N801 - an SQL function
    """Bytes as hex digits, of whichever case the database writes."""

    inherit_cache = True
    type = Text()


@compiles(in_hex)
def _hex(element: in_hex, compiler: Any, **options: Any) -> str:
    return f"hex({compiler.process(element.clauses, **options)})"


@compiles(in_hex, "postgresql")
def _encode(element: in_hex, compiler: Any, **options: Any) -> str:
    return f"encode({compiler.process(element.clauses, **options)}, 'hex')"
