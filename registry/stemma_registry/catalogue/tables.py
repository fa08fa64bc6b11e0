"""The catalogue's tables.

Cryptographic facts only: whether a signature is valid, whose key made it, and
about what name. Whether anybody believes it is computed at question time.
Integer ids inside, digests at the door (see benchmarks in the design's facts).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)

from stemma_registry.catalogue import columns
from stemma_registry.catalogue.columns import Coded, HexBytes, Id, Moment, Word, Words

# How digests are asked for: a question needs this module, and no other.
HEAD, head, is_one_of, in_hex = columns.HEAD, columns.head, columns.is_one_of, columns.in_hex
CODES = columns.CODES

# The Alembic revision these tables are at. A test holds it against the migrations.
REVISION = "0016"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# How far the ledger is projected: one row. `peaks` are those of the Merkle tree over entries 0
# to n, 32 bytes each, `before` those without entry n (what its `tree_root` is of). `roots` are
# the digests of the Sigstore trusted roots that bundles were held against, 32 bytes each, in order.
state = Table(
    "state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("entry", String(71), nullable=True),
    Column("peaks", LargeBinary, nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("roots", HexBytes, nullable=False),
    # Another one whenever a catalogue begins anew, so that row ids of an old one are known.
    Column("made", HexBytes, nullable=True),
    # Whether an index is still to be made, after all that is projected at once (see `bare`).
    Column("bare", Boolean, nullable=False),
)

# A graph node: a typed key. Schemes: sha256, gitCommit, and those of `named`.
node = Table(
    "node",
    metadata,
    Column("id", Id, primary_key=True),
    Column("scheme", Coded, nullable=False),
    Column("value", HexBytes, nullable=False),
)
Index("ix_node_head", head(node.c.value))

# A node that is known by a name only (stemma_attestations.named): its value is the SHA-256 of this.
named = Table(
    "named",
    metadata,
    Column("node_id", Id, ForeignKey("node.id"), primary_key=True),
    Column("text", Words, nullable=False),
)

# A node that is the digest of a manifest.
artifact = Table(
    "artifact",
    metadata,
    Column("id", Id, ForeignKey("node.id"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("files", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
)

manifest_entry = Table(
    "manifest_entry",
    metadata,
    Column("artifact_id", Id, ForeignKey("artifact.id"), primary_key=True),
    Column("path", Words, primary_key=True),
    Column("blob_id", Id, ForeignKey("node.id"), nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("ix_manifest_entry_blob_id_artifact_id", "blob_id", "artifact_id"),
    sqlite_with_rowid=False,
)

# A signed statement. `signer` is the id of the key or of the identity that made the signature,
# where it verifies, else null. `root` is null for a key bundle that says nothing about its time,
# and empty for one that does (see `dated`). For keyless bundles it is the digest of the first
# Sigstore trusted root under which it verifies, empty where it does under none of this machine's,
# and `signed` is since when it provably exists by that one, in microseconds of Unix time. `heard`
# is the entry that brought the key, where that came after the statement.
statement = Table(
    "statement",
    metadata,
    Column("id", Id, primary_key=True),
    Column("bundle", HexBytes, nullable=False),
    Column("predicate_type", Coded, nullable=False),
    Column("signer", HexBytes, nullable=True),
    Column("root", HexBytes, nullable=True),
    Column("signed", BigInteger, nullable=True),
    Column("n", BigInteger, nullable=False, index=True),
    Column("time", Moment, nullable=False),
    Column("heard", BigInteger, nullable=True),
)
Index("ix_statement_head", head(statement.c.bundle))
_RECORD_INDEX = text("predicate_type = '=urn:stemma:record-index:v0.1'")
# On PostgreSQL too, where the migration says it: said here it would load that dialect everywhere.
Index("ix_statement_record_index", statement.c.id, sqlite_where=_RECORD_INDEX)

# Since when a bundle provably exists (microseconds of Unix time), and the Sigstore trusted root
# that vouches for it: one row for each of this machine's that does, but for the one that is in a
# keyless bundle's own row. Which of them is believed is asked of a trust root later.
dated = Table(
    "dated",
    metadata,
    Column("statement_id", Id, ForeignKey("statement.id"), primary_key=True),
    Column("root", HexBytes, primary_key=True),
    Column("signed", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Whom the id of a signer stands for: canonical JSON (stemma_attestations.certified).
identity = Table(
    "identity",
    metadata,
    Column("id", HexBytes, primary_key=True),
    Column("document", Words, nullable=False),
    sqlite_with_rowid=False,
)

# What a statement is about. `name` is null where the subject has no NAME:VERSION. Here and of
# edges there are millions, and what they refer to was looked up to write them: no foreign keys.
subject = Table(
    "subject",
    metadata,
    # What is said about a node lies together: a trace reads it for each of thousands.
    Column("node_id", Id, primary_key=True),
    Column("statement_id", Id, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Words, nullable=True),
    Column("version", Words, nullable=True),
    Column("path", Words, nullable=True),
    Index("ix_subject_statement_id_position", "statement_id", "position"),
    sqlite_with_rowid=False,
)

# `output` was made from `input`; `input_name` is the NAME the statement gives the input,
# null where it gives none, or several. `mark` is null for an edge that is said exactly. What is
# new is mostly an output: so rows are written in their order, and only the index in any other.
edge = Table(
    "edge",
    metadata,
    Column("output_id", Id, primary_key=True),
    Column("input_id", Id, primary_key=True),
    Column("relation", Coded, primary_key=True),
    Column("statement_id", Id, primary_key=True),
    Column("input_name", Words, nullable=True),
    Column("mark", Coded, nullable=True),
    sqlite_with_rowid=False,
)
# All of it, so that a trace downward reads nothing else. A rebuild makes it last (see `bare`).
DOWNWARD = Index(
    "ix_edge_input_id",
    edge.c.input_id,
    edge.c.output_id,
    edge.c.relation,
    edge.c.statement_id,
    edge.c.input_name,
    edge.c.mark,
)

# A file of an artifact that some edge leads into, or that a BOM lists packages of, whoever said
# it (see `made`): a walk upward goes on from the artifact to what that file came from.
made = Table(
    "made",
    metadata,
    Column("artifact_id", Id, primary_key=True),
    Column("blob_id", Id, primary_key=True),
    Index("ix_made_blob_id_artifact_id", "blob_id", "artifact_id"),
    sqlite_with_rowid=False,
)

# NAME:VERSION said about an artifact by provenance. Who may bind a name is computed later.
version = Table(
    "version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Words, nullable=False),
    Column("version", Words, nullable=False),
    Column("kind", Word, nullable=False),
    Column("definition", HexBytes, nullable=False),
    Column("artifact_id", Id, ForeignKey("artifact.id"), nullable=False, index=True),
    Column("statement_id", Id, ForeignKey("statement.id"), nullable=False),
    Index("ix_version_name_version", "name", "version"),
)

# Acts of custody; the targets are the statement's subjects. Action `unknown` is deny. `payload`
# is the SHA-256 of the statement's own bytes, by which a release names it.
status = Table(
    "status",
    metadata,
    Column("statement_id", Id, ForeignKey("statement.id"), primary_key=True),
    Column("payload", HexBytes, nullable=False),
    Column("action", String(16), nullable=False),
    Column("reason", Words, nullable=False),
    Column("issued", String(40), nullable=False),
)

# Where a walk upward may meet a quarantine, whoever signed it (see `halts`): nodes that one is
# about (`inside` 0), and artifacts that have one as a file (1). Node 0 stands for all of them.
halt = Table(
    "halt",
    metadata,
    Column("node_id", Id, primary_key=True, autoincrement=False),
    Column("inside", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# Which quarantines (by the SHA-256 of their statements) a release lifts.
lifted = Table(
    "lifted",
    metadata,
    Column("statement_id", Id, ForeignKey("status.statement_id"), primary_key=True),
    Column("payload", HexBytes, primary_key=True),
    sqlite_with_rowid=False,
)

# What an act of custody stops that has no digests for targets: canonical JSON
# (stemma_attestations.predicates.criterion).
criterion = Table(
    "criterion",
    metadata,
    Column("statement_id", Id, ForeignKey("status.statement_id"), primary_key=True),
    Column("document", Words, nullable=False),
)

# What may be served in spite of a quarantine (the SHA-256 of its statement) until a time, in
# seconds of Unix time; the statement's subjects are what is let pass.
waiver = Table(
    "waiver",
    metadata,
    Column("statement_id", Id, ForeignKey("statement.id"), primary_key=True),
    Column("quarantine", HexBytes, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("reason", Words, nullable=False),
)

# Where artifacts run: what a deployment record says of its subjects. Times are seconds of Unix
# time; `until` is null where it stopped. Whether anybody believes it is asked later.
deployment = Table(
    "deployment",
    metadata,
    Column("statement_id", Id, ForeignKey("statement.id"), primary_key=True),
    Column("host", Words, nullable=False),
    Column("service", Words, nullable=True),
    Column("stage", Words, nullable=True),
    Column("state", String(16), nullable=False),
    Column("instance", HexBytes, nullable=False, index=True),
    Column("since", BigInteger, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=True, index=True),
)

# What was said to be at a stage of NAME; who may say so, and whether it still holds, is computed
# later. `payload`, `previous` and `verdict` are SHA-256 of statements' own bytes: of this one, of
# the one that it supersedes (null for the first), and of the verification summary it rests on.
stage = Table(
    "stage",
    metadata,
    Column("statement_id", Id, ForeignKey("statement.id"), primary_key=True),
    Column("payload", HexBytes, nullable=False),
    Column("name", Words, nullable=False),
    Column("version", Words, nullable=False),
    Column("stage", String(32), nullable=False),
    Column("action", String(16), nullable=False),
    Column("artifact_id", Id, ForeignKey("node.id"), nullable=False),
    Column("previous", HexBytes, nullable=True),
    Column("verdict", HexBytes, nullable=False),
    Column("reason", Words, nullable=False),
    Column("issued", String(40), nullable=False),
    Index("ix_stage_name_stage", "name", "stage"),
)

# A version of a package. `name` is a package URL without version; `digest` its SHA-256.
package = Table(
    "package",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", HexBytes, nullable=False),
    Column("name", Words, nullable=False),
    Column("version", Words, nullable=False),
)
Index("ix_package_head", head(package.c.digest))

# A set of packages that BOMs list, once for all that list the same; `digest` is that of the list.
environment = Table(
    "environment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", HexBytes, nullable=False),
)
Index("ix_environment_head", head(environment.c.digest))

environment_package = Table(
    "environment_package",
    metadata,
    Column("environment_id", Id, ForeignKey("environment.id"), primary_key=True),
    Column("package_id", Id, ForeignKey("package.id"), primary_key=True),
    Index("ix_environment_package_package_id", "package_id", "environment_id"),
)

# The packages that a BOM lists of its subjects; of a record index, what of that is stopped it has.
packaged = Table(
    "packaged",
    metadata,
    Column("statement_id", Id, ForeignKey("statement.id"), primary_key=True),
    Column("environment_id", Id, ForeignKey("environment.id"), nullable=False, index=True),
)

# A tensor by its digest and size in bytes: both, since nobody held the size against the bytes.
# Those that tell nothing (tiny, constant) are not here.
tensor = Table(
    "tensor",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", HexBytes, nullable=False),
    Column("size", BigInteger, nullable=False),
)
Index("ix_tensor_head", head(tensor.c.digest))

# A table of the tensors of an artifact, by the digest of its blob; `size` is that of all its
# rows together, in bytes.
tensor_table = Table(
    "tensor_table",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", HexBytes, nullable=False),
    Column("artifact_id", Id, ForeignKey("node.id"), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)
Index("ix_tensor_table_head", head(tensor_table.c.digest))

tensor_row = Table(
    "tensor_row",
    metadata,
    Column("table_id", Id, ForeignKey("tensor_table.id"), primary_key=True),
    Column("tensor_id", Id, ForeignKey("tensor.id"), primary_key=True),
    Index("ix_tensor_row_tensor_id_table_id", "tensor_id", "table_id"),
    sqlite_with_rowid=False,
)

# Which statements say a table. Whether anybody believes them is computed later.
tensor_said = Table(
    "tensor_said",
    metadata,
    Column("statement_id", Id, ForeignKey("statement.id"), primary_key=True),
    Column("table_id", Id, ForeignKey("tensor_table.id"), nullable=False, index=True),
)

# Blobs that an entry refers to and no other table holds: keys, and what was to be a manifest
# and is none. With `statement`, `artifact` and `manifest_entry` that is everything referred to.
kept = Table(
    "kept",
    metadata,
    Column("blob", HexBytes, primary_key=True),
    sqlite_with_rowid=False,
)

# How far a blob is on its way out, by the last entry `n` that said so: condemned, collecting
# (somebody may be deleting it) or gone; `gone` is the last entry by which it was deleted, also
# where it is condemned again. An entry that refers to the blob removes the row.
collection = Table(
    "collection",
    metadata,
    Column("blob", HexBytes, primary_key=True),
    Column("state", String(16), nullable=False, index=True),
    Column("n", BigInteger, nullable=False),
    Column("time", Moment, nullable=False),
    Column("gone", BigInteger, nullable=True),
    sqlite_with_rowid=False,
)
