"""What a model signature is about, by the files that it lists; Git trees as nodes.

No table is another. An older version passed over both, so a catalogue goes back to before the
first entry, and the ledger is projected anew. Nothing is lost, since truth is in the store.

Revision: 0013
"""

from __future__ import annotations

from alembic import op

from stemma_migrations.emptying import empty

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    empty(op.get_bind())


def downgrade() -> None:
    empty(op.get_bind())
