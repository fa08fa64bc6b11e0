"""Where things are, and every limit by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Bounds on time and memory. Past one, the answer is an error, never a guess."""

    append_seconds: float = 120.0  # how long an append competes for its place in the ledger
    append_pauses: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)  # between puts that failed for a moment
    busy_seconds: float = 60.0  # how long a catalogue write waits for another
    connect_seconds: float = 10.0  # to a database server
    project_seconds: float = 0.5  # entries go into one transaction until it has taken so long
    project_most: float = 8.0  # twice as long each time: a large catalogue's pages are written less
    nodes_met: int = 300_000  # ids that a projection remembers: some 250 bytes each
    nodes_packed: int = 8_000_000  # those before them, about 40 bytes each
    much_projected: int = 32  # entries, after which a server's planner is told what there is
    small_object_bytes: int = 96 * 1024 * 1024  # bundles, keys, entries, status files
    manifest_bytes: int = 128 * 1024 * 1024
    sidecar_nodes: int = 250_000  # a smaller catalogue is walked in the database
    sidecar_worth: int = 50_000  # descendants of a trace that are worth making arrays
    sidecar_share: float = 0.02  # of the edges that may have come since, before it is made anew
    ancestors: int = 1_000_000  # states one verdict may visit
    criteria: int = 1_000  # believed statuses that stop by a criterion
    waiver_days: int = 366  # the longest that a waiver is made for
    names: int = 100  # of one artifact that is asked about by its digest
    survivors: int = 1_000  # of what a plan lists as needing nothing
    paths: int = 10  # evidence paths that are listed
    judged: int = 10_000  # artifacts that are judged to tell what a signer holds up
    drawn_nodes: int = 5_000  # of one page; a larger trace is for JSON Lines or CSV
    drawn_edges: int = 25_000
    drawn_bends: int = 4_000  # of long edges, around what lies between
    packages: int = 5_000  # packages of an environment that go into a BOM
    stale_temporary_seconds: float = 24 * 3600.0  # older temporary files are swept
    transfers: int = 8  # files that are read or written at once
    readers: int = 2  # blobs that an audit hashes at once
    dependents: int = 20  # of what needs a damaged blob, that many are listed
    listed: int = 20  # changes that an audit of signatures lists for each signer
    attached: int = 1_000  # attached documents that are looked at for one artifact
    layout_choices: int = 64  # ways to choose among a functionary's links of one step
    inspection_seconds: int = 600  # one inspection of a layout
    copy_group_bytes: int = 1024**3  # a replica gets so much between two ledger entries
    copy_group_entries: int = 256
    copy_tries: int = 3  # of one blob; a store may try more often by itself
    free_bytes: int = 1_000_000_000  # less room on a disk is worth a warning
    racy_seconds: float = 2.0  # the coarsest time stamps of a file system, FAT's
    stale_stats_seconds: float = 90 * 24 * 3600.0  # a stat cache that nobody used for so long
    snapshot_tries: int = 100  # while others empty the catalogue
    # Part of the protocol (docs/store.md): how long nobody relies on a blob that may be being
    # deleted, and how long a deleter starts deletions. Never make the first shorter. Between them
    # lies what one deletion can take: of two objects, with the longest timeouts, tried again.
    collect_lease_seconds: float = 600.0
    collect_start_seconds: float = 120.0
    collect_poll_seconds: float = 0.2  # how soon a waiting writer looks again, at first
    collect_batch: int = 1_000  # blobs that one entry condemns or collects
    restore_tries: int = 10  # how often a writer puts what was collected under its hands
    segment_bytes: int = 64 * 1024 * 1024  # a larger thousand of entries is read one by one
    snapshot_entries: int = 100  # a catalogue that is behind by fewer projects the ledger itself
    root_update_seconds: float = 60.0  # all that a TUF repository is asked together
    root_update_bytes: int = 32 * 1024 * 1024
    root_rotations: int = 64
    snapshot_chunk_bytes: int = 8 * 1024 * 1024
    feed_root_bytes: int = 512_000  # what the TUF client reads of a root
    feed_target_bytes: int = 64 * 1024 * 1024  # one target file of a status feed
    feed_tries: int = 50  # of a publisher that others keep overtaking
    feed_failures: int = 4  # of the store, before a publisher gives up
    feed_kept: int = 16  # versions of a feed that stay, for readers who are under way
    feed_seconds: float = 60.0  # one file of a feed, over HTTP
    feed_skew_seconds: float = 300.0  # how far ahead a publisher's clock may be
    feed_behind: int = 10_000  # entries that the ledger may be ahead of a feed that proves its age
    key_bytes: int = 64 * 1024  # a public key that lies beside a statement
    # Statements about one thing that a verdict reads: of signers that the trust root lists, and
    # of all others, who cannot make it pass: how many of these, and after how much of them
    # no more is read.
    listed_bytes: int = 512 * 1024 * 1024
    others: int = 100
    others_bytes: int = 64 * 1024 * 1024
    dossier_bytes: int = 256 * 1024 * 1024  # all members of one, which are held in memory
    dossier_statement_bytes: int = 48 * 1024 * 1024  # what lists them, signed
    dossier_days: int = 90  # how long one may be good for
    dossier_nodes: int = 100_000  # of the ancestry that goes into one
    # What is remembered of signatures that verified: past the first the older half goes; of one
    # statement more is not kept.
    remembered_bytes: int = 128 * 1024 * 1024
    remembered_statement_bytes: int = 4 * 1024 * 1024
    rego_seconds: float = 5.0  # one evaluation of a module of Rego, its process included
    rego_bytes: int = 1024**3  # its address space
    opa_seconds: float = 10.0  # one answer of a running OPA
    opa_bytes: int = 1024 * 1024
    tensor_header_bytes: int = 32 * 1024 * 1024  # of a file whose tensors are told apart
    tensor_tables: int = 10  # tables that are looked at for what is known of one file
    similar: int = 100_000  # artifacts that share tensors with one that is asked about
    # A search for the artifact of an alias: how many are looked at, and how many files of theirs;
    # of a Git tree also how much is read of one and of all. What is no LFS pointer is read.
    alias_artifacts: int = 10_000
    alias_files: int = 500_000
    tree_bytes: int = 16 * 1024 * 1024
    tree_search_bytes: int = 256 * 1024 * 1024
    tree_layouts: int = 8  # of an artifact, said by those who published it from Git
    layout_bytes: int = 4 * 1024 * 1024  # of a bundle that says one
    import_bytes: int = 64 * 1024 * 1024  # of one document of another tool
    import_seconds: float = 60.0  # all that a tracking server is asked together
    import_pages: int = 1_000
    # Record lineage: one record; how far a file may unpack, as a factor and beyond it; the window
    # of zstd; a child that reads files: what it may hold, and how long one file may take: so
    # long at least, and at this pace.
    record_bytes: int = 16 * 1024 * 1024
    record_expansion: int = 1_000
    record_room: int = 64 * 1024 * 1024
    record_window: int = 128 * 1024 * 1024
    record_memory: int = 1024**3
    record_seconds: float = 120.0
    record_pace: int = 1024 * 1024  # bytes of a file in a second
    record_run: int = 1 << 21  # records that are sorted together
    record_children: int = 2  # processes that read files
    record_files: int = 100_000  # of one dataset that are indexed
    record_asked: int = 100_000  # records that one question may be about
    record_compared: int = 2_000_000  # that are stopped, and looked for in a new index
    record_rows: int = 1_000  # places of one record in one file that are listed
    record_near_asked: int = 10_000  # records that are asked about for near matches
    record_near_places: int = 20_000  # pairs with rows of one file that are looked at
    record_near_bytes: int = 64 * 1024 * 1024  # of rows of one file that are looked at
    record_filter_bytes: int = 16 * 1024 * 1024
    record_others_bytes: int = 1024**3  # of what strangers have indexed
    # Git: one call, or one answer; one object that is read; folders within each other, entries of
    # a tree and commits of a range that are looked at.
    git_seconds: float = 60.0
    git_object_bytes: int = 64 * 1024 * 1024
    git_depth: int = 200
    git_files: int = 200_000
    git_commits: int = 1_000_000
    # What is signed about commits: how large an object or a note that is taken in may be, of how
    # many commits at once, and how many notes and signed objects are looked at.
    git_signed_bytes: int = 256 * 1024
    git_note_bytes: int = 4 * 1024 * 1024
    git_taken: int = 10_000
    git_notes: int = 100_000
    git_objects: int = 1_000  # of one commit that a verdict reads, and of strangers' statements
    git_strangers: int = 50
    # Tags that are read, of so many bytes each. Files of a folder that is held against a
    # manifest, and bytes of them that are hashed.
    tags: int = 200_000
    tag_bytes: int = 64 * 1024
    tag_folder_files: int = 10_000
    tag_folder_bytes: int = 256 * 1024 * 1024
    git_sign_seconds: float = 300.0  # somebody may have to type a passphrase
    tag_skew_seconds: float = 300.0  # how far ahead a tagger's clock may be
    tag_document_bytes: int = 32 * 1024 * 1024  # of tag objects that are recorded together
    pushed_commits: int = 50_000  # that one push or pull request is asked about, and its pointers
    pushed_pointers: int = 50_000
    git_raw_bytes: int = 8 * 1024**3  # of all files of a commit that are no pointers
    git_artifacts: int = 200  # of one commit that are judged together
    git_fetch_seconds: float = 900.0  # a fetch from a host; what it may write, and hold in memory
    git_fetch_bytes: int = 8 * 1024**3
    git_fetch_memory: int = 4 * 1024**3
    # The ledger as a repository: commits between two moves of the branch, how long the last of
    # them may take, entries that are read of one, how long Git may list them, and signed heads.
    ledger_export_commits: int = 50_000
    ledger_export_seconds: float = 3600.0
    ledger_commits: int = 20_000_000
    ledger_list_seconds: float = 600.0
    ledger_checkpoints: int = 100
    sealed_bytes: int = 64 * 1024 * 1024  # what is served from a larger file is not held in memory


