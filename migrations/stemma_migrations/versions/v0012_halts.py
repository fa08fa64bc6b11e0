"""Where a walk upward may meet a quarantine, and a mark by which a catalogue is known again.

Filled from what is there: nothing has to be projected anew.

Revision: 0012
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_TARGETS = (
    "INSERT INTO halt (node_id, inside) SELECT DISTINCT s.node_id, 0 FROM subject s "
    "JOIN status q ON q.statement_id = s.statement_id WHERE q.action = 'quarantine'"
)
_HOLDERS = (
    "INSERT INTO halt (node_id, inside) SELECT DISTINCT e.artifact_id, 1 FROM manifest_entry e "
    "JOIN halt h ON h.node_id = e.blob_id AND h.inside = 0"
)
_EVERYWHERE = (
    "INSERT INTO halt (node_id, inside) SELECT DISTINCT 0, 0 FROM status "
    "WHERE action NOT IN ('quarantine', 'release', 'erase')"
)


def upgrade() -> None:
    op.create_table(
        "halt",
        sa.Column("node_id", _ID, autoincrement=False, nullable=False),
        sa.Column("inside", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("node_id", "inside", name=op.f("pk_halt")),
        sqlite_with_rowid=False,
    )
    op.add_column("state", sa.Column("made", sa.LargeBinary(), nullable=True))
    state = sa.table("state", sa.column("made", sa.LargeBinary()))
    op.execute(sa.update(state).values(made=secrets.token_bytes(16)))
    for fill in (_TARGETS, _HOLDERS, _EVERYWHERE):
        op.execute(sa.text(fill))


def downgrade() -> None:
    op.drop_table("halt")
    op.drop_column("state", "made")
