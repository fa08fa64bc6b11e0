"""Rego: modules beside a policy's own rules, evaluated here or by a running OPA."""
