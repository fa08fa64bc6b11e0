"""What the project's own cases are made of; `python -m tests.conformance.generate` writes them."""
