"""References: how people name a node, and which node that is.

NAME:VERSION   NAME@sha256:HEX   sha256:HEX (or a unique prefix of 12 digits)
git:COMMIT (or a unique prefix of 7)   NAME#STAGE (what is there)   gitTree:HEX (as said)
hf:ORG/NAME@REV   pkg:TYPE/NAME@VERSION   oci:HOST/NAME:TAG   s3://...   (stemma_attestations.named)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemma_attestations import named
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadName
from stemma_attestations.names import NameVersion, check_name, is_stage
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import climb, nodes, query
from stemma_registry.catalogue.climb import Called
from stemma_registry.catalogue.rows import VersionRow
from stemma_registry.errors import NotFound
from stemma_registry.registry import Snapshot
from stemma_registry.stages import holding

MIN_PREFIX = 12
_ORDER = tuple(Assurance)
_SHA256 = re.compile(r"sha256:([0-9a-f]{1,64})\Z")
_GIT = re.compile(r"git:([0-9a-f]{7,64})\Z")
_GIT_TREE = re.compile(r"gitTree:([0-9a-f]{7,64})\Z")


@dataclass(frozen=True)
class Resolved:
    """A node of the graph; `name` is the NAME:VERSION it was asked for by, if any.

    `stage` is where it is, if it was asked for as what is there.
    """

    node: int
    digest: Digest
    name: NameVersion | None
    label: str
    stage: str | None = None


def looks_like_reference(text: str) -> bool:
    """Whether `text` has the form of a reference (else it is a path)."""
    if _SHA256.match(text) or _GIT.match(text) or _GIT_TREE.match(text) or "@sha256:" in text:
        return True
    if named.looks_named(text):
        return True
    if "#" not in text:
        return _is_name(text)
    try:
        _staged(text)
    except BadName:
        return False
    return True


def resolve(snapshot: Snapshot, text: str) -> Resolved:
    """The node of a reference. Raises NotFound, BadName, BadDigest."""
    if match := _SHA256.match(text):
        return _by_digest(snapshot, "sha256", match.group(1), text)
    if match := _GIT.match(text):
        return _by_digest(snapshot, "gitCommit", match.group(1), text)
    if match := _GIT_TREE.match(text):
        return _by_digest(snapshot, "gitTree", match.group(1), text)
    if named.looks_named(text) and not _is_name(text):
        return _by_thing(snapshot, text)
    if "@" in text:
        return _by_name_and_digest(snapshot, text)
    if "#" in text:
        return _by_stage(snapshot, text)
    name = NameVersion.parse(text)
    row = binding(snapshot, name)
    if row is None and named.looks_named(text):
        return _by_thing(snapshot, text)  # hf:gpt2 may be either
    if row is None:
        raise NotFound(f"nothing is named {name}{_versions_hint(snapshot, name)}")
    digest = query.digests(snapshot.connection, [row.artifact_id])[row.artifact_id]
    return Resolved(row.artifact_id, digest, name, str(name))


def whole_digest(text: str) -> Digest:
    """A digest written in full, which the registry need not know. Raises BadDigest."""
    scheme, _, value = text.partition(":")
    return Digest("gitCommit" if scheme == "git" else scheme, value)


def binding(snapshot: Snapshot, name: NameVersion) -> VersionRow | None:
    """What NAME:VERSION is bound to: the first binding by a believed signer.

    Where no signer is believed, the first that is signed, and then the first
    at all; the gate refuses those, and showing them is better than hiding them.
    """
    rows = query.bindings(snapshot.connection, name)
    for wanted in (Assurance.ATTESTED, Assurance.SIGNED, Assurance.CLAIMED):
        for row in rows:
            if worth(snapshot, row) is wanted:
                return row
    return None


def worth(snapshot: Snapshot, row: VersionRow) -> Assurance:
    """The assurance of a binding: attested only where nobody distrusts its signer for it."""
    fact, trust, name = row.fact, snapshot.trust, row.name.name
    found = trust.assurance(fact.signer, fact.predicate_type, name, None, fact.signed)
    if found is not Assurance.ATTESTED or fact.signer is None:
        return found
    holds = trust.supports(fact.signer, fact.predicate_type, name, fact.signed)
    return found if holds else Assurance.SIGNED


def labels(snapshot: Snapshot, nodes: set[int]) -> dict[int, str]:
    """For people: the best name of each node, else its short digest."""
    return labelled(snapshot, query.digests(snapshot.connection, nodes))


def labelled(snapshot: Snapshot, nodes: Mapping[int, Digest]) -> dict[int, str]:
    """The same, for nodes whose digests are known."""
    found = {}
    names = climb.called(snapshot.connection, nodes)
    for node, digest in nodes.items():
        found[node] = label(snapshot, digest, names.get(node, ()))
    return found


def label(snapshot: Snapshot, digest: Digest, names: Sequence[Called]) -> str:
    """The same, of one whose names are known, too."""
    if names:
        best = _best(snapshot, names)
        return f"{best.name}:{best.version}"
    return unnamed(digest)


def unnamed(digest: Digest) -> str:
    """The same, of one that has none."""
    return f"git:{digest.value[:12]}" if digest.algorithm == "gitCommit" else digest.short


def called(row: VersionRow) -> Called:
    """As much of a binding as `label` asks for."""
    fact = row.fact
    return Called(row.name.name, row.name.version, fact.predicate_type, fact.signer, fact.signed)


def _best(snapshot: Snapshot, names: Sequence[Called]) -> Called:
    """As `best_version`."""
    if len(names) == 1:
        return names[0]

    def rank(one: Called) -> int:
        said = one.signer, one.predicate_type, one.name, None, one.signed
        return _ORDER.index(snapshot.trust.assurance(*said))

    return min(names, key=rank)


def best_version(snapshot: Snapshot, rows: Sequence[VersionRow]) -> VersionRow | None:
    """The binding to show first: believed before signed before claimed, oldest first."""
    if len(rows) == 1:
        return rows[0]
    return min(rows, key=lambda row: _ORDER.index(worth(snapshot, row)), default=None)


def _by_digest(snapshot: Snapshot, scheme: str, prefix: str, text: str) -> Resolved:
    if scheme == "sha256" and len(prefix) < MIN_PREFIX:
        raise BadDigest(f"{text}: write at least {MIN_PREFIX} hex digits")
    found = nodes.by_prefix(snapshot.connection, scheme, prefix, 2)
    if not found:
        raise NotFound(f"nothing has the digest {text}")
    if len(found) > 1:
        raise BadDigest(f"{text} is the beginning of more than one digest; write more of it")
    node, digest = found[0]
    return Resolved(node, digest, None, labels(snapshot, {node})[node])


def _is_name(text: str) -> bool:
    try:
        NameVersion.parse(text)
    except BadName:
        return False
    return True


def _by_thing(snapshot: Snapshot, text: str) -> Resolved:
    """What is known by a name that others gave it. Raises NotFound, BadName."""
    thing = named.parse(text)
    node = query.node_id(snapshot.connection, thing)
    if node is None:
        raise NotFound(f"no statement speaks of {thing.short}{_things_hint(snapshot, thing)}")
    return Resolved(node, thing, None, labels(snapshot, {node})[node])


def _things_hint(snapshot: Snapshot, thing: Digest) -> str:
    """Other revisions of the same thing, of which some statement speaks."""
    if not isinstance(thing, named.Named):
        return ""
    plain = thing.text.partition("@")[0]
    others = (text for _, text in nodes.called(snapshot.connection, plain))
    known = [text for text in others if text.partition("@")[0] == plain]
    if not known:
        return ""
    return f"; of {', '.join(known[:5])}{', ...' if len(known) > 5 else ''} one does"


def _by_name_and_digest(snapshot: Snapshot, text: str) -> Resolved:
    name, _, digest_text = text.partition("@")
    check_name(name)
    digest = Digest.parse(digest_text)
    node = query.node_id(snapshot.connection, digest)
    rows = query.versions_of(snapshot.connection, [node]).get(node, []) if node else []
    rows = [row for row in rows if row.name.name == name]
    best = best_version(snapshot, rows)
    if node is None or best is None:
        raise NotFound(f"{name} was never said about {digest.short}")
    return Resolved(node, digest, best.name, str(best.name))


def _staged(text: str) -> tuple[str, str]:
    """NAME and STAGE of `NAME#STAGE`. Raises BadName."""
    name, _, stage = text.partition("#")
    if not is_stage(stage):
        raise BadName(f"{text!r:.80} names no stage (write NAME#STAGE: a word of a-z, 0-9 and -)")
    return check_name(name), stage


def _by_stage(snapshot: Snapshot, text: str) -> Resolved:
    name, stage = _staged(text)
    found = holding.holder(snapshot, name, stage)
    if found is not None:
        return Resolved(found.artifact_id, found.digest, found.name, str(found.name), stage)
    others = [where for (_, where), one in holding.histories(snapshot, name).items() if one.left]
    hint = f"; {name} is at {', '.join(others)}" if others else ""
    raise NotFound(f"nothing is at {text}{hint} (`stemma promote {name}:VERSION {stage}`)")


def _versions_hint(snapshot: Snapshot, name: NameVersion) -> str:
    rows = query.versions_named(snapshot.connection, name.name)
    if not rows:
        return " (see `stemma list`)"
    known = sorted({row.name.version for row in rows})
    shown = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
    return f"; {name.name} has {shown}"
