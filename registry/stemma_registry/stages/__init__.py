"""Stages: what is where, as the ledger says, and how it gets there and back."""
