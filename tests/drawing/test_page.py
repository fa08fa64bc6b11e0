"""The page in a real browser: what people see and do; no complaint, and no request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stemma_registry.drawing.page import page
from stemma_registry.lineage.trace import Direction, Trace
from tests.browser import Browser, opened
from tests.drawing.making import HOSTILE, heavy, hostile
from tests.programs import require_program

Open = Callable[..., Browser]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = require_program("chromium")
    with opened(program, tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a trace's page; afterwards nothing may have complained, or asked for anything."""

    def call(trace: Trace, *arguments: object) -> Browser:
        file = tmp_path / "trace.html"
        file.write_text(page(trace, *arguments), encoding="utf-8")  # type: ignore[arg-type]
        browser.look(1440, 900)
        browser.open(file)
        return browser

    yield call
    assert not browser.complaints
    assert not browser.asked_elsewhere()
    assert [url for url in browser.requests if url.startswith("file:")]


def count(browser: Browser, selector: str) -> int:
    found: int = browser.run(f"document.querySelectorAll({selector!r}).length")
    return found


def heading(browser: Browser) -> str:
    text: str = browser.run("document.querySelector('aside h2').textContent")
    return text


def test_everything_is_there(show: Open) -> None:
    trace = heavy(300)
    seen = show(trace)
    assert count(seen, ".boxes .node") == 300
    pairs = {(edge.input, edge.output) for edge in trace.edges}
    assert count(seen, ".lines > path") == len(pairs)
    stopped = sum(node.quarantined for node in trace.nodes.values())
    running = sum(bool(node.deployed) for node in trace.nodes.values())
    assert count(seen, ".marks .mark.stop") == stopped
    assert count(seen, ".marks .mark.runs") == running
    said = seen.run("document.getElementById('summary').textContent")
    parts = ("299 nodes downstream", f"{running} deployed", f"{stopped} quarantined")
    assert said == f"{', '.join(parts)}, as of ledger entry 4711"
    assert heading(seen) == "299 results"
    assert seen.run("document.body.scrollWidth") <= 1440, "nothing hangs over"
    assert seen.picture().startswith(b"\x89PNG")


def test_a_click_lights_the_way_and_shows_the_evidence(show: Open) -> None:
    trace = heavy(20)
    seen = show(trace)
    number, node = next((i, n) for i, n in enumerate(trace.nodes.values()) if n.depth == 2)
    seen.click(f".boxes [data-node='{number}'] .box")
    assert heading(seen) == node.label
    assert count(seen, ".line.best") == 2
    assert count(seen, ".way > li") == 3
    assert count(seen, ".way > li > .evidence") == 2
    words = [edge.words[0] for edge in trace.edges if edge.output == node.id]
    text = seen.run("document.querySelector('.way').textContent")
    assert any(str(word.fact.bundle) in text and word.signer in text for word in words)
    assert "2026-03-01T03:00:00Z" in text
    seen.click("#close")
    assert heading(seen) == "19 results"
    assert count(seen, ".line.best") == 0


def test_keys_are_enough(show: Open) -> None:
    trace = heavy(20)
    seen = show(trace)
    seen.run("document.getElementById('graph').focus()")
    seen.press("ArrowRight")
    assert heading(seen) == trace.nodes[1].label
    seen.press("ArrowRight")
    first = heading(seen)
    assert first != trace.nodes[1].label
    seen.press("ArrowDown")
    assert heading(seen) not in (first, trace.nodes[1].label)
    seen.press("Enter")
    assert seen.run("document.activeElement.tagName") == "H2"
    seen.press("Escape")
    assert heading(seen) == "19 results"
    seen.press("/")
    assert seen.run("document.activeElement.id") == "find"
    wanted = trace.nodes[13].label
    for key in wanted:
        seen.press(key)
    assert heading(seen) == "1 result"
    assert seen.run("document.getElementById('counts').textContent") == "Filtered: 1 of 20 nodes"
    seen.press("Enter")
    assert heading(seen) == wanted
    before = seen.run("document.querySelector('#graph > g').getAttribute('transform')")
    seen.run("document.getElementById('graph').focus()")
    seen.press("+")
    assert seen.run("document.querySelector('#graph > g').getAttribute('transform')") != before
    seen.press("0")


