"""Running the migrations on a connection that the caller opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, to: str = "head") -> None:
    """Apply what is missing, up to revision `to`, inside the caller's transaction."""
    command.upgrade(_config(connection), to)


def revisions() -> list[str]:
    """Every revision there is, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def differences(connection: Connection, metadata: MetaData) -> list[str]:
    """What an automatic migration from the database to `metadata` would do, in words."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[Any] = list(compare_metadata(context, metadata))
    return [str(item) for item in found]
