"""The trust root as a file: loading it, making one, adding a signer.

A signer is added as text behind what people wrote, so that their comments and
their order stay, and the result is parsed before it replaces anything.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTrustRoot
from stemma_attestations.keys import PublicKey
from stemma_attestations.trust import FORMAT, TrustRoot
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry.directory import make_directory, sync_directory
from stemma_registry.errors import NotFound, Refused, Unavailable

NOBODY = TrustRoot((), Digest.of(b""))
_HEADER = f"""\
# Whom this machine believes: which key may say what (predicates) about which names.
# Patterns match whole segments: * is one, ** any number. Specified in docs/formats/trust-root.md.
format: {FORMAT}
signers:
"""


def load(path: Path, required: bool) -> TrustRoot:
    """The trust root in a file.

    Where it is not there: NotFound if `required`, else the trust root that
    trusts nobody. Raises BadTrustRoot, Unavailable.
    """
    raw = _read(path)
    if raw is None:
        if required:
            raise NotFound(f"no trust root at {path}")
        return NOBODY
    try:
        return TrustRoot.parse(raw)
    except BadTrustRoot as error:
        raise BadTrustRoot(f"{path}: {error}") from error


def add(
    path: Path,
    principal: str,
    key: PublicKey,
    predicates: Sequence[str] = ("*",),
    names: Sequence[str] = ("**",),
    valid_from: str | None = None,
    valid_until: str | None = None,
) -> TrustRoot:
    """Add a signer to the file, which is made if it is not there; the new trust root.

    Raises BadTrustRoot, Refused, Unavailable.
    """
    raw = _read(path)
    old = TrustRoot.parse(raw) if raw is not None else NOBODY
    if raw is None or not old.signers:
        text = _HEADER
    else:
        text = raw.decode("utf-8")
        text += "" if text.endswith("\n") else "\n"
    text += _item(principal, key, predicates, names, valid_from, valid_until)
    new = TrustRoot.parse(text.encode())
    if new.signers[:-1] != old.signers:
        raise Refused(f"cannot add to {path}: `signers` must come last in it")
    _replace(path, text.encode())
    return new


def _item(
    principal: str,
    key: PublicKey,
    predicates: Sequence[str],
    names: Sequence[str],
    valid_from: str | None,
    valid_until: str | None,
) -> str:
    # A JSON string is a YAML string, whatever is in it.
    lines = [f"  - principal: {json.dumps(principal)}"]
    lines += [
        f"    {field}: {json.dumps(value)}"
        for field, value in (("valid_from", valid_from), ("valid_until", valid_until))
        if value
    ]
    lines += ["    key: |", *(f"      {line}" for line in key.pem.splitlines())]
    lines += [
        "    may:",
        f"      - predicates: {json.dumps(list(predicates))}",
        f"        names: {json.dumps(list(names))}",
    ]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as source:
            return source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"cannot read the trust root {path}: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    work = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        make_directory(path.parent)
        with work.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(work, path)
        sync_directory(path.parent)
    except OSError as error:
        work.unlink(missing_ok=True)
        raise Unavailable(f"cannot write the trust root {path}: {error.strerror}") from error
