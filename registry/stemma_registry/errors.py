"""The error tree, whole.

    StemmaError
    ├── Malformed ...        (stemma_attestations.errors)
    │   └── BadSettings      the configuration file
    ├── NotVerified ...      (stemma_attestations.errors)
    │   ├── BadDossier       a dossier that is not whole, or about something else
    │   └── Undecided
    │       └── Stale        the status that can be had is too old
    ├── NotFound             no such reference, artifact, blob or registry
    │   └── BlobMissing      the store has no blob of that digest
    ├── Refused              a change that is not made
    │   ├── BadTree          a directory that cannot be an artifact
    │   ├── NameTaken        the name is bound to other bytes
    │   ├── Overtaken        somebody else changed it first
    │   ├── Uncommitted      --require-clean, and the checkout is not clean
    │   └── AlreadyThere     something that must not be overwritten exists
    ├── StoreError           the store failed
    │   ├── Damaged          a blob's bytes are not those of its name
    │   └── Unavailable      the store cannot be reached, read or written
    │       └── Temporary    ... now; it may succeed when it is repeated
    │           └── Unanswered  a write was sent, and whether it arrived is not known
    └── LedgerBroken         the ledger, or what it refers to, cannot be believed

The command line maps the tree to exit codes in `stemma_cli.exits`, and nowhere else.
"""

from __future__ import annotations

from stemma_attestations.errors import Malformed, NotVerified, StemmaError, Undecided


class BadSettings(Malformed):
    """A configuration file that breaks its rules."""


class BadDossier(NotVerified):
    """A dossier that is not whole, was changed, or is about something else."""


class Stale(Undecided):
    """The status that can be had is too old, or it cannot be had; nothing speaks against it."""


class NotFound(StemmaError):
    """No such reference, artifact, blob or registry."""


class BlobMissing(NotFound):
    """The store has no blob of that digest."""


class Refused(StemmaError):
    """A change that is not made."""


class BadTree(Refused):
    """A directory that cannot be an artifact: links, devices, forbidden paths."""


class NameTaken(Refused):
    """NAME:VERSION is bound to other bytes, and names are immutable."""


class Overtaken(Refused):
    """Somebody else changed what a change was decided upon."""


class Uncommitted(Refused):
    """A clean checkout was asked for, and it is not clean."""


class AlreadyThere(Refused):
    """Something that must not be overwritten exists."""


class StoreError(StemmaError):
    """The store failed."""


class Damaged(StoreError):
    """A blob's bytes are not those of its name."""


class Unavailable(StoreError):
    """The store cannot be reached, read or written."""


class Temporary(Unavailable):
    """The store failed in a way that may pass: the same call may succeed when it is repeated."""


class Unanswered(Temporary):
    """A write was sent, and whether it arrived is not known."""


class LedgerBroken(StemmaError):
    """The ledger, or what it refers to, cannot be believed: nothing can be decided from it."""
