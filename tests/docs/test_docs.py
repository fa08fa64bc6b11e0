"""The documentation does what it says: examples run, tables are the code's, links lead somewhere.

How examples are written is said in `console.py`.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from stemma_attestations.relations import BUILDS, KINDS, RELATIONS
from stemma_cli import exits
from stemma_cli.main import COMMANDS, stemma
from tests.architecture import rules
from tests.docs.console import ROOT, WIDTH, Command, Digests, File, Ran, examples, play
from tests.once import Once

DOCS = ROOT / "docs"
CLI = DOCS / "cli.md"
PLAYED = [
    *(ROOT / "README.md", CLI, DOCS / "deploy.md", DOCS / "incident.md"),
    *sorted((DOCS / "howto").glob("*.md")),
]
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TYPES = {
    "text": str,
    "number": int,
    "fraction": float,
    "bool": bool,
    "list": list,
    "object": dict,
    "null": type(None),
}

Played = Callable[[Path], tuple[tuple[Ran, str | None], ...]]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def played(once: Once) -> Played:
    """Every command of a page, run, and what its output should have been instead."""

    def run(page: Path) -> tuple[tuple[Ran, str | None], ...]:
        digests = Digests()
        return tuple(
            (ran, digests.matches(ran.command.expected, ran.lines)) for ran in play(page, digests)
        )

    return lambda page: once.make(f"the page {name_of(page)}", lambda: run(page))


@pytest.mark.parametrize("page", PLAYED, ids=name_of)
def test_the_examples_print_what_the_page_says(page: Path, played: Played) -> None:
    done = played(page)
    assert len(done) >= 10
    complaints = [
        f"line {ran.command.first}: $ {ran.command.text}\n  {problem}"
        for ran, problem in done
        if problem
    ]
    following = [ran.command.text for ran, _ in done[1:]] + [""]
    complaints += [
        f"line {ran.command.first}: $ {ran.command.text}\n  ended with {ran.code}, unsaid"
        for (ran, _), after in zip(done, following, strict=True)
        if ran.code and after != "echo $?"
    ]
    assert not complaints, "\n".join(["", *complaints])


@pytest.mark.parametrize("page", PLAYED, ids=name_of)
def test_the_examples_fit_a_terminal(page: Path) -> None:
    for example in examples(page):
        shown = example.text.splitlines()
        if isinstance(example, Command):
            shown = [f"$ {line}" for line in shown] + list(example.expected)
        assert [line for line in shown if len(line) > WIDTH] == []


# --- the page of the command line -----------------------------------------------------------


def sections() -> dict[str, str]:
    """Heading -> text, of the second level."""
    parts = re.split(r"^## +(.+)$", CLI.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str, *header: str) -> list[list[str]]:
    """The rows of all tables with that header."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if cells == list(header):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|--"):
            found.append(cells)
    return found


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def params(name: str) -> list[click.Parameter]:
    """The parameters of a command, or of all commands of a group."""
    command = stemma.get_command(click.Context(stemma), name)
    assert command is not None
    commands = command.commands.values() if isinstance(command, click.Group) else [command]
    return [param for one in commands for param in one.params]


def options(found: list[click.Parameter]) -> set[str]:
    named = [o for p in found if isinstance(p, click.Option) for o in (*p.opts, *p.secondary_opts)]
    return {option for option in named if option.startswith("--")}


def documented_options(text: str) -> set[str]:
    cells = [row[0] for row in rows(text, "option", "is")]
    return {option for cell in cells for option in re.findall(r"--[a-z-]+", cell)}


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    said = {int(code): text for code, text in rows(sections()["Exit codes"], "code", "meaning")}
    assert said == exits.MEANING


def test_every_command_has_its_section_in_the_order_of_help() -> None:
    assert list(sections())[2:] == list(COMMANDS)


