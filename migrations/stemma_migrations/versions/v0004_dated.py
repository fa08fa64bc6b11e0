"""When key bundles were signed, as far as that is proven.

A catalogue that was projected before holds nothing about it: it goes back to before the
first entry, and the ledger is projected anew. Nothing is lost, since truth is in the store.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Children before what they refer to.
_TABLES = (
    "collection",
    "kept",
    "version",
    "manifest_entry",
    "lifted",
    "subject",
    "status",
    "edge",
    "artifact",
    "statement",
    "node",
    "identity",
    "state",
)


def upgrade() -> None:
    for table in _TABLES:
        op.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - names of ours
    op.create_table(
        "dated",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_dated_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("statement_id", "root", name=op.f("pk_dated")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("dated")