LIMITS = Limits()


@dataclass(frozen=True)
class Home:
    """What belongs to this user on this machine: key, trust root, heads seen.

    `database` is the URL of a PostgreSQL server that keeps the catalogues instead.
    """

    path: Path
    database: str | None = field(default=None, repr=False)  # it may hold a password

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Home:
        """`$STEMMA_HOME`, else `~/.stemma` of `$HOME`, else of the password database."""
        database = environ.get("STEMMA_DATABASE_URL") or None
        named = environ.get("STEMMA_HOME")
        if named:
            return cls(Path(named).absolute(), database)
        home = environ.get("HOME")
        return cls((Path(home) if home else Path.home()).absolute() / ".stemma", database)

    @property
    def registry(self) -> Path:
        """The default registry."""
        return self.path / "registry"

    @property
    def key(self) -> Path:
        """The signing key, mode 0600."""
        return self.path / "key.pem"

    @property
    def public_key(self) -> Path:
        """The public half, to give to others."""
        return self.path / "key.pub"

    @property
    def trust(self) -> Path:
        """The trust root."""
        return self.path / "trust.yaml"

    @property
    def roots(self) -> Path:
        """Sigstore trusted roots, each named by its digest."""
        return self.path / "roots"

    @property
    def tuf(self) -> Path:
        """What TUF repositories have said, so that none of them goes back."""
        return self.path / "tuf"

    @property
    def heads(self) -> Path:
        """The highest ledger head seen of each registry."""
        return self.path / "heads"

    @property
    def feeds(self) -> Path:
        """The status feeds that are pinned, and what was seen of each."""
        return self.path / "feeds"

    @property
    def feed_key(self) -> Path:
        """The key that signs the status feed online, mode 0600."""
        return self.path / "feed.pem"

    @property
    def record_key(self) -> Path:
        """The secrets with which records are hashed, mode 0600."""
        return self.path / "record.key"

    @property
    def configuration(self) -> Path:
        """How stores are used from here."""
        return self.path / "config.yaml"

    @property
    def synced(self) -> Path:
        """What was taken from a policy repository."""
        return self.path / "synced"

    @property
    def cache(self) -> Path:
        """Blobs of remote stores that were read."""
        return self.path / "cache"

    @property
    def stats(self) -> Path:
        """What files looked like when they were hashed, one file for each directory pushed."""
        return self.path / "stats"

    @property
    def tags(self) -> Path:
        """What is known of the tag objects of repositories, mode 0700."""
        return self.path / "tags"

    @property
    def rechecks(self) -> Path:
        """What files looked like when a verdict found them whole, mode 0700."""
        return self.path / "rechecks"

    @property
    def verified(self) -> Path:
        """What was verified here and need not be again, mode 0700."""
        return self.path / "verified"

    @property
    def serving(self) -> Path:
        """Private copies of what is being served; each goes with who serves it."""
        return self.path / "serving"

    def catalogue(self, location: str) -> Path:
        """The catalogue of the registry at `location`.

        It is this user's, not the registry's: what the gate believes about
        quarantine is read from it, and whoever can write to a shared store
        must not be able to edit that.
        """
        name = hashlib.sha256(location.encode()).hexdigest()[:32]
        return self.path / "catalogues" / f"{name}.sqlite3"
