"""A report as blocks of plain text, and those as Markdown and as one HTML file.

Every text in a block may come from a stranger: a reason, a host, a path. Nothing of it is
markup in either form, what cannot be seen is written out, and the HTML lets no script run and
asks no network (its Content Security Policy allows its own style sheet, by digest).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from stemma_registry.drawing.text import visible

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .8rem 0; display: block; overflow-x: auto }
th, td { border: 1px solid #999; padding: .2rem .5rem; text-align: left; vertical-align: top }
th { background: #eee } td { overflow-wrap: anywhere }
@media print { body { max-width: none } table { display: table } }
"""


@dataclass(frozen=True)
class Heading:
    """A heading of level 1, 2 or 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list; numbered, if that is said."""

    texts: Sequence[str]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a row of headers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Paragraph | Items | Table


def markdown(blocks: Iterable[Block]) -> str:
    """GitHub-flavoured Markdown."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_md(block.text)}"
    if isinstance(block, Paragraph):
        return _md(block.text)
    if isinstance(block, Items):
        marks = (f"{i}." if block.numbered else "-" for i in range(1, len(block.texts) + 1))
        return "\n".join(f"{m} {_md(text)}" for m, text in zip(marks, block.texts, strict=True))
    lines = [block.headers, ["---"] * len(block.headers)]
    head = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([*head, *("| " + " | ".join(map(_md, row)) + " |" for row in block.rows)])


# What could begin markup in the middle of a line; `_` only where it is not inside a word.
_INSIDE = re.compile(r"[\\`*\[\]<>&#|!~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
# What could at the beginning of one: a list, a rule, a heading's underline, a quotation.
_BEGIN = re.compile(r"\A(\d{1,9})([.)])|\A([-+=])")
_LINK = re.compile(r"(?i)(https?|ftp|mailto|xmpp):|(www)\.|(@)")


def _md(text: str) -> str:
    """Text that is nothing but text in Markdown."""
    seen = _INSIDE.sub(lambda m: f"\\{m[0]}", visible(text).strip())
    seen = _LINK.sub(_unlinked, seen)
    return _BEGIN.sub(lambda m: f"{m[1]}\\{m[2]}" if m[1] else f"\\{m[3]}", seen)


def _unlinked(match: re.Match[str]) -> str:
    """An address that stays text: a comment of nothing stands where a link would be seen."""
    if match[1]:
        return f"{match[1]}&#58;"
    return f"{match[2]}&#46;" if match[2] else "&#64;"


def html(title: str, blocks: Iterable[Block]) -> str:
    """One file that needs nothing else."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(map(_html, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape(visible(text))


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{_text(block.text)}</p>"
    if isinstance(block, Items):
        tag = "ol" if block.numbered else "ul"
        return f"<{tag}>" + "".join(f"<li>{_text(text)}</li>" for text in block.texts) + f"</{tag}>"
    rows = ["<tr>" + "".join(f"<th>{_text(cell)}</th>" for cell in block.headers) + "</tr>"]
    rows += ["<tr>" + "".join(f"<td>{_text(c)}</td>" for c in row) + "</tr>" for row in block.rows]
    return "<table>\n" + "\n".join(rows) + "\n</table>"
