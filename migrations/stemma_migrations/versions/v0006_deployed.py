"""Where artifacts run, as deployment records say.

A catalogue that was projected before holds nothing of those: it goes back to before the
first entry, and the ledger is projected anew. Nothing is lost, since truth is in the store.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations import emptying

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    emptying.empty(op.get_bind())
    op.create_table(
        "deployment",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("host", _TEXT, nullable=False),
        sa.Column("service", _TEXT, nullable=True),
        sa.Column("stage", _TEXT, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("instance", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_deployment_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_deployment")),
    )
    op.create_index(op.f("ix_deployment_instance"), "deployment", ["instance"], unique=False)
    op.create_index(op.f("ix_deployment_until"), "deployment", ["until"], unique=False)


def downgrade() -> None:
    op.drop_table("deployment")
