"""The catalogue: a disposable projection of the ledger that answers questions fast."""
