"""YAML for files that people review: plain data, no surprises.

Refuses duplicate keys, anchors and aliases (a small file can expand to
gigabytes), tags, several documents, and text over a limit. Numbers and dates
stay text: 1:30 is not ninety, and 1e400 is not infinity.
"""

from __future__ import annotations

from typing import Any

import yaml

from stemma_attestations.errors import Malformed
from stemma_attestations.guarding import guarded

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, duplicate keys, tags, numbers and dates."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(None, None, "anchors are refused", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(None, None, "tags are refused", event.start_mark)
        if not _is_text(getattr(event, "value", "")):
            raise yaml.MarkedYAMLError(None, None, "a lone surrogate", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(None, None, "nested too deeply", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key_node.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(None, None, "keys are text", key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    None, None, f"duplicate key {key!r:.40}", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag.endswith((":bool", ":null"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(raw: bytes, error: type[Malformed]) -> Any:
    """Parse one UTF-8 YAML document. Raises `error` with line and column."""
    if len(raw) > MAX_BYTES:
        raise error(f"YAML of {len(raw)} bytes, at most {MAX_BYTES} are read")
    return guarded(lambda: _load(raw, error), error)


def _load(raw: bytes, error: type[Malformed]) -> Any:
    try:
        return yaml.load(raw.decode("utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError as cause:
        raise error(f"not UTF-8 at byte {cause.start}") from cause
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise error(f"{place}{cause.problem}") from cause
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as cause:
        raise error(f"not YAML: {str(cause).splitlines()[0]}") from cause