def test_filters_follow_what_is_left(show: Open) -> None:
    trace = heavy(300)
    seen = show(trace)

    def uncheck(name: str, value: str) -> None:
        seen.run(
            f"[...document.querySelectorAll('#{name} label')].find("
            f"(one) => one.textContent.startsWith({value!r})).querySelector('input').click()"
        )
        seen.settle()

    def state(value: str) -> None:
        seen.run(
            f"(() => {{ const s = document.getElementById('state'); s.value = {value!r};"
            " s.dispatchEvent(new Event('change')); })()"
        )

    def results() -> int:
        return int(heading(seen).split()[0])

    for value in ("signed", "claimed"):
        uncheck("assurance", value)
    attested = {1}
    for edge in trace.edges:  # parents are numbered below their children
        passes = edge.input in attested and trace.nodes[edge.input].kind != "evaluation"
        if passes and edge.assurance == "attested":
            attested.add(edge.output)
    assert results() == len(attested) - 1 < 299
    seen.click("#all")
    assert results() == 299
    models = sum(node.kind == "model" for node in trace.nodes.values())
    uncheck("kind", "model")
    assert results() == 299 - models
    seen.click("#all")
    staged = [n for n in trace.nodes.values() if any(d.spot.stage == "prod" for d in n.deployed)]
    state("stage:prod")
    assert results() == len(staged) > 0
    state("carried")
    assert 0 < results() < len(attested) - 1, "evaluations carry nothing"
    state("stage:prod")
    assert count(seen, ".boxes .node.off") < 300 - len(staged), "the ways stay"


def test_hostile_names_are_text(show: Open) -> None:
    seen = show(hostile())
    assert seen.run("document.title") == f"Trace of {HOSTILE[0]}"
    assert count(seen, "img, a[href^=javascript], iframe") == 0
    assert count(seen, "script") == 2
    for number in range(len(HOSTILE) + 1):
        seen.run(
            f"document.querySelector('.boxes [data-node=\"{number}\"]')"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        assert seen.run("document.title") == f"Trace of {HOSTILE[0]}"
    assert count(seen, "img, iframe") == 0


def test_the_policy_forbids_what_the_script_would_ask_for(show: Open) -> None:
    seen = show(heavy(20))
    seen.run("new Image().src = 'http://127.0.0.1:9/x.png'")
    seen.run("fetch('http://127.0.0.1:9/x').catch(() => 1)")
    seen.settle()
    refused = [one for one in seen.complaints if "Content Security Policy" in one]
    assert len(refused) >= 2, seen.complaints
    assert seen.blocked == ["csp"] * len(seen.asked_elsewhere())
    seen.complaints.clear()
    seen.requests[:] = [url for url in seen.requests if url.startswith("file:")]


def test_upstream_and_ways_between_two(show: Open) -> None:
    up = heavy(40, direction=Direction.UP)
    seen = show(up)
    left = "document.querySelector('.boxes [data-node=\"%d\"]').getBoundingClientRect().x"
    assert seen.run(left % 0) > seen.run(left % 1), "the start is at the right"
    trace = heavy(20)
    path = [next(edge for edge in trace.edges if edge.input == 1)]
    seen = show(trace, [path])
    assert heading(seen) == trace.nodes[path[0].output].label


def test_two_thousand_nodes_stay_readable(show: Open) -> None:
    seen = show(heavy(2_000))
    assert count(seen, ".boxes .node") == 2_000
    assert 10 < count(seen, ".labels text") <= 45
    boxes = seen.run(
        "[...document.querySelectorAll('.labels rect')].map((one) => "
        "[...['x', 'y', 'width', 'height']].map((name) => Number(one.getAttribute(name))))"
    )
    for i, (x, y, wide, high) in enumerate(boxes):
        for right, below, width, tall in boxes[:i]:
            assert x >= right + width or right >= x + wide or y >= below + tall or below >= y + high
    took = seen.run(
        "(() => { const began = performance.now();"
        " document.querySelector('.boxes [data-node=\"1999\"]')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}));"
        " return performance.now() - began; })()"
    )
    assert took < 3_000, "a click is answered at once"
    seen.look(1440, 900, dark=True)
    assert seen.picture().startswith(b"\x89PNG")


def test_what_is_promoted_is_found_by_its_stage(show: Open) -> None:
    trace = heavy(40)
    last = max(trace.nodes)
    nodes = {**trace.nodes, last: trace.nodes[last]._replace(stages=("models/a#canary",))}
    seen = show(replace(trace, nodes=nodes))
    seen.run(
        "(() => { const state = [...document.querySelectorAll('select')].find((one) =>"
        " [...one.options].some((option) => option.value === 'stage:canary'));"
        " state.value = 'stage:canary';"
        " state.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    seen.settle()
    assert heading(seen).startswith("1 ")
