"""Lineage: `status` says what stops an artifact, `trace` shows what came from what."""
