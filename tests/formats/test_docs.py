"""docs/formats/format-scan.md says what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stemma_attestations.predicates import test_result as results
from stemma_registry.formats import report
from stemma_registry.formats.findings import BOUNDS, MAX_FINDINGS, RULES, Severity

PAGE = (Path(__file__).parents[2] / "docs/formats/format-scan.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())


def test_the_rules() -> None:
    words = "|".join(Severity)
    said = re.findall(rf"^\| `([a-z0-9-]+)` \| ({words}) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {rule: (Severity(severity), text) for rule, severity, text in said} == dict(RULES)
    assert all(f"| `{severity}` |" in PAGE for severity in Severity)
    assert f"`{report.FORMAT}`" in PAGE


def test_the_bounds() -> None:
    assert f"{BOUNDS.depth} containers deep, {BOUNDS.members:,} members" in WORDS
    assert f"{BOUNDS.opcodes:,} opcodes" in WORDS
    assert f"{BOUNDS.values:,} values at once, {BOUNDS.pickles:,} pickles" in WORDS
    assert f"{BOUNDS.expanded >> 30} GiB that come out" in WORDS
    assert f"{BOUNDS.ratio:,} bytes for each (beyond {BOUNDS.ratio_floor >> 20} MiB)" in WORDS
    assert f"{BOUNDS.searched >> 30} GiB that are searched" in WORDS
    assert f"{BOUNDS.directory >> 20} MiB of an archive's directory" in WORDS
    assert f"at most {MAX_FINDINGS} findings" in WORDS


def test_the_example_is_read() -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    read = results.parse(json.loads(block))
    assert (read.result, read.configuration[0].uri) == ("PASSED", report.FORMAT)
