"""The error tree, as far as the ground floor reaches.

    StemmaError
    ├── Malformed            bytes or text that break the rules of their format
    │   ├── BadDigest
    │   ├── BadJSON
    │   ├── BadName          a NAME, a VERSION or a pattern of names
    │   ├── BadPath          a path that a manifest may not hold
    │   ├── BadManifest
    │   ├── BadKey
    │   ├── BadStatement     statement or predicate
    │   ├── BadEnvelope
    │   ├── BadBundle
    │   ├── BadTrustRoot
    │   ├── BadTable         a table of tensors
    │   ├── BadPolicy
    │   └── BadLock
    └── NotVerified          the gate says no; `verdict` holds every step
        ├── Quarantined      something upstream is stopped
        ├── BytesDiffer      not the bytes that were expected
        ├── SignatureRefused no valid signature, or by nobody we believe
        │   └── UnknownLog   the trusted root is too old for the bundle's log
        └── Undecided        a required step could not be decided

`stemma_registry.errors` grows this tree by what can go wrong with stores and
users. The command line maps the tree to exit codes in one place.
"""

from __future__ import annotations

from typing import Any


class StemmaError(Exception):
    """Root of everything Stemma raises on purpose.

    The message is one line: what is wrong and, where it is known, how to mend it.
    """


class Malformed(StemmaError):
    """Bytes or text that break the rules of their format."""


class BadDigest(Malformed):
    """Not `ALGORITHM:HEX` with an allowed algorithm, its exact length and lower case."""


class BadJSON(Malformed):
    """JSON that the strict parser refuses."""


class BadName(Malformed):
    """Not a NAME, VERSION or pattern of names."""


class BadPath(Malformed):
    """A path that a manifest may not hold."""


class BadManifest(Malformed):
    """Not a canonical manifest."""


class BadKey(Malformed):
    """Not a key of a supported type."""


class BadStatement(Malformed):
    """Not an in-toto Statement v1, or a predicate that breaks its schema."""


class BadEnvelope(Malformed):
    """Not a DSSE envelope."""


class BadBundle(Malformed):
    """Not a Sigstore bundle of a version that is read."""


class BadTrustRoot(Malformed):
    """Not a trust root."""


class BadTable(Malformed):
    """Not a table of tensors."""


class BadPolicy(Malformed):
    """Not a policy."""


class BadLock(Malformed):
    """Not a lock."""


class NotVerified(StemmaError):
    """The gate says no.

    `verdict` is the whole recipe's result (a `stemma_attestations.verdict.Verdict`)
    where the recipe ran, else None.
    """

    def __init__(self, message: str, verdict: Any = None) -> None:
        super().__init__(message)
        self.verdict = verdict


class Quarantined(NotVerified):
    """The artifact, a blob in it, or something upstream is quarantined."""


class BytesDiffer(NotVerified):
    """Bytes or paths differ from the expected manifest."""


class SignatureRefused(NotVerified):
    """No signature verifies, or none by a signer the trust root authorises."""


class UnknownLog(SignatureRefused):
    """The trusted root does not name a log that a keyless bundle depends on.

    Either the root is too old for the log (a newer root would verify the bundle), or
    the bundle comes from another Sigstore instance.
    """


class Undecided(NotVerified):
    """A required step could not be decided: stale, missing or unavailable."""
