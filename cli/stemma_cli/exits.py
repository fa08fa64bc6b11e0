"""Exit codes, in one place. Anything but 0 means: do not serve."""

from __future__ import annotations

from stemma_attestations import errors as attestation_errors

DONE = 0
UNEXPECTED = 1
USAGE = 2
NOT_FOUND = 3
NOT_VERIFIED = 10
QUARANTINED = 11
BYTES_DIFFER = 12
SIGNATURE = 13
UNDECIDED = 14

# In the order of docs/cli.md.
MEANING: dict[int, str] = {
    0: "done, or verified",
    1: "failed",
    2: "usage: the command or what it was given is not well-formed",
    3: "not found",
    10: "not verified",
    11: "quarantined",
    12: "bytes differ",
    13: "signature or signer",
    14: "stale or unavailable: cannot decide",
}


def code_of(error: BaseException) -> int:
    """The exit code of an error: that of its nearest class in the table below."""
    table = _table()
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind]
    return UNEXPECTED


def _table() -> dict[type, int]:
    # Lazily: `stemma --help` needs the meanings only.
    from stemma_registry import errors as registry_errors

    return {
        attestation_errors.Malformed: USAGE,
        attestation_errors.NotVerified: NOT_VERIFIED,
        attestation_errors.Quarantined: QUARANTINED,
        attestation_errors.BytesDiffer: BYTES_DIFFER,
        attestation_errors.SignatureRefused: SIGNATURE,
        attestation_errors.Undecided: UNDECIDED,
        registry_errors.NotFound: NOT_FOUND,
        registry_errors.Refused: UNEXPECTED,
        registry_errors.BadTree: USAGE,
        registry_errors.NameTaken: BYTES_DIFFER,
        registry_errors.Uncommitted: NOT_VERIFIED,
        registry_errors.StoreError: UNEXPECTED,
        registry_errors.Damaged: BYTES_DIFFER,
        registry_errors.Unavailable: UNDECIDED,
        registry_errors.LedgerBroken: UNDECIDED,
    }


def epilog() -> str:
    """The table, for `--help`."""
    return "Exit codes: " + "; ".join(f"{code} {text}" for code, text in MEANING.items()) + "."
