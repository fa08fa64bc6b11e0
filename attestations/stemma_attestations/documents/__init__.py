"""Unsigned documents of other tools, read for what they say came from what: claims, never more."""
