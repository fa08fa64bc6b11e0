"""What may be asked of lineage beside a node: packages, signers, stages, earlier entries."""
