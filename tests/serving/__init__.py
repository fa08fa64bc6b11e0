"""From verdict to load."""
