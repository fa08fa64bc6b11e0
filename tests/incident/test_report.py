"""The report of an incident: all that happened is in it, and nothing in it is markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from stemma_registry import custody
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused
from stemma_registry.incident import blocks, reported
from stemma_registry.incident.report import Incident
from stemma_registry.incident.report import incident as collect
from tests.incident.conftest import model, runs
from tests.world import World

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> [a](javascript:1) ![i](http://x/i) "
    "</td></table> | cell | `code` **bold** _em_ ~~gone~~ &lt;b&gt; \u202ereversed\u2069 "
    "<!-- no --> http://evil.example www.evil.example me@evil.example $x$ @ada #1 \\| \n# Heading"
)


def report(world: World, text: str = "data/web:1") -> Incident:
    with world.view() as view:
        return collect(world.registry, view, text, 100)


def stop(world: World, reason: str, by: str = "owner", target: str = "data/web:1") -> str:
    seen = world.preview(target, by)
    digest, _ = custody.quarantine(
        world.registry, world.trust, world.signer(by), seen.targets, reason, world.now
    )
    return str(digest)


def test_everything_that_happened_in_order(world: World) -> None:
    runs(world, "models/a:1", "gpu-1")
    digest = world.quarantine("data/web:1")
    model(world, "models/late:1", "fine-tuned-from=models/a:1")
    found = report(world)
    assert (str(found.id), found.state) == (digest, "in force")
    told = [(one.what, one.about) for one in found.timeline.moments]
    assert told[0] == ("push dataset", "data/web:1")
    assert told[-3:] == [
        ("started", "models/a:1"),
        ("quarantine", "data/web:1"),
        ("push model", "models/late:1"),
    ]
    assert ("push model", "models/other:1") not in told
    assert [(one.name, one.stopped) for one in found.running] == [("models/a:1", True)]
    assert [one.what for one in found.actions] == ["quarantine"]
    ways = {one.name: one.lines for one in found.evidence}
    assert [line.partition(" (")[0] for line in ways["models/a:1"]] == [
        "models/base:1 trained-on data/web:1",
        "models/a:1 fine-tuned-from models/base:1",
    ]
    assert all("attested by owner, sha256:" in line for line in ways["models/a:1"])


def test_a_release_is_an_action_and_ends_it(world: World) -> None:
    runs(world, "models/a:1", "gpu-1")
    digest = world.quarantine("data/web:1")
    world.release("data/web:1")
    found = report(world, digest)
    assert found.state == "released"
    assert [one.what for one in found.actions] == ["quarantine", "release"]
    assert [one.stopped for one in found.running] == [False]
    assert "| The quarantine is | released |" in blocks.markdown(reported.blocks(found))


def test_by_which_names_it_is_found(world: World) -> None:
    digest = world.quarantine("data/web:1")
    for text in (digest, digest[:19], digest.removeprefix("sha256:"), "data/web:1"):
        assert str(report(world, text).id) == digest
    for text in ("sha256:" + "0" * 64, "0" * 64, "abc", "data/forum:1", "no/such:1"):
        with pytest.raises(NotFound):
            report(world, text)
    world.quarantine("data/web:1", artifact_only=True)
    with pytest.raises(Refused, match="more than once; name one of"):
        report(world)


def test_a_strangers_quarantine_is_reported_as_one(world: World) -> None:
    stop(world, "because", by="eve")
    found = report(world)
    assert found.state == "not believed"
    assert not found.act.believed
    text = blocks.markdown(reported.blocks(found))
    assert "(NOT BELIEVED)" in text


def test_strangers_cannot_make_it_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = world.quarantine("data/web:1")
    for _ in range(5):
        stop(world, "noise", by="eve")
    monkeypatch.setattr("stemma_registry.incident.timeline.LIMITS", type(LIMITS)(others=2))
    found = report(world, digest)
    assert sum(not one.believed for one in found.timeline.moments) == 2
    assert found.timeline.unheard == 3


class Tags(HTMLParser):
    """Everything but text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}

    def handle_comment(self, data: str) -> None:
        self.tags.add("comment")

    def handle_data(self, data: str) -> None:
        self.text += data


PLAIN = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p"),
    *("ul", "ol", "li", "table", "tr", "th", "td"),
}


def hostile(world: World) -> Incident:
    model(world, "models/h:1", "trained-on=data/web:1", parameters={HOSTILE[:40]: HOSTILE})
    stop(world, HOSTILE)
    runs(world, "models/a:1", "gpu-1")
    return report(world)


def test_nothing_that_strangers_wrote_is_html(world: World) -> None:
    found = hostile(world)
    seen = Tags()
    seen.feed(blocks.html(reported.title(found), reported.blocks(found)))
    assert seen.tags <= PLAIN
    assert seen.attributes <= {
        *(("html", "lang"), ("meta", "charset"), ("meta", "http-equiv")),
        *(("meta", "content"), ("meta", "name")),
    }
    assert "<script>alert(1)</script>" in seen.text, "it is there, as text"
    assert "\u202e" not in seen.text
    assert "\\u202ereversed" in seen.text


def test_nothing_that_strangers_wrote_is_markdown(world: World) -> None:
    found = hostile(world)
    text = blocks.markdown(reported.blocks(found))
    assert "\u202e" not in text
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = reader.parse(text)
    kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
    assert {kind.rpartition("_")[0] or kind for kind in kinds} <= {
        *("heading", "paragraph", "bullet_list", "ordered_list", "list_item", "inline", "text"),
        *("table", "thead", "tbody", "tr", "th", "td", "text_special", "softbreak"),
        "text",
    }, kinds
    said = "".join(c.content for t in tokens for c in t.children or ())
    shown = HOSTILE.strip().replace("\n", "\\u000a").replace("\u202e", "\\u202e")
    assert shown.replace("\u2069", "\\u2069") in said, "every character of it can be read"
    for mark in ("http:", "www.", "me@"):
        assert mark not in text, "no reader makes a link of it"


@pytest.mark.parametrize(
    "text", ["# a", "- a", "+ a", "1. a", "12) a", "=== ", "---", "> a", "~~~"]
)
def test_no_paragraph_begins_something_else(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(blocks.markdown([blocks.Paragraph(text)]))
    assert [t.type for t in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(c.content for c in tokens[1].children or ()) == text.strip()


def test_the_same_report_every_time(world: World) -> None:
    runs(world, "models/a:1", "gpu-1")
    world.quarantine("data/web:1")
    first = report(world)
    world.rebuild()
    again = report(world)
    assert json.dumps(reported.document(again)) == json.dumps(reported.document(first))
    for form in (blocks.markdown, lambda parts: blocks.html("t", parts)):
        assert form(reported.blocks(again)) == form(reported.blocks(first))