def test_the_options_that_all_share() -> None:
    shared = documented_options(sections()["What every command shares"])
    assert shared == options(stemma.params) | {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_is_documented_and_no_other(name: str) -> None:
    text = sections()[name]
    assert documented_options(text) == options(params(name)) - {"--json"}
    for param in params(name):
        if isinstance(param, click.Argument):
            metavar = param.metavar or param.human_readable_name.upper()
            assert all(f" {word}" in text for word in metavar.split("|"))
        elif param.required:
            row = next(r for r in rows(text, "option", "is") if param.opts[0] in r[0])
            assert "required" in row[1]


def test_the_words_that_push_takes_are_those_of_the_code() -> None:
    text = sections()["push"]
    table = {row[0].split()[0].strip("`"): code_spans(row[1]) for row in rows(text, "option", "is")}
    assert table["--kind"] == list(KINDS)
    assert tuple(dict.fromkeys(table["--build-type"])) == BUILDS
    listed = text[text.index("Relations:") : text.index("They are explained")]
    assert code_spans(listed) == list(RELATIONS)


def fields(text: str) -> dict[str, set[str]]:
    """Path of a field -> the types it may have."""
    return {
        path: set(types.split(" or "))
        for cell, types, _ in rows(text, "field", "type", "is")
        for path in code_spans(cell)
    }


def found_in(value: Any, known: dict[str, set[str]], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a document with its value; none inside a `document` or a `map`."""
    types = known.get(path, set())
    if path and (types or not isinstance(value, dict | list)):
        yield path, value
    if types & {"document", "map"}:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from found_in(item, known, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and not ("list" in types and not any(map(is_deep, value))):
        for item in value:
            yield from found_in(item, known, f"{path}[]")


def is_deep(value: Any) -> bool:
    return isinstance(value, dict | list)


def has_type(value: Any, types: set[str]) -> bool:
    if types & {"document", "map"}:
        return True
    return any(type(value) is TYPES[name] for name in types)


def printed_documents(done: Iterable[tuple[Ran, str | None]]) -> Iterator[tuple[str, Any]]:
    """Section and document of every example with --json."""
    for ran, _ in done:
        text = re.sub(r"\$\(.*?\)", "", ran.command.text)
        if "--json" in text and not re.search(r"[|>]", text):
            document = json.loads("\n".join(ran.lines))
            is_error = isinstance(document, dict) and list(document) == ["error"]
            yield "Exit codes" if is_error else ran.command.section, document


@pytest.mark.parametrize("name", ["Exit codes", *(n for n in COMMANDS if n != "bom")])
def test_every_field_that_is_printed_is_documented_and_no_other(name: str, played: Played) -> None:
    known = fields(sections()[name])
    printed = [
        item
        for section, doc in printed_documents(played(CLI))
        if section == name
        for item in found_in(doc, known)
    ]
    assert {path for path, _ in printed} == set(known)
    assert [(path, value) for path, value in printed if not has_type(value, known[path])] == []


# --- all pages ------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that headings make."""
    text = re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    roots = r"(?:attestations|registry|migrations|cli|tests|docs|examples|benchmarks|stemma_\w+)/"
    for span in code_spans(page.read_text(encoding="utf-8")):
        if re.fullmatch(rf"{roots}[\w./-]*(?:::\w+)?", span) and not span.startswith(
            "registry/blobs/sha"
        ):
            path, _, test = span.partition("::")
            folders = [
                ROOT,
                *(ROOT / name for name in ("attestations", "registry", "migrations", "cli")),
            ]
            found = next((f / path for f in folders if (f / path).exists()), None)
            assert found is not None, span
            assert not test or f"def {test}(" in found.read_text(encoding="utf-8"), span


def table_of(page: str, *header: str) -> list[list[str]]:
    return rows((DOCS / page).read_text(encoding="utf-8"), *header)


def test_the_table_of_imports_is_that_of_the_rules() -> None:
    said = {
        code_spans(package)[0]: tuple(code_spans(may))
        for package, may, _ in table_of("architecture.md", "package", "may import", "and never")
    }
    assert said == rules.MAY_IMPORT


def test_every_promise_names_the_tests_that_try_to_break_it() -> None:
    promises = table_of("threat-model.md", "promise", "held by", "tried by")
    assert [row[0].split()[0] for row in promises] == [f"P{n}" for n in range(1, 9)]
    attacks = table_of("threat-model.md", "attack", "answer", "test")
    for row in [*promises, *attacks]:
        assert code_spans(row[-1])
        for span in code_spans(row[-1]):
            text = (ROOT / span).read_text(encoding="utf-8")
            assert re.search(r"^(def test_|Test\w+ = )", text, re.MULTILINE), span


def test_every_forgery_names_the_cases_that_show_it_and_every_case_has_its_place() -> None:
    forged = {path.name for path in (ROOT / "tests/conformance/cases").glob("*_fail")}
    shown: set[str] = set()
    for *_, cell in table_of("threat-model.md", "forgery", "what refuses it", "shown by"):
        assert code_spans(cell)
        for span in code_spans(cell):
            if not span.startswith("tests/"):  # those are checked with all other files
                found = set(fnmatch.filter(forged, span))
                assert found, span
                shown |= found
    assert forged - shown == set()


def test_the_index_lists_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", (DOCS / "README.md").read_text(encoding="utf-8")))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    below = {name for name in pages if name.startswith(("formats/", "decisions/"))}
    assert pages - below - {"README.md"} <= linked
    assert {"formats/README.md", "decisions/README.md"} <= linked


def test_every_decision_is_listed_and_keeps_its_losing_options() -> None:
    folder = DOCS / "decisions"
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert listed == sorted(path.name for path in folder.glob("0*.md"))
    assert [name[:4] for name in listed] == [f"{n:04}" for n in range(1, len(listed) + 1)]
    for name in listed:
        headings = re.findall(r"^## (.+)$", (folder / name).read_text("utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Losing options", "Consequences"], name


# --- the checks above can fail --------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["a"], False),
        (["a"], ["a", "b"], False),
        (["a", "...", "c"], ["a", "b", "b", "c"], True),
        (["a", "...", "c"], ["a", "c"], True),
        (["a", "...", "c"], ["a", "c", "d"], False),
        (["a", "...", "b", "...", "c"], ["a", "c", "b", "c"], True),
        (["a", "...", "b", "...", "c"], ["a", "c", "c"], False),
        (["x [..] y"], ["x 1 2 y"], True),
        (["x [..] y"], ["x 1 2 z"], False),
        (["at 2026-01-01T00:00:00Z"], ["at 2027-02-03T04:05:06Z"], True),
        (["at 2026-01-01T00:00:00Z"], ["at noon"], False),
        (["by 0123456789ab"], ["by ab0123456789"], True),
        (["by 0123456789ab"], ["by ab01234567890"], False),
        (["by 0123456789ab", "by 0123456789ab"], ["by 0123456789ab", "by ab0123456789"], False),
    ],
)
def test_outputs_are_compared(expected: list[str], printed: list[str], same: bool) -> None:
    assert (Digests().matches(expected, printed) is None) == same


def test_a_page_is_run_in_one_shell_from_top_to_bottom(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n```sh go.sh\necho from a file\n```\n## Below\n```console\n"
        "$ cd .. && mkdir -p other && cd other && export WHO=ada\n$ echo $WHO\nbob\n"
        "$ false\n$ echo $?\n1\n$ sh ~/work/go.sh\n$ cat <<X\n> two\n> lines\n> X\n"
        "$ stemma --version 2>&1 | cut -c1-6\n$ stemma nonsense 2>/dev/null\n```\n"
    )
    assert [type(example) for example in examples(page)].count(File) == 1
    done = list(play(page))
    assert [ran.lines for ran in done[1:]] == [
        ("ada",),
        (),
        ("1",),
        ("from a file",),
        ("two", "lines"),
        ("stemma",),
        (),
    ]
    assert [ran.code for ran in done] == [0, 0, 1, 0, 0, 0, 0, 2]
    assert {ran.command.section for ran in done} == {"Below"}
    assert Digests().matches(done[1].command.expected, done[1].lines) is not None


def test_fields_are_found_wherever_they_are() -> None:
    known = {"a": {"text"}, "b[].c": {"number"}, "b[].d": {"list"}, "m": {"map"}}
    document = {"a": "x", "b": [{"c": 1, "d": ["y"]}, {"c": None, "d": []}], "m": {"k": 1}, "n": 2}
    found = list(found_in(document, known))
    assert {path for path, _ in found} == {"a", "b[].c", "b[].d", "m", "n"}
    assert [p for p, v in found if p in known and not has_type(v, known[p])] == ["b[].c"]
