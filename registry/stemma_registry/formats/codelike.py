"""Code in a tree: by its bytes, and by names that loaders go by.

Configurations of Hugging Face's: https://huggingface.co/docs/transformers/custom_models
(auto_map), https://huggingface.co/docs/transformers/chat_templating.
"""

from __future__ import annotations

import re
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.errors import BadJSON
from stemma_registry.formats.findings import Look
from stemma_registry.formats.searching import pieces, unescaped
from stemma_registry.formats.sources import Source

PYTHON = (".py", ".pyw", ".pyi", ".pyx")
NATIVE = (".so", ".dll", ".dylib", ".pyd", ".a", ".o", ".exe")
SCRIPTS = (".sh", ".bash", ".bat", ".cmd", ".ps1", ".js", ".mjs", ".rb", ".pl", ".lua")
TEMPLATES = (".jinja", ".jinja2", ".j2")
# Keys of a configuration -> the rule. The value decides: null and false ask for nothing.
KEYS = {
    "auto_map": "auto-map",
    "custom_pipelines": "auto-map",
    "trust_remote_code": "remote-code",
    "chat_template": "chat-template",
}
_KEY = re.compile(
    rb'"(auto_map|custom_pipelines|trust_remote_code|chat_template)"\s*:\s*(.)', re.DOTALL
)
_PATH_LINE = re.compile(rb"^import[ \t]", re.MULTILINE)
# A tag may be spelt with escapes, and a directive may shorten it.
_YAML_TAG = re.compile(
    rb"(?:!!|tag:yaml\.org,2002:)(?:python/|[A-Za-z_/.]{0,40}%[0-9A-Fa-f]{2})\S{0,60}"
    rb"|^%TAG [^\n]{0,60}tag:yaml\.org,2002:",
    re.MULTILINE,
)
_PROSE = (".md", ".rst", ".txt", ".html", ".htm", ".csv", ".tsv", ".jsonl", *PYTHON)
_FALSE = (b"n", b"f")  # null, false


def by_name(look: Look, name: str) -> None:
    """What the suffix says is code, whatever is in it."""
    lower = name.lower()
    base = lower.rpartition("/")[2]
    if lower.endswith(PYTHON):
        look.add("code-python", "Python by its name")
    elif lower.endswith((".pyc", ".pyo")):
        look.add("code-python", "compiled Python by its name")
    elif lower.endswith(NATIVE) or re.search(r"\.so\.[0-9.]+\Z", base):
        look.add("code-native", "native code by its name")
    elif lower.endswith(SCRIPTS):
        look.add("code-script", "a script by its name")
    elif lower.endswith(TEMPLATES):
        look.add("chat-template", "a Jinja template by its name")


def look_json(look: Look, source: Source) -> str:
    """Look through a configuration; `notebook` or `json`.

    What is large, or the strict reader refuses, is searched for the words instead.
    """
    if source.size <= json_strict.MAX_BYTES:
        try:
            document = json_strict.loads(source.read_at(0, source.size))
        except BadJSON:
            pass
        else:
            _keys(look, document)
            if isinstance(document, dict) and "nbformat" in document and "cells" in document:
                look.add("code-notebook", "cells of code")
                return "notebook"
            return "json"
    notebook = set[bytes]()
    for data in pieces(look.budget, source):
        plain = unescaped(data)
        for match in _KEY.finditer(plain):
            if match[2] not in _FALSE:
                look.add(KEYS[match[1].decode()], f"{match[1].decode()} (by a search for bytes)")
        notebook |= {word for word in (b'"nbformat"', b'"cells"') if word in plain}
    if len(notebook) == 2:
        look.add("code-notebook", "cells (by a search for bytes)")
        return "notebook"
    return "json"


def _keys(look: Look, document: Any) -> None:
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, dict):
            for key, value in item.items():
                if key in KEYS and value not in (None, False):
                    look.add(KEYS[key], f"{path}{key}"[:120])
                waiting.append((f"{path}{key}."[:80], value))
        elif isinstance(item, list):
            waiting.extend((path, value) for value in item)


def look_text(look: Look, source: Source, name: str) -> str:
    """Look at plain text; the format it is."""
    head = source.read_at(0, 64 * 1024)
    if head.startswith(b"#!"):
        look.add("code-script", repr(head.splitlines()[0][:80].decode("utf-8", "replace"))[1:-1])
        return "script"
    if name.lower().endswith(".pth") and _PATH_LINE.search(head):
        look.add("code-python", "lines that site-packages would run")
    if name.lower().endswith(_PROSE):  # it speaks of tags; nobody reads it as YAML
        return "text"
    for data in pieces(look.budget, source):
        for match in _YAML_TAG.finditer(data):
            look.add("yaml-python", match[0].decode("ascii", "replace"))
    return "text"
