"""The trust root as a file: loading it, making one, adding a signer, revoking one.

A signer is added as text behind what people wrote, so that their comments and
their order stay, and the result is parsed before it replaces anything.
"""

from __future__ import annotations

import json
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
from stemma_attestations.listed import Signer
from stemma_attestations.times import format_time
from stemma_attestations.trust import FORMAT, TrustRoot
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files
from stemma_registry.errors import NotFound, Refused

NOBODY = TrustRoot((), Digest.of(b""))
_HEADER = f"""\
# Whom this machine believes: which key may say what (predicates) about which names.
# Patterns match whole segments: * is one, ** any number. Specified in docs/formats/trust-root.md.
format: {FORMAT}
"""


def _header(time: Sequence[Digest] = ()) -> str:
    items = "".join(f'  - root: "{root}"\n' for root in time)
    return _HEADER + (f"time:\n{items}" if items else "") + "signers:\n"


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


def add_time(path: Path, root: Digest) -> TrustRoot:
    """Believe the Sigstore trusted root `root` about when keys signed; the new trust root.

    One that is listed already changes nothing. Raises BadTrustRoot, Refused, Unavailable.
    """
    raw = _read(path)
    old = TrustRoot.parse(raw) if raw is not None else NOBODY
    if root in old.time:
        return old
    item = f'- root: "{root}"\n'
    if raw is None:
        text = _header((root,)).replace("signers:\n", "signers: []\n")
    else:
        lines = raw.decode("utf-8").splitlines(keepends=True)
        line, column = _time_place(raw)
        # Without a list of times there is a line to begin one in: that of `signers`.
        lines.insert(line, f"time:\n  {item}" if column is None else " " * column + item)
        text = "".join(lines)
    by_hand = f"cannot add to {path}: write `time:` and `  {item.strip()}` there by hand"
    try:
        new = TrustRoot.parse(text.encode())
    except BadTrustRoot as error:
        raise Refused(by_hand) from error
    if replace(old, digest=new.digest, time=(root, *old.time)) != new:
        raise Refused(by_hand)
    files.replace(path, "trust root", text.encode())
    return new


def _time_place(raw: bytes) -> tuple[int, int | None]:
    """Line and column of the first item of `time`, or else the line of `signers`, from 0."""
    fields = _fields(raw)
    if "time" in fields:
        mark = fields["time"][1].start_mark
        return mark.line, mark.column
    return fields["signers"][0].start_mark.line, None


def _fields(raw: bytes) -> dict[str, tuple[Any, Any]]:
    """The file's fields, as nodes that know their places."""
    document: Any = yaml.compose(raw, Loader=yaml.SafeLoader)
    return {key.value: (key, value) for key, value in document.value}


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
    fields = _fields(raw)["signers"][1].value[number].value
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
    if raw is None or not (old.signers or old.time or old.thresholds):
        text = _header()
    elif not old.signers:  # a list with items takes the place of the empty one
        lines = raw.decode("utf-8").splitlines(keepends=True)
        text = "".join(lines[: _fields(raw)["signers"][0].start_mark.line]) + "signers:\n"
    else:
        text = raw.decode("utf-8")
        text += "" if text.endswith("\n") else "\n"
    text += _item(principal, who, grants)
    new = TrustRoot.parse(text.encode())
    if replace(new, digest=old.digest, signers=new.signers[:-1]) != old:
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
