"""Which records that are stopped a dataset has, as its index says; criteria of records.

No table is another. An older version passed over both, so a catalogue goes back to before the
first entry, and the ledger is projected anew. Nothing is lost, since truth is in the store.

Revision: 0014
"""

from __future__ import annotations

from alembic import op

from stemma_migrations.emptying import empty

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    empty(op.get_bind())


def downgrade() -> None:
    empty(op.get_bind())
