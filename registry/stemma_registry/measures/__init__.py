"""Measures beside quarantine: distrust of a signer, waivers, names that are retired."""
