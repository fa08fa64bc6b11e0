"""The ledger: what happened, in order. `entry` is the format, `log` the appending and reading."""
