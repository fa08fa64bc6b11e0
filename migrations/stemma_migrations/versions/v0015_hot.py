"""Edges and subjects without foreign keys, what is said about a node together, and `made`.

What they refer to was looked up to write them. There are ten times as many of them as of
anything else, and a database looks up two or three rows elsewhere for each: in a large
catalogue that takes longer than to write them. A subject is found by its node where its row
lies, and not by way of an index somewhere else: among a million pages each that is read costs
as much as ten rows. Files of artifacts that are said to come from something are in a table: a
walk up that asked it of each file of each ancestor would ask thousands of shards.

An embedded database cannot change either, so the tables are made anew; what was in them is
projected again from the ledger, with all the rest.

Revision: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stemma_migrations.emptying import empty

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_EDGE = (("input_id", "node"), ("output_id", "node"), ("statement_id", "statement"))
_SUBJECT = (("statement_id", "statement"), ("node_id", "node"))
_Reference = tuple[str, str]


def upgrade() -> None:
    empty(op.get_bind())
    _edge(())
    _subject((), ("node_id", "statement_id", "position"), ("statement_id", "position"))
    op.create_table(
        "made",
        sa.Column("artifact_id", _ID, nullable=False),
        sa.Column("blob_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("artifact_id", "blob_id", name=op.f("pk_made")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_made_blob_id_artifact_id", "made", ["blob_id", "artifact_id"])


def downgrade() -> None:
    empty(op.get_bind())
    op.drop_table("made")
    _edge(_EDGE)
    _subject(_SUBJECT, ("statement_id", "position"), ("node_id",))


def _edge(references: tuple[_Reference, ...]) -> None:
    op.drop_table("edge")
    op.create_table(
        "edge",
        sa.Column("input_id", _ID, nullable=False),
        sa.Column("output_id", _ID, nullable=False),
        sa.Column("relation", _TEXT, nullable=False),
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("input_name", _TEXT, nullable=True),
        sa.Column("mark", _TEXT, nullable=True),
        *_keys("edge", references),
        sa.PrimaryKeyConstraint(
            "input_id", "output_id", "relation", "statement_id", name=op.f("pk_edge")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_edge_output_id", "edge", ["output_id", "input_id", "relation", "statement_id"]
    )


def _subject(
    references: tuple[_Reference, ...], key: tuple[str, ...], index: tuple[str, ...]
) -> None:
    op.drop_table("subject")
    op.create_table(
        "subject",
        sa.Column("statement_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("node_id", _ID, nullable=False),
        sa.Column("name", _TEXT, nullable=True),
        sa.Column("version", _TEXT, nullable=True),
        sa.Column("path", _TEXT, nullable=True),
        *_keys("subject", references),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_subject")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f(f"ix_subject_{'_'.join(index)}"), "subject", list(index))


def _keys(table: str, said: tuple[_Reference, ...]) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            [column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}_{other}")
        )
        for column, other in said
    ]
