"""Git tags in GTO's grammar: read, written, and turned into statements of the ledger."""
