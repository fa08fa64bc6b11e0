"""The registry: store, ledger, catalogue, publishing, lineage, custody and the gate."""
