"""Alembic migrations of the catalogue. They know its tables and nothing else."""
