"""What packages artifacts were made with, as BOMs say, and when a late key came.

A catalogue that was projected before holds nothing of those: it goes back to before the
first entry, and the ledger is projected anew. Nothing is lost, since truth is in the store.

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations import emptying

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    emptying.empty(op.get_bind())
    op.add_column("statement", sa.Column("heard", sa.BigInteger(), nullable=True))
    op.create_table(
        "package",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package")),
    )
    op.create_index("ix_package_head", "package", [sa.text("substr(digest, 1, 8)")])
    op.create_table(
        "environment",
        sa.Column("id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environment")),
    )
    op.create_index("ix_environment_head", "environment", [sa.text("substr(digest, 1, 8)")])
    _links()


def _links() -> None:
    op.create_table(
        "environment_package",
        sa.Column("environment_id", _ID, nullable=False),
        sa.Column("package_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.id"],
            name=op.f("fk_environment_package_environment_id_environment"),
        ),
        sa.ForeignKeyConstraint(
            ["package_id"], ["package.id"], name=op.f("fk_environment_package_package_id_package")
        ),
        sa.PrimaryKeyConstraint(
            "environment_id", "package_id", name=op.f("pk_environment_package")
        ),
    )
    columns = ["package_id", "environment_id"]
    op.create_index("ix_environment_package_package_id", "environment_package", columns)
    op.create_table(
        "packaged",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("environment_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environment.id"],
            name=op.f("fk_packaged_environment_id_environment"),
        ),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_packaged_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_packaged")),
    )
    op.create_index(op.f("ix_packaged_environment_id"), "packaged", ["environment_id"])


def downgrade() -> None:
    for table in ("packaged", "environment_package", "environment", "package"):
        op.drop_table(table)
    op.drop_column("statement", "heard")
