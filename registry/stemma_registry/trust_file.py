"""The trust root as a file: loading it, making one, adding a signer, revoking one.

A signer is added as text behind what people wrote, so that their comments and
their order stay, and the result is parsed before it replaces anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTrustRoot
from stemma_attestations.identity import IdentityPattern
from stemma_attestations.keys import PublicKey
from stemma_attestations.times import format_time
from stemma_attestations.trust import FORMAT, Signer, TrustRoot
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files
from stemma_registry.errors import NotFound, Refused

_EMPTY = re.compile(r"^signers: *\[ *\] *(#.*)?\n*\Z", re.MULTILINE)
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


@dataclass(frozen=True)
class Grants:
    """What a new signer may say about what, and when it counts (RFC 3339)."""

    predicates: Sequence[str]
    names: Sequence[str]
    valid_from: str | None
    valid_until: str | None


def add(
    path: Path,
    principal: str,
    key: PublicKey,
    predicates: Sequence[str] = ("*",),
    names: Sequence[str] = ("**",),
    valid_from: str | None = None,
    valid_until: str | None = None,
) -> TrustRoot:
    """Add a key to the file, which is made if it is not there; the new trust root.

    Raises BadTrustRoot, Refused, Unavailable.
    """
    lines = ["    key: |", *(f"      {line}" for line in key.pem.splitlines())]
    return _extend(path, principal, lines, Grants(predicates, names, valid_from, valid_until))


def add_identity(
    path: Path, principal: str, pattern: IdentityPattern, root: Digest, grants: Grants
) -> TrustRoot:
    """Add an identity that must verify under the Sigstore trusted root `root`. Raises as `add`."""
    lines = [
        "    identity:",
        f"      issuer: {json.dumps(pattern.issuer)}",
        f"      subject: {json.dumps(pattern.subject)}",
        f'      root: "{root}"',
    ]
    if pattern.claims:
        lines.append("      claims:")
        lines += [f"        {name}: {json.dumps(value)}" for name, value in pattern.claims]
    return _extend(path, principal, lines, grants)


def revoke(path: Path, who: str, at: datetime) -> tuple[TrustRoot, tuple[Signer, ...]]:
    """Revoke as of `at` what `who` names: a principal, or a key by twelve digits of its id.

    What provably existed before `at` stays. One that was revoked earlier stays so.
    Returns the new trust root and the signers that it revokes now. Raises NotFound,
    BadTrustRoot, Refused, Unavailable.
    """
    raw = _read(path)
    if raw is None:
        raise NotFound(f"no trust root at {path}")
    old = TrustRoot.parse(raw)
    meant = [i for i, signer in enumerate(old.signers) if _is_meant(signer, who)]
    if not meant:
        raise NotFound(f"{path} lists no principal or key {who:.80}")
    due = [i for i in meant if (time := old.signers[i].revoked) is None or at < time]
    lines = raw.decode("utf-8").splitlines(keepends=True)
    # From the last to the first: a line that comes in moves those behind it.
    for i in reversed(due):
        _mark(lines, _place(raw, i), at)
    text = "".join(lines)
    expected = tuple(replace(s, revoked=at) if i in due else s for i, s in enumerate(old.signers))
    by_hand = f"cannot revoke {who:.80} in {path}: write `revoked: TIME` there by hand"
    try:
        new = TrustRoot.parse(text.encode())
    except BadTrustRoot as error:
        raise Refused(by_hand) from error
    if new.signers != expected:
        raise Refused(by_hand)
    files.replace(path, "trust root", text.encode())
    return new, tuple(new.signers[i] for i in due)


def _is_meant(signer: Signer, who: str) -> bool:
    if signer.principal == who:
        return True
    return signer.key is not None and len(who) >= 12 and signer.key.id.startswith(who)


def _place(raw: bytes, number: int) -> tuple[int, int, int | None]:
    """Line and column of a signer's first field, and the line of its `revoked`, from 0."""
    document: Any = yaml.compose(raw, Loader=yaml.SafeLoader)
    signers = next(value for key, value in document.value if key.value == "signers")
    fields = signers.value[number].value
    first = fields[0][0].start_mark
    revoked = next((key.start_mark.line for key, _ in fields if key.value == "revoked"), None)
    return first.line, first.column, revoked


def _mark(lines: list[str], place: tuple[int, int, int | None], at: datetime) -> None:
    line, column, revoked = place
    text = f'revoked: "{format_time(at)}"\n'
    if revoked is not None:
        lines[revoked] = lines[revoked][:column] + text
        return
    # Before the first field, in whose line the dash of the item stands.
    head = lines[line]
    lines[line : line + 1] = [head[:column] + text, " " * column + head[column:]]


def _extend(path: Path, principal: str, who: Sequence[str], grants: Grants) -> TrustRoot:
    raw = _read(path)
    old = TrustRoot.parse(raw) if raw is not None else NOBODY
    text = _HEADER if raw is None else raw.decode("utf-8")
    if raw is not None and not old.signers:
        text = _EMPTY.sub("signers:\n", text)
    text += "" if text.endswith("\n") else "\n"
    text += _item(principal, who, grants)
    try:
        new = TrustRoot.parse(text.encode())
    except BadTrustRoot as error:
        raise Refused(f"cannot add to {path}: `signers` must come last in it ({error})") from error
    if new.signers[:-1] != old.signers or new.thresholds != old.thresholds:
        raise Refused(f"cannot add to {path}: `signers` must come last in it")
    files.replace(path, "trust root", text.encode())
    return new


def _item(principal: str, who: Sequence[str], grants: Grants) -> str:
    # A JSON string is a YAML string, whatever is in it.
    lines = [f"  - principal: {json.dumps(principal)}"]
    windows = (("valid_from", grants.valid_from), ("valid_until", grants.valid_until))
    lines += [f"    {field}: {json.dumps(value)}" for field, value in windows if value]
    lines += who
    lines += [
        "    may:",
        f"      - predicates: {json.dumps(list(grants.predicates))}",
        f"        names: {json.dumps(list(grants.names))}",
    ]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> bytes | None:
    try:
        return files.read(path, "trust root", MAX_BYTES)
    except NotFound:
        return None
