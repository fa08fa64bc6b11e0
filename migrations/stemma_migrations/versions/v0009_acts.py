"""What acts of custody stop by a criterion, and waivers.

A catalogue that was projected before holds such acts as unknown, and no waivers: it goes
back to before the first entry, and the ledger is projected anew. Nothing is lost, since
truth is in the store.

Revision: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations import emptying

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    emptying.empty(op.get_bind())
    op.create_table(
        "criterion",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"],
            ["status.statement_id"],
            name=op.f("fk_criterion_statement_id_status"),
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_criterion")),
    )
    op.create_table(
        "waiver",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("quarantine", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_waiver_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_waiver")),
    )


def downgrade() -> None:
    op.drop_table("waiver")
    op.drop_table("criterion")
