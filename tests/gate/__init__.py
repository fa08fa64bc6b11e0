"""The gate as people ask it: through the command line, at real registries."""
