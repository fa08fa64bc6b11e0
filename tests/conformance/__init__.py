"""Conformance: directories of cases, and the door that each is put through."""
