"""Digests as bytes, the heads of digests in the indexes, and nothing that no question uses.

Everything is dropped and made again: the ledger is projected anew, or a signed
snapshot of the catalogue is taken. Nothing is lost, since truth is in the store.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations.versions import v0001_first, v0002_collecting

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# PostgreSQL sorts by the code point as SQLite does, and counts characters, which SQLite does not.
_C = sa.Text(collation="C")
_TEXT = sa.Text().with_variant(_C, "postgresql")
_MOMENT = sa.String(length=32).with_variant(sa.String(length=40), "postgresql")
_WORD = sa.String(length=32).with_variant(_C, "postgresql")

# Children before what they refer to.
_TABLES = (
    "collection",
    "kept",
    "version",
    "manifest_entry",
    "lifted",
    "subject",
    "status",
    "edge",
    "artifact",
    "statement",
    "node",
    "state",
)


def upgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    _node()
    _state()
    _statement()
    _identity()
    _artifact()
    _edge()
    _status()
    _subject()
    _lifted()
    _manifest_entry()
    _version()
    _collecting()


def downgrade() -> None:
    for table in ("identity", *_TABLES):
        op.drop_table(table)
    v0001_first.upgrade()
    v0002_collecting.upgrade()


def _node() -> None:
    op.create_table(
        "node",
        sa.Column("id", _ID, nullable=False),
        sa.Column("scheme", _TEXT, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
    )
    op.create_index("ix_node_head", "node", [sa.text("substr(value, 1, 8)")])


def _state() -> None:
    op.create_table(
        "state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.String(length=71), nullable=True),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.Column("roots", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_state")),
    )


def _statement() -> None:
    op.create_table(
        "statement",
        sa.Column("id", _ID, nullable=False),
        sa.Column("bundle", sa.LargeBinary(), nullable=False),
        sa.Column("predicate_type", _TEXT, nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=True),
        sa.Column("root", sa.LargeBinary(), nullable=True),
        sa.Column("signed", sa.BigInteger(), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("time", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement")),
    )
    op.create_index("ix_statement_head", "statement", [sa.text("substr(bundle, 1, 8)")])
    op.create_index(op.f("ix_statement_n"), "statement", ["n"], unique=False)


def _identity() -> None:
    op.create_table(
        "identity",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("document", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sqlite_with_rowid=False,
    )


def _artifact() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", _ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["node.id"], name=op.f("fk_artifact_id_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
    )


def _edge() -> None:
    op.create_table(
        "edge",
        sa.Column("input_id", _ID, nullable=False),
        sa.Column("output_id", _ID, nullable=False),
        sa.Column("relation", _TEXT, nullable=False),
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("input_name", _TEXT, nullable=True),
        sa.ForeignKeyConstraint(["input_id"], ["node.id"], name=op.f("fk_edge_input_id_node")),
        sa.ForeignKeyConstraint(["output_id"], ["node.id"], name=op.f("fk_edge_output_id_node")),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_edge_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint(
            "input_id", "output_id", "relation", "statement_id", name=op.f("pk_edge")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_edge_output_id",
        "edge",
        ["output_id", "input_id", "relation", "statement_id"],
        unique=False,
    )


def _status() -> None:
    op.create_table(
        "status",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("issued", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_status_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_status")),
    )


def _subject() -> None:
    op.create_table(
        "subject",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("node_id", _ID, nullable=False),
        sa.Column("name", _TEXT, nullable=True),
        sa.Column("version", _TEXT, nullable=True),
        sa.Column("path", _TEXT, nullable=True),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_subject_node_id_node")),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_subject_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("statement_id", "position", name=op.f("pk_subject")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_subject_node_id"), "subject", ["node_id"], unique=False)


def _lifted() -> None:
    op.create_table(
        "lifted",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["status.statement_id"], name=op.f("fk_lifted_statement_id_status")
        ),
        sa.PrimaryKeyConstraint("statement_id", "payload", name=op.f("pk_lifted")),
        sqlite_with_rowid=False,
    )


def _manifest_entry() -> None:
    # An index of PostgreSQL holds 2.7 KiB, and a path may have 4 KiB.
    served = op.get_bind().dialect.name == "postgresql"
    name = op.f("pk_manifest_entry")
    key = () if served else (sa.PrimaryKeyConstraint("artifact_id", "path", name=name),)
    op.create_table(
        "manifest_entry",
        sa.Column("artifact_id", _ID, nullable=False),
        sa.Column("path", _TEXT, nullable=False),
        sa.Column("blob_id", _ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_manifest_entry_artifact_id_artifact")
        ),
        sa.ForeignKeyConstraint(
            ["blob_id"], ["node.id"], name=op.f("fk_manifest_entry_blob_id_node")
        ),
        *key,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_manifest_entry_blob_id_artifact_id",
        "manifest_entry",
        ["blob_id", "artifact_id"],
        unique=False,
    )
    if served:
        op.create_index("ix_manifest_entry_artifact_id", "manifest_entry", ["artifact_id"])


def _version() -> None:
    op.create_table(
        "version",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("definition", sa.LargeBinary(), nullable=False),
        sa.Column("artifact_id", _ID, nullable=False),
        sa.Column("statement_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_version_artifact_id_artifact")
        ),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statement.id"], name=op.f("fk_version_statement_id_statement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
    )
    op.create_index(op.f("ix_version_artifact_id"), "version", ["artifact_id"], unique=False)
    op.create_index("ix_version_name_version", "version", ["name", "version"], unique=False)


def _collecting() -> None:
    op.create_table(
        "kept",
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("blob", name=op.f("pk_kept")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "collection",
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("time", _MOMENT, nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("blob", name=op.f("pk_collection")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_collection_state"), "collection", ["state"], unique=False)
