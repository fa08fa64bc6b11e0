"""Stores: where truth is kept. `contract` says what every store promises."""
