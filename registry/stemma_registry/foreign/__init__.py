"""Statements beside a push: one's own, other tools', model signatures, links and layouts."""
