"""Edges in the order of their outputs, and an index of their inputs that can be made last.

What is new in a ledger is mostly the output of something older. Rows in the order of inputs were
written all over the largest table there is, a page for each; now that is an index, which a
rebuild makes when it has all rows, in one go. `bare` says that it is still to be made.

An embedded database cannot change the order, so the table is made anew; what was in it is
projected again from the ledger, with all the rest.

Revision: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations.emptying import empty

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = ["output_id", "input_id", "relation", "statement_id"]
_DOWNWARD = ["input_id", "output_id", "relation", "statement_id"]


def upgrade() -> None:
    empty(op.get_bind())
    _edge(_KEY, ("ix_edge_input_id", [*_DOWNWARD, "input_name", "mark"]))
    with op.batch_alter_table("state") as state:
        state.add_column(sa.Column("bare", sa.Boolean(), nullable=False))


def downgrade() -> None:
    empty(op.get_bind())
    with op.batch_alter_table("state") as state:
        state.drop_column("bare")
    _edge(_DOWNWARD, ("ix_edge_output_id", _KEY))


def _edge(key: list[str], index: tuple[str, list[str]]) -> None:
    columns = {
        "input_id": sa.Column("input_id", _ID, nullable=False),
        "output_id": sa.Column("output_id", _ID, nullable=False),
    }
    op.drop_table("edge")
    op.create_table(
        "edge",
        *(columns[name] for name in key[:2]),
        sa.Column("relation", _TEXT, nullable=False),
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("input_name", _TEXT, nullable=True),
        sa.Column("mark", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_edge")),
        sqlite_with_rowid=False,
    )
    name, of = index
    op.create_index(name, "edge", of)
