"""Which tensors an artifact holds.

A catalogue that already saw a statement about tensors, which an older version passed over,
goes back to before the first entry, and the ledger is projected anew. Nothing is lost, since
truth is in the store.

Revision: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations import emptying

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TYPE = "=urn:stemma:tensors:v0.1"  # as the column keeps it


def upgrade() -> None:
    seen = sa.text("SELECT 1 FROM statement WHERE predicate_type = :type LIMIT 1")
    if op.get_bind().execute(seen, {"type": _TYPE}).first() is not None:
        emptying.empty(op.get_bind())
    op.create_table(
        "tensor",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tensor")),
    )
    op.create_index("ix_tensor_head", "tensor", [sa.text("substr(digest, 1, 8)")])
    op.create_table(
        "tensor_table",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("artifact_id", _ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["node.id"], name=op.f("fk_tensor_table_artifact_id_node")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tensor_table")),
    )
    op.create_index("ix_tensor_table_artifact_id", "tensor_table", ["artifact_id"])
    op.create_index("ix_tensor_table_head", "tensor_table", [sa.text("substr(digest, 1, 8)")])
    op.create_table(
        "tensor_row",
        sa.Column("table_id", _ID, nullable=False),
        sa.Column("tensor_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["table_id"], ["tensor_table.id"], name=op.f("fk_tensor_row_table_id_tensor_table")
        ),
        sa.ForeignKeyConstraint(
            ["tensor_id"], ["tensor.id"], name=op.f("fk_tensor_row_tensor_id_tensor")
        ),
        sa.PrimaryKeyConstraint("table_id", "tensor_id", name=op.f("pk_tensor_row")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tensor_row_tensor_id_table_id", "tensor_row", ["tensor_id", "table_id"])
    op.create_table(
        "tensor_said",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("table_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_tensor_said_statement_id_statement")
        ),
        sa.ForeignKeyConstraint(
            ["table_id"], ["tensor_table.id"], name=op.f("fk_tensor_said_table_id_tensor_table")
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_tensor_said")),
    )
    op.create_index("ix_tensor_said_table_id", "tensor_said", ["table_id"])


def downgrade() -> None:
    op.drop_table("tensor_said")
    op.drop_table("tensor_row")
    op.drop_table("tensor_table")
    op.drop_table("tensor")
