"""What is referred to completely, and what is being collected.

What was projected before does not say which keys are referred to, and whoever
collects must not guess: the ledger is projected again.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Children before what they refer to.
_PROJECTED = (
    "version",
    "manifest_entry",
    "lifted",
    "subject",
    "status",
    "edge",
    "artifact",
    "statement",
    "node",
    "state",
)


def upgrade() -> None:
    op.create_table(
        "kept",
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("blob", name=op.f("pk_kept")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "collection",
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.String(length=32), nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("blob", name=op.f("pk_collection")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_collection_state"), "collection", ["state"], unique=False)
    for table in _PROJECTED:
        op.execute(sa.table(table).delete())


def downgrade() -> None:
    op.drop_table("collection")
    op.drop_table("kept")
