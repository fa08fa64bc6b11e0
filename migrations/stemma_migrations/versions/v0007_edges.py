"""Edges from the statements of other tools, with their marks, and things known by a name.

A catalogue that was projected before holds nothing of those: it goes back to before the
first entry, and the ledger is projected anew. Nothing is lost, since truth is in the store.

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations import emptying

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    emptying.empty(op.get_bind())
    op.add_column("edge", sa.Column("mark", _TEXT, nullable=True))
    op.create_table(
        "named",
        sa.Column("node_id", _ID, nullable=False),
        sa.Column("text", _TEXT, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_named_node_id_node")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_named")),
    )


def downgrade() -> None:
    op.drop_table("named")
    op.drop_column("edge", "mark")
