"""The project's own cases: each is judged as its README says, by the runner and by the gate."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified, StemmaError
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.request import Evidence, Request, StatusView
from stemma_attestations.times import parse_time
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verify import verify
from tests.conformance.__main__ import main
from tests.conformance.generate import HERE, generate
from tests.conformance.running import one

ROOT = HERE.parents[1]
CASES = sorted(path for path in (HERE / "cases").iterdir())
QUESTION, BUNDLE = "case.json", "bundle.sigstore.json"
# Made at run time and measured in a process of their own; the rest of them are slow tests.
QUICK = ("10000-signatures_fail", "payload-of-100-mb_fail", "deep-payload_fail")
LARGE = [path for path in CASES if "make" in json.loads((path / QUESTION).read_bytes())]
SMALL = [path for path in CASES if path not in LARGE]
FORGED = [path for path in CASES if path.name.endswith("_fail")]


def named(path: Path) -> str:
    return path.name


def asked(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / QUESTION).read_bytes())
    return document


@contextmanager
def calls() -> Iterator[set[tuple[str, str]]]:
    """File and name of every function of ours that is called inside."""
    found: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            code = frame.f_code
            found.add((code.co_filename, code.co_qualname))

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


def check_of(folder: Path) -> tuple[str, str]:
    """The file and the function that a README names."""
    match = re.search(r"^Check: `([\w./-]+)::([\w.]+)`\.$", readme(folder), re.MULTILINE)
    assert match, f"{folder.name}: the README names no check"
    return match[1], match[2]


def readme(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def question(folder: Path) -> Request:
    """What the gate is asked, of a case with a trust root."""
    case = asked(folder)
    raw, trust = (
        (folder / BUNDLE).read_bytes(),
        TrustRoot.parse((folder / "trust.yaml").read_bytes()),
    )
    shared = case.get("trusted_root")
    roots = [(folder / shared).read_bytes()] if shared else []
    expected = Manifest.parse((folder / "artifact").read_bytes())
    return Request(
        resource=case["name"],
        name=NameVersion.parse(case["name"]),
        resolution=("given",),
        expected=expected,
        observed=Observed(expected.entries),
        evidence=[Evidence(Digest.of(raw), raw, None)],
        trust=trust,
        status=StatusView(1),
        now=parse_time(case["at"]),
        roots={Digest.of(root): root for root in roots},
    )


def by_the_gate(request: Request) -> bool:
    """Whether steps 3 and 4 of the gate's recipe pass: it asks with code of its own."""
    with pytest.raises(NotVerified) as caught:  # there is no provenance
        verify(request)
    if caught.value.verdict is None:  # it was not even decided
        raise caught.value
    return not any(step.failure for step in caught.value.verdict.steps if step.number in (3, 4))


# --- verdicts -------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", SMALL, ids=named)
def test_it_is_judged_as_it_says_and_by_the_check_it_names(folder: Path) -> None:
    forged = folder.name.endswith("_fail")
    with calls() as called:
        result = one(folder)
        gate = not forged
        if (folder / "trust.yaml").exists() and not list(folder.glob("bundle-*")):
            try:
                gate = by_the_gate(question(folder))
            except StemmaError as error:  # the trust root or the manifest is none
                gate = False
                assert forged, error
    assert result.wrong is None, str(result)
    assert "\n" not in result.detail
    assert gate == (not forged), "the gate says otherwise"
    if forged:
        path, function = check_of(folder)
        assert (str(ROOT / path), function) in called, "the check that it names was not asked"


@pytest.mark.parametrize("name", QUICK)
def test_much_of_one_thing_takes_little(name: str) -> None:
    result = one(HERE / "cases" / f"size-{name}")
    assert result.wrong is None, str(result)


@pytest.mark.slow
def test_the_runner_says_so_of_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(HERE / "cases")]) == 0
    assert capsys.readouterr().out == f"{len(CASES)} passed, 0 failed\n"


# --- what the folders say -------------------------------------------------------------------


def test_there_are_as_many_as_the_project_promises() -> None:
    near = [path for path in FORGED if path.name.startswith("identity-")]
    assert len(near) >= 30
    assert len(FORGED) >= 200
    assert {name.name for name in LARGE} >= {f"size-{name}" for name in QUICK}


@cache
def functions(path: str) -> frozenset[str]:
    """The functions of a file, those of classes by `Class.function`."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            inner = (part for part in node.body if isinstance(part, ast.FunctionDef))
            found |= {f"{node.name}.{part.name}" for part in inner}
    return frozenset(found)


@pytest.mark.parametrize("folder", CASES, ids=named)
def test_its_readme_says_what_was_done_and_what_refuses_it(folder: Path) -> None:
    text, case = readme(folder), asked(folder)
    assert text.startswith(f"# {folder.name}\n\n")
    assert 3 <= len(text.splitlines()) <= 12
    if folder in FORGED:
        assert case["expect"] == "fail"
        assert len(case["reason"]) >= 8, "too short to tell one refusal from another"
        assert f'Verdict: refused, with "{case["reason"]}".' in text
        path, function = check_of(folder)
        assert function in functions(path)
    else:
        assert case["expect"] == "pass"
        assert "reason" not in case
        assert text.endswith("\nVerdict: pass.\n")


@pytest.mark.parametrize("folder", FORGED, ids=named)
def test_it_is_its_twin_but_for_what_it_names(folder: Path) -> None:
    match = re.search(r"^Twin: `([\w.-]+)`; differs in (.+)\.$", readme(folder), re.MULTILINE)
    assert match, "no twin"
    twin, differs = folder.parent / match[1], set(re.findall(r"`([^`]+)`", match[2]))
    assert asked(twin)["expect"] == "pass"
    files = {path.name for path in folder.iterdir()} - {"README.md", QUESTION}
    assert files == {path.name for path in twin.iterdir()} - {"README.md", QUESTION}
    changed = {n for n in files if (folder / n).read_bytes() != (twin / n).read_bytes()}
    mine, theirs = ({**asked(one_), "expect": "", "reason": ""} for one_ in (folder, twin))
    assert changed | ({QUESTION} if mine != theirs else set()) == differs
    assert len(differs) == 1


# --- where they come from -------------------------------------------------------------------


def test_the_generator_writes_these_and_what_is_fresh_is_judged_alike(tmp_path: Path) -> None:
    """Cases of keys to the byte; those of the instance with other certificates and times."""
    generate(tmp_path)
    fresh = tmp_path / "cases"
    assert sorted(path.name for path in fresh.iterdir()) == [path.name for path in CASES]
    for folder in CASES:
        again = fresh / folder.name
        assert readme(again) == readme(folder)
        if "trusted_root" not in asked(folder):
            for path in folder.iterdir():
                assert (again / path.name).read_bytes() == path.read_bytes(), path
        else:
            assert {**asked(again), "at": ""} == {**asked(folder), "at": ""}
    for folder in CASES:
        if folder not in FORGED and folder not in LARGE:
            assert one(fresh / folder.name).wrong is None, folder.name
