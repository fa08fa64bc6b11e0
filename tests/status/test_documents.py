"""The target files: the frozen ones are read for ever, and what breaks the format is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.trust import TrustRoot
from stemma_registry.status import judging
from stemma_registry.status.documents import BadFeed, Custody, FeedHead

FROZEN = Path(__file__).parent.parent / "fixtures" / "v0.1"
HEAD = (FROZEN / "feed" / "head-signed.json").read_bytes()
CUSTODY = (FROZEN / "feed" / "quarantines.json").read_bytes()
TRUST = TrustRoot.parse((FROZEN / "trust-root.yaml").read_bytes())


def test_the_frozen_head_is_read_and_written_again() -> None:
    head = FeedHead.parse(HEAD)
    assert (head.n, head.encode()) == (4, HEAD)
    assert head.checkpoint == (FROZEN / "bundles" / "checkpoint.ecdsa-p256.json").read_bytes()


def test_the_frozen_custody_is_read_written_and_judged() -> None:
    custody = Custody.parse(CUSTODY)
    assert custody.encode() == CUSTODY
    now = datetime(2026, 11, 21, 13, tzinfo=UTC)
    judged = judging.judge(custody, TRUST, {}, now)
    assert [said.action for said in judged.said] == ["quarantine", "release"]
    assert (judged.refused, judged.undecided) == (0, None)
    alone = Custody.of(custody.bundles[:1], custody.keys)
    assert len(judging.judge(alone, TRUST, {}, now).standing) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"format": "urn:stemma:feed-head:v0.2"},
        {"n": -1},
        {"n": True},
        {"n": "4"},
        {"entry": "md5:00"},
        {"entry": None},
        {"treeRoot": "zz"},
        {"treeRoot": 1},
        {"time": "now"},
        {"time": None},
        {"checkpoint": 1},
        {"checkpoint": "e30"},
        {"checkpoint": "e30=\n"},
        {"key": "*"},
    ],
)
def test_a_malformed_head(change: dict[str, Any]) -> None:
    with pytest.raises(BadFeed):
        FeedHead.parse(json.dumps({**json.loads(HEAD), **change}).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"format": "urn:stemma:feed-head:v0.1"},
        {"keys": None},
        {"keys": [1]},
        {"keys": ["e30"]},
        {"statements": {}},
        {"statements": ["e30="]},
        {"statements": [{}]},
        {"statements": [{"bundle": None}]},
    ],
)
def test_malformed_custody(change: dict[str, Any]) -> None:
    with pytest.raises(BadFeed):
        Custody.parse(json.dumps({**json.loads(CUSTODY), **change}).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"format":1,"format":2}', b"\xff", b"NaN"])
def test_what_is_no_document(raw: bytes) -> None:
    for parse in (FeedHead.parse, Custody.parse):
        with pytest.raises(BadFeed):
            parse(raw)


def test_junk_among_the_statements_is_passed_over() -> None:
    custody = Custody.parse(CUSTODY)
    junk = (b"", b"{}", custody.bundles[0][:-1], custody.bundles[0].replace(b"dsse", b"dssf"))
    mixed = Custody.of((*junk, *custody.bundles), (b"junk", *custody.keys))
    now = datetime(2026, 11, 21, 13, tzinfo=UTC)
    judged = judging.judge(Custody.parse(mixed.encode()), TRUST, {}, now)
    assert (judged.refused, len(judged.said)) == (len(junk), 2)
