"""Step 2: every difference between a tree and its manifest, each with its own reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import BytesDiffer
from stemma_attestations.observed import Observed, differences
from tests.attestations.scene import refusal, request, verdict_of
from tests.building import FILES, entries_of, examples, manifest_of


def without(*paths: str) -> dict[str, bytes]:
    return {path: data for path, data in FILES.items() if path not in paths}


CONFIG, README, WEIGHTS = "config.json", "README.md", "weights/model.safetensors"
FLIPPED = FILES[WEIGHTS][:-1] + b"S"


@pytest.mark.parametrize(
    ("observed", "oddities", "lines"),
    [
        pytest.param(
            {**FILES, WEIGHTS: FLIPPED}, (), [(WEIGHTS, "changed")], id="one byte changed"
        ),
        pytest.param(
            {**FILES, CONFIG: FILES[CONFIG] + b"\n"},
            (),
            [(CONFIG, "changed", "14 bytes expected, 15 found")],
            id="one byte longer",
        ),
        pytest.param({**FILES, CONFIG: b""}, (), [(CONFIG, "0 found")], id="emptied"),
        pytest.param(without(CONFIG), (), [(CONFIG, "missing")], id="removed"),
        pytest.param(
            {**FILES, "evil.py": b"import os"}, (), [("evil.py", "not in the manifest")], id="added"
        ),
        pytest.param(
            {**FILES, ".github/evil.py": b""},
            (),
            [(".github/evil.py", "not in the manifest")],
            id="added where others do not look",
        ),
        pytest.param(
            {**FILES, "copy.json": FILES[CONFIG]},
            (),
            [("copy.json", "not in the manifest")],
            id="copied",
        ),
        pytest.param(
            {**without(CONFIG), "Config.json": FILES[CONFIG]},
            (),
            [(CONFIG, "renamed to Config.json")],
            id="renamed by case",
        ),
        pytest.param(
            {**without(WEIGHTS), "model.safetensors": FILES[WEIGHTS]},
            (),
            [(WEIGHTS, "renamed to model.safetensors")],
            id="moved",
        ),
        pytest.param(
            {**without(CONFIG), "config.yaml": b"other"},
            (),
            [(CONFIG, "missing"), ("config.yaml", "not in the manifest")],
            id="replaced under another name",
        ),
        pytest.param(
            {**FILES, CONFIG: FILES[README], README: FILES[CONFIG]},
            (),
            [(CONFIG, "changed"), (README, "changed")],
            id="two swapped",
        ),
        pytest.param(
            without(CONFIG), ((CONFIG, "a symbolic link"),), [(CONFIG, "symbolic link")], id="link"
        ),
        pytest.param(
            FILES, (("more", "a symbolic link"),), [("more", "symbolic link")], id="a link more"
        ),
        pytest.param(
            without(CONFIG),
            ((CONFIG, "a directory"),),
            [(CONFIG, "directory")],
            id="a directory in its place",
        ),
        pytest.param(
            without(CONFIG),
            ((CONFIG, "cannot be read: Permission denied"),),
            [(CONFIG, "cannot be read")],
            id="unreadable",
        ),
        pytest.param(
            {},
            (),
            [(path, "missing") for path in FILES],
            id="nothing there",
        ),
        pytest.param(
            {"x": FILES[CONFIG], "y": FILES[README], "z": FILES[WEIGHTS]},
            (),
            [(CONFIG, "renamed to x"), (README, "renamed to y"), (WEIGHTS, "renamed to z")],
            id="everything renamed",
        ),
    ],
)
def test_each_difference_has_its_own_reason(
    observed: dict[str, bytes],
    oddities: tuple[tuple[str, str], ...],
    lines: list[tuple[str, ...]],
) -> None:
    seen = Observed(entries_of(observed), oddities)
    found = differences(manifest_of(FILES), seen)
    assert len(found) == len(lines)
    for path, *reasons in lines:
        (line,) = [line for line in found if line.startswith(f"{path}: ")]
        assert all(reason in line for reason in reasons)
    verdict, refused = verdict_of(request(observed=seen))
    assert refused is BytesDiffer
    (step,) = [step for step in verdict.steps if step.failure]
    assert (step.number, step.details) == (2, found)


def test_twins_are_matched_once() -> None:
    """Two files of the same bytes, both renamed: two renames, not one and a half."""
    manifest = manifest_of({"a": b"same", "b": b"same"})
    found = differences(manifest, Observed(entries_of({"x": b"same", "y": b"same"})))
    assert sorted(line.split(" to ")[0] for line in found) == ["a: renamed", "b: renamed"]
    assert sorted(line.split(" to ")[1] for line in found) == ["x", "y"]
    found = differences(manifest, Observed(entries_of({"x": b"same"})))
    assert len(found) == 2
    assert sorted(line.split(": ")[1].split(" ")[0] for line in found) == ["missing", "renamed"]


def test_the_order_of_what_was_observed_plays_no_part() -> None:
    for entries in (entries_of(FILES), entries_of(FILES)[::-1]):
        assert refusal(observed=Observed(entries)) is None


TREES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([b"", b"1", b"2"]), max_size=5)


@examples(300)
@given(TREES.filter(bool), TREES, st.dictionaries(st.sampled_from("abxy"), st.just("a link")))
def test_no_difference_only_where_there_is_none(
    expected: dict[str, bytes], found: dict[str, bytes], odd: dict[str, str]
) -> None:
    observed = {path: data for path, data in found.items() if path not in odd}
    lines = differences(manifest_of(expected), Observed(entries_of(observed), tuple(odd.items())))
    assert (not lines) is (observed == expected and not odd)
    text = "\n".join(lines)
    differing = {p for p in {*expected, *observed} if expected.get(p) != observed.get(p)}
    for path in differing | set(odd):
        # Every path that differs is named: at the start of a line or as what was renamed.
        assert f"{path}: " in text or f"renamed to {path}" in text
