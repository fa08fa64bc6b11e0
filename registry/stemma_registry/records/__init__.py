"""Record lineage: which datasets contain this very record. See docs/formats/record-index.md."""
