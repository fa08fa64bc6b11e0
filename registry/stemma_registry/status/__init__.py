"""The status feed: a TUF repository of static files, written beside the ledger.

`publish` and `offline` write it, `reader` reads it; see docs/formats/feed.md.
"""
