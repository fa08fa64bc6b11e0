"""Predicates, one module a type: build one, parse one."""
