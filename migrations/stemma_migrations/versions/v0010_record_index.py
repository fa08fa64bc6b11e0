"""Finding record index statements: an index of these rows alone.

Revision: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None

_WHERE = sa.text("predicate_type = '=urn:stemma:record-index:v0.1'")


def upgrade() -> None:
    op.create_index(
        "ix_statement_record_index",
        "statement",
        ["id"],
        sqlite_where=_WHERE,
        postgresql_where=_WHERE,
    )


def downgrade() -> None:
    op.drop_index("ix_statement_record_index", "statement")
