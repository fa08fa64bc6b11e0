"""What is at which stage.

A catalogue that already saw a statement about a stage, which an older version passed over,
goes back to before the first entry, and the ledger is projected anew. Nothing is lost, since
truth is in the store.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations import emptying

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TYPE = "=urn:stemma:stage:v0.1"  # as the column keeps it


def upgrade() -> None:
    seen = sa.text("SELECT 1 FROM statement WHERE predicate_type = :type LIMIT 1")
    if op.get_bind().execute(seen, {"type": _TYPE}).first() is not None:
        emptying.empty(op.get_bind())
    op.create_table(
        "stage",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("artifact_id", _ID, nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=True),
        sa.Column("verdict", sa.LargeBinary(), nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("issued", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["node.id"], name=op.f("fk_stage_artifact_id_node")
        ),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_stage_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_stage")),
    )
    op.create_index("ix_stage_name_stage", "stage", ["name", "stage"])


def downgrade() -> None:
    op.drop_table("stage")
