"""When key bundles were signed, as far as that is proven.

A catalogue that was projected before holds nothing about it: it goes back to before the
first entry, and the ledger is projected anew. Nothing is lost, since truth is in the store.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations import emptying

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    emptying.empty(op.get_bind())
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
