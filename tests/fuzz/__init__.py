"""Fuzzing: bytes into every reader, and properties that hold for whatever comes out."""
