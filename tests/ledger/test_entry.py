"""The format of an entry: what is written, and everything that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger.entry import FORMAT, INIT, MAX_EVENTS, PUSH, STATUS, Event, LedgerEntry
from stemma_registry.ledger.log import entry_key

D1, D2 = Digest.of(b"1"), Digest.of(b"2")
Document = dict[str, Any]


def document(**fields: Any) -> Document:
    """A good entry 1, with some fields changed."""
    good: Document = {
        "format": FORMAT,
        "n": 1,
        "previous": str(D1),
        "nonce": "0123456789abcdef" * 2,
        "time": "2026-11-21T12:00:00Z",
        "tree_root": D2.value,
        "events": [{"type": PUSH, "critical": True, "artifacts": [str(D1)], "bundles": [str(D2)]}],
    }
    return {**good, **fields}


def parse(doc: Any, n: int = 1) -> LedgerEntry:
    return LedgerEntry.parse(canonical.dumps(doc), n)


def test_an_entry_is_read_as_it_was_written() -> None:
    events = [Event(INIT), Event(PUSH, (D1,), (D2, D1), (D2,)), Event(STATUS, bundles=(D1,))]
    nonce, time = "ab" * 16, "2026-11-21T12:00:00Z"
    built = LedgerEntry.build(7, D1, nonce, time, D2.value, events)
    read = LedgerEntry.parse(built.raw, 7)
    assert read == built
    assert (read.n, read.previous, read.nonce, read.time) == (7, D1, nonce, time)
    assert (read.tree_root, read.events) == (D2.value, tuple(events))
    assert read.digest == Digest.of(built.raw)


def test_the_bytes_are_canonical_and_say_what_the_design_says() -> None:
    built = LedgerEntry.build(
        0, None, "00" * 16, "2026-11-21T12:00:00Z", D1.value, [Event(PUSH, artifacts=(D2,))]
    )
    assert built.raw == canonical.dumps(json.loads(built.raw))
    assert json.loads(built.raw) == {
        "format": "urn:stemma:ledger-entry:v0.1",
        "n": 0,
        "previous": None,
        "nonce": "00" * 16,
        "time": "2026-11-21T12:00:00Z",
        "tree_root": D1.value,
        "events": [{"type": "push", "critical": True, "artifacts": [str(D2)]}],
    }


def test_an_event_lists_every_digest_it_refers_to() -> None:
    assert Event(PUSH, (D1,), (D2,), (D1,)).digests == (D1, D2, D1)
    assert Event(INIT).digests == ()


REFUSED: dict[str, Document] = {
    "an unknown format": document(format="urn:stemma:ledger-entry:v9"),
    "no format": document(format=None),
    "another number": document(n=2),
    "a negative number": document(n=-1),
    "a number as text": document(n="1"),
    "a truth value as number": document(n=True),
    "no number": document(n=None),
    "a short nonce": document(nonce="ab" * 15),
    "a nonce in capitals": document(nonce="AB" * 16),
    "a nonce with a newline": document(nonce="ab" * 16 + "\n"),
    "a nonce that is a number": document(nonce=12),
    "a time without zone": document(time="2026-11-21T12:00:00"),
    "a time that does not exist": document(time="2026-13-41T12:00:00Z"),
    "a time that is a number": document(time=1_700_000_000),
    "a short root": document(tree_root="ab"),
    "a root with its algorithm": document(tree_root=str(D2)),
    "a root in capitals": document(tree_root=D2.value.upper()),
    "no root": document(tree_root=None),
    "previous without algorithm": document(previous=D1.value),
    "previous by a weak digest": document(previous="md5:" + "0" * 32),
    "previous by a Git commit": document(previous="gitCommit:" + "0" * 40),
    "previous that is a number": document(previous=0),
    "no events": document(events=[]),
    "events that are null": document(events=None),
    "events that are text": document(events="push"),
    "events that are an object": document(events={"type": PUSH}),
    "an event that is text": document(events=["push"]),
    "an event that is a list": document(events=[[PUSH]]),
    "an event without type": document(events=[{"critical": False}]),
    "too many events": document(events=[{"type": PUSH, "critical": True}] * (MAX_EVENTS + 1)),
    "an unknown critical event": document(events=[{"type": "merge", "critical": True}]),
    "an unknown event that does not say": document(events=[{"type": "merge"}]),
    "an unknown event, critical null": document(events=[{"type": "merge", "critical": None}]),
    "an unknown event, critical 0": document(events=[{"type": "merge", "critical": 0}]),
    "an unknown event behind a known": document(
        events=[{"type": PUSH, "critical": True}, {"type": "merge", "critical": True}]
    ),
}
for _field in ("artifacts", "bundles", "keys"):
    for _what, _value in {
        "text": str(D1),
        "an object": {str(D1): 1},
        "null": None,
        "a number": 7,
        "not digests": ["deadbeef"],
        "no digests but numbers": [7],
        "in capitals": [f"sha256:{D1.value.upper()}"],
        "weak digests": ["md5:" + "0" * 32],
        "Git commits": ["gitCommit:" + "0" * 40],
        "longer digests, which no blob has": ["sha512:" + "0" * 128],
    }.items():
        REFUSED[f"{_field} that are {_what}"] = document(
            events=[{"type": PUSH, "critical": True, _field: _value}]
        )


@pytest.mark.parametrize("what", REFUSED)
def test_a_malformed_entry_is_refused(what: str) -> None:
    with pytest.raises(LedgerBroken) as caught:
        parse(REFUSED[what])
    assert "ledger entry 1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", sorted(document()))
def test_every_field_is_required(field: str) -> None:
    short = {name: value for name, value in document().items() if name != field}
    with pytest.raises(LedgerBroken):
        parse(short)


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "a space": lambda raw: raw.replace(b":", b": ", 1),
    "a newline behind it": lambda raw: raw + b"\n",
    "a second document": lambda raw: raw + raw,
    "a byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "a duplicate key": lambda raw: raw[:-1] + b',"n":1}',
    "keys in another order": lambda raw: json.dumps(
        dict(reversed(json.loads(raw).items())), separators=(",", ":")
    ).encode(),
    "an escaped letter": lambda raw: raw.replace(b"urn:", b"\\u0075rn:", 1),
    "a number as 1.0": lambda raw: raw.replace(b'"n":1', b'"n":1.0'),
    "a number as 1e0": lambda raw: raw.replace(b'"n":1', b'"n":1e0'),
    "cut in the middle": lambda raw: raw[: len(raw) // 2],
    "a byte less": lambda raw: raw[:-1],
    "nothing": lambda raw: b"",
    "null bytes": lambda raw: bytes(len(raw)),
    "not UTF-8": lambda raw: raw.replace(b"push", b"pus\xff"),
    "a list": lambda raw: b"[" + raw + b"]",
}


@pytest.mark.parametrize("change", BYTES)
def test_other_bytes_with_the_same_meaning_are_refused(change: str) -> None:
    raw = canonical.dumps(document())
    changed = BYTES[change](raw)
    assert changed != raw
    with pytest.raises(LedgerBroken):
        LedgerEntry.parse(changed, 1)


def test_an_entry_at_another_place_is_refused() -> None:
    raw = canonical.dumps(document())
    LedgerEntry.parse(raw, 1)
    for n in (0, 2, -1, 10**6):
        with pytest.raises(LedgerBroken, match=f"entry {n}"):
            LedgerEntry.parse(raw, n)


def test_what_needs_a_newer_version_says_so() -> None:
    for what in ("an unknown format", "an unknown critical event"):
        with pytest.raises(LedgerBroken, match="newer version of stemma"):
            parse(REFUSED[what])


def test_an_unknown_event_that_is_not_critical_is_passed_over_and_kept() -> None:
    unknown = {"type": "weather", "critical": False, "wind": 3, "bundles": [str(D1)]}
    entry = parse(document(events=[unknown, {"type": PUSH, "critical": True}]))
    assert [e.type for e in entry.events] == ["weather", PUSH]
    assert not entry.events[0].critical
    assert entry.events[0].bundles == (D1,)
    assert b'"wind":3' in entry.raw


def test_unknown_fields_survive() -> None:
    entry = parse(document(future={"a": [1, 2]}))
    assert b'"future":{"a":[1,2]}' in entry.raw


def test_building_refuses_what_parsing_would() -> None:
    good: dict[str, Any] = {
        "n": 1,
        "previous": D1,
        "nonce": "ab" * 16,
        "time": "2026-11-21T12:00:00Z",
        "tree_root": D2.value,
        "events": [Event(INIT)],
    }
    LedgerEntry.build(**good)
    for field, value in {
        "nonce": "short",
        "time": "now",
        "tree_root": "x",
        "events": [],
    }.items():
        with pytest.raises(LedgerBroken):
            LedgerEntry.build(**{**good, field: value})


def test_places_sort_as_numbers_do() -> None:
    assert entry_key(0) == "ledger/000/000/000000.json"
    assert entry_key(123) == "ledger/000/000/000123.json"
    assert entry_key(1_000_000) == "ledger/000/001/000000.json"
    numbers = [0, 9, 10, 999_999, 1_000_000, 10**9, 10**12 - 1]
    assert sorted(map(entry_key, reversed(numbers))) == [entry_key(n) for n in numbers]
