"""Text that somebody else wrote, made fit for a line of ours."""

from __future__ import annotations


def plain(text: str, most: int) -> str:
    """At most so many characters of it, without what a terminal would obey or lines of its own."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])
