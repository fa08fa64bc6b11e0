"""Record lineage: the canonical form, the index, and the question."""
