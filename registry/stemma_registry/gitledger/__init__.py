"""The ledger as an ordinary bare Git repository: exported, audited and restored, never queried.

One deterministic commit an entry. `rendering` is the format; see docs/formats/ledger-repository.md.
"""
