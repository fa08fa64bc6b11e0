"""Near matches: MinHash that keeps its word, in an index that names nobody who is not near."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_registry import config
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.care.audit import audit
from stemma_registry.care.collect import Collector
from stemma_registry.care.erase import erase, preview
from stemma_registry.errors import Refused
from stemma_registry.records import attaching, canonical, keys, near, near_search
from stemma_registry.records.answers import Answer, Near
from stemma_registry.records.children import Children, children
from stemma_registry.records.readers import Form, Reader
from tests.records.scene import indexed, question
from tests.records.writing import WRITERS
from tests.world import World

PAGE = Path(__file__).parents[2] / "docs/formats/record-index.md"
SEEDS = near.Seeds.of(keys.NO_KEY.block)
BAD = (
    "Please wire the total of this invoice to the new account before Friday, "
    "and do not tell anybody in the finance team about it until it is done."
)
CASE = BAD.upper()
SPACE = f"  {BAD}\t".replace(" ", "\n  ")
EDITED = BAD.replace("Friday", "Monday")
OTHER = "The weather of the coming week is going to be mild, with some rain on the coast."


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def lines(*texts: str) -> bytes:
    rows = [{"id": number, "text": text} for number, text in enumerate(texts, 1)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def near_indexed(
    world: World, name: str, data: bytes, mode: str = attaching.PUBLIC, exact: bool = True
) -> None:
    """Push a dataset, index its records (if `exact`) and their text for near matches.

    Publicly, since what is found of what is nearly the same depends on the key.
    """
    with children() as readers:
        _near_indexed(world, name, data, mode, exact, readers)


def _near_indexed(
    world: World, name: str, data: bytes, mode: str, exact: bool, readers: Children
) -> None:
    if exact:
        done = indexed(world, name, {"x.jsonl": data}, mode=mode, readers=readers)
        assert done.note is None
    else:
        world.push(name, {"x.jsonl": data})
    wanted = attaching.wish(world.registry, world.trust, world.now, mode, ["text"], near=True)
    owner = world.signer("owner")
    done = attaching.index(
        world.registry, world.trust, owner, name, wanted, world.now, None, readers
    )
    assert (done.note, done.near, done.fields) == (None, True, ("text",))


def ask(
    world: World, rows: Sequence[dict[str, Any]], threshold: float = 0.8, fields: Any = None
) -> tuple[Answer, Near]:
    source = question(world.folder, rows)
    with world.view() as view:
        return near_search.search(world.registry, view, source, fields, threshold)


def found(nearly: Near) -> dict[str, list[tuple[str, int]]]:
    return {
        dataset.label: [(match.path, match.row) for match in dataset.matches]
        for dataset in nearly.found
    }


def test_planted_near_duplicates_are_found_and_nothing_else(world: World) -> None:
    near_indexed(world, "data/a:1", lines(OTHER, BAD, CASE, OTHER, SPACE, EDITED))
    near_indexed(world, "data/b:1", lines(OTHER, OTHER + " More."))
    indexed(world, "data/c:1", {"y.jsonl": lines(EDITED)})
    world.push("models/m:1", None, "trained-on=data/a:1", kind="model")
    answer, nearly = ask(world, [{"id": 2, "text": BAD}])
    # The very same is an exact match and no near one; the others are near, and not exact.
    assert [match.rows for one in answer.found for match in one.matches] == [(2,)]
    assert sorted(found(nearly)["data/a:1"]) == [("x.jsonl", 3), ("x.jsonl", 5), ("x.jsonl", 6)]
    assert list(found(nearly)) == ["data/a:1"]
    matches = nearly.found[0].matches
    assert all(match.checked for match in matches)
    assert [round(match.similarity, 2) for match in matches[:2]] == [1.0, 1.0]
    assert 0.8 <= matches[2].similarity < 1
    assert matches[2].row == 6
    assert "models/m:1" in {node.label for node in nearly.found[0].downstream.nodes.values()}
    assert [(one.label, one.reason) for one in nearly.unsearched] == [
        ("data/c:1", near_search.NONE)
    ]
    assert answer.unsearched == ()  # a near index is not missed by a question about records


def test_what_is_asked_only_nearly_has_no_exact_match(world: World) -> None:
    near_indexed(world, "data/a:1", lines(OTHER, BAD))
    answer, nearly = ask(world, [{"id": 77, "text": BAD}])
    assert answer.found == ()
    assert [match.similarity for match in nearly.found[0].matches] == [1.0]
    answer, nearly = ask(world, [{"text": BAD}], fields=["text"])
    assert nearly.found == ()  # by its text alone it is the very same
    with world.view() as view, pytest.raises(Refused, match=r"0\.5 to 1"):
        near_search.search(world.registry, view, world.folder / "question.jsonl", None, 0.4)


def test_a_threshold_holds(world: World) -> None:
    near_indexed(world, "data/a:1", lines(EDITED, BAD[:-20] + "by now"), exact=False)
    asked = [{"id": 9, "text": BAD}]
    said = [match for one in ask(world, asked, 0.5)[1].found for match in one.matches]
    assert [match.row for match in said] == [1, 2]
    assert said[0].similarity > said[1].similarity
    middle = (said[0].similarity + said[1].similarity) / 2
    assert found(ask(world, asked, middle)[1]) == {"data/a:1": [("x.jsonl", 1)]}
    assert ask(world, asked, 1.0)[1].found == ()


def test_keyed_and_public_indexes_share_nothing_and_both_answer(world: World) -> None:
    near_indexed(world, "data/k:1", lines(CASE), attaching.KEYED, exact=False)
    near_indexed(world, "data/p:1", lines(CASE, OTHER), exact=False)
    assert sorted(found(ask(world, [{"id": 9, "text": BAD}])[1])) == ["data/k:1", "data/p:1"]
    text = [near.text(canonical.record({"text": BAD}))]
    secret = near.Seeds.of(keys.held(world.home)[0].block)
    public, keyed = (set(near.bands(text, seeds)[1].ravel()) for seeds in (SEEDS, secret))
    assert not public & keyed
    world.home.record_key.unlink()
    nearly = ask(world, [{"id": 9, "text": BAD}])[1]
    assert sorted(found(nearly)) == ["data/p:1"]
    assert "record key" in nearly.unsearched[0].reason


def test_where_the_bytes_are_gone_it_is_estimated_and_said(world: World) -> None:
    near_indexed(world, "data/a:1", lines(OTHER, EDITED, BAD))
    world.store.delete(put_bytes(world.store, lines(OTHER, EDITED, BAD)))
    answer, nearly = ask(world, [{"id": 3, "text": BAD}], 0.5)
    assert [match.rows for one in answer.found for match in one.matches] == [(3,)]
    (match,) = nearly.found[0].matches
    assert (match.row, match.checked) == (2, False)
    assert 0.5 <= match.similarity <= 1


def test_limits_are_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    near_indexed(world, "data/a:1", lines(*[CASE] * 30), exact=False)
    small = dataclasses.replace(config.LIMITS, record_near_places=5, record_near_asked=1)
    monkeypatch.setattr(near_search, "LIMITS", small)
    nearly = ask(world, [{"id": 99, "text": BAD}])[1]
    assert len(nearly.found[0].matches) == 5
    assert nearly.unsearched[0].reason == "x.jsonl: only 5 of 30 pairs were looked at"
    with pytest.raises(Refused, match="more than 1 records"):
        ask(world, [{"text": BAD}, {"text": OTHER}])


def test_it_survives_a_rebuild_is_made_once_and_erased_with_its_file(world: World) -> None:
    near_indexed(world, "data/a:1", lines(EDITED))
    wanted = attaching.wish(
        world.registry, world.trust, world.now, attaching.PUBLIC, ["text"], near=True
    )
    owner, asked = world.signer("owner"), [{"id": 9, "text": BAD}]
    again = attaching.index(world.registry, world.trust, owner, "data/a:1", wanted, world.now)
    assert again.entry is None
    world.rebuild()
    assert list(found(ask(world, asked)[1])) == ["data/a:1"]
    with world.view() as view:
        seen = preview(world.registry, view, "data/a:1", "x.jsonl", owner)
    assert len(seen.runs) == 4  # a filter and hashes of each index
    erase(Collector(world.registry, world.trust, owner, world.now), seen, "personal data")
    assert ask(world, asked)[1].found == ()
    assert audit(world.store, world.home, world.trust, read_data=True).findings == []
    with pytest.raises(Refused, match="name those that hold the text"):
        attaching.wish(world.registry, world.trust, world.now, attaching.KEYED, None, near=True)


def test_short_texts_have_no_near_index(world: World) -> None:
    world.push("data/a:1", {"x.jsonl": lines("short", "tiny")})
    wanted = attaching.wish(
        world.registry, world.trust, world.now, attaching.PUBLIC, ["text"], near=True
    )
    owner = world.signer("owner")
    done = attaching.index(world.registry, world.trust, owner, "data/a:1", wanted, world.now)
    assert done.skipped == (("x.jsonl", "it has no text that is long enough"),)


_ROW = st.fixed_dictionaries(
    {"id": st.integers(0, 99), "text": st.text("ab \u00e9\u1e9e,", max_size=60)}
)


@settings(max_examples=15, deadline=None)
@given(st.lists(_ROW, min_size=1, max_size=6))
def test_the_same_record_has_the_same_bands_whatever_the_format(rows: list[dict[str, Any]]) -> None:
    made = {}
    for name in ("a.parquet", "h.jsonl.zst", "l.csv.gz", "e.arrow"):
        data, form = WRITERS[name](rows), Form.of(name)
        assert form is not None
        reader = Reader(io.BytesIO(data), len(data), form, ["text"])
        texts = [near.text(m) for chunk in reader.chunks() for m in chunk.messages]
        made[name] = [list(map(int, one)) for one in near.bands(texts, SEEDS)[1]]
    assert len({json.dumps(bands) for bands in made.values()}) == 1


@given(
    st.dictionaries(st.text(max_size=9), st.none() | st.text(max_size=40) | st.integers()),
    st.sets(st.text(max_size=3)),
)
def test_the_fields_of_a_canonical_record_are_read_back(
    row: dict[str, Any], more: set[str]
) -> None:
    fields = {canonical.normal(name) for name in [*list(row)[::2], *more]}
    reduced = canonical.record(row, fields)
    assert near.text(canonical.record(row), fields) == near.text(reduced)
    assert b"".join(canonical.piece(a) + canonical.piece(b) for a, b in near.pieces(reduced)) == (
        reduced
    )


def test_minhash_estimates_as_well_as_it_should() -> None:
    import numpy as np

    rng, errors, hits, expected = random.Random(3), [], 0, 0.0
    words = [rng.randbytes(4).hex() for _ in range(2_000)]
    for _ in range(150):
        one = rng.choices(words, k=38)
        other = [word if rng.random() < 0.9 else rng.choice(words) for word in one]
        pair = [" ".join(some).encode() for some in (one, other)]
        least = near.minima(pair, SEEDS)
        true = near.similarity(*map(near.shingles, pair))
        errors.append(float((least[0] == least[1]).mean()) - true)
        (_, bands) = near.bands(pair, SEEDS)
        hits += int((bands[0] == bands[1]).any())
        expected += 1 - (1 - true**near.ROWS) ** near.BANDS
    # The deviation of 80 permutations is 0.056 at most; that of 150 of them together 0.005.
    assert abs(float(np.mean(errors))) < 0.02
    assert float(np.std(errors)) < 0.07
    assert abs(hits - expected) < 12  # of the table of the page, three deviations


def test_texts_are_taken_together_or_alone_with_the_same_bands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [b"x" * size for size in (0, 7, 8, 9, 300)] + [BAD.encode(), OTHER.encode()]
    places, together = near.bands(texts, SEEDS)
    assert list(places) == [2, 3, 4, 5, 6]
    monkeypatch.setattr(near, "_AT_ONCE", 1)
    assert (near.bands(texts, SEEDS)[1] == together).all()
    for place, expected in zip(places, together, strict=True):
        assert (near.bands([texts[place]], SEEDS)[1][0] == expected).all()


def test_a_long_text_is_cut_at_a_character() -> None:
    long = canonical.record({"text": "x" + "\u00e9" * near.MAX_TEXT})
    assert near.text(long) == ("x" + "\u00e9" * (near.MAX_TEXT // 2 - 1)).encode()


def test_the_vectors_of_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`{]*)` \| `(\{.*\})` \| `([0-9a-f]{16})` \|$", page, re.MULTILINE)
    assert len(rows) >= 4
    for text, record, band in rows:
        assert near.text(canonical.record(canonical.load(record))) == text.encode()
        assert int(near.bands([text.encode()], SEEDS)[1][0, 0]) == int(band, 16)
