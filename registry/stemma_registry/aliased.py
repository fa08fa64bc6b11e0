"""References by an alias: a digest that is computed from an artifact, and is not its identity.

gitTree:HEX   the Git tree of its files       sha256:HEX   the OpenSSF model signing root

For whoever looks for something. The gate takes an identity, and no alias: two artifacts may
share one. Nothing here is stored; what several artifacts share is said, and none of them chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stemma_attestations.digest import LENGTHS, Digest
from stemma_attestations.errors import BadDigest
from stemma_attestations.manifest import Manifest
from stemma_registry import reference, trees
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import manifests, query
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound
from stemma_registry.lineage.trace import ORIGIN, Direction, Origin, TraceEdge
from stemma_registry.reference import Resolved, labels
from stemma_registry.registry import Snapshot

TREE = "gitTree:"
RELATION = "same-tree"
_ROOT = "OMS root"


@dataclass(frozen=True)
class Known:
    """Aliases of an artifact that statements speak of by themselves: digest -> what it is.

    `shared` are those that another artifact has too, with an example of those.
    """

    own: dict[Digest, str]
    shared: dict[Digest, str]


def resolve(view: Snapshot, store: Store, text: str) -> Resolved:
    """The node of a reference, which may be an alias.

    Raises NotFound, and BadDigest for an alias of several, as for a prefix of several.
    """
    tree = _tree(text)
    if tree is not None:
        found = trees.search(view, store, tree)
        nodes = [node for node, _ in found.nodes]
        return _one(view, text, "Git tree", nodes) or _said(view, text, found)
    return by_root(view, text) or reference.resolve(view, text)


def by_root(view: Snapshot, text: str) -> Resolved | None:
    """The artifact of an OMS root, if `text` is one and no digest of bytes. Raises BadDigest."""
    digest = _whole(text)
    if digest is None or digest.algorithm != "sha256" or _is_bytes(view, digest):
        return None
    return _one(view, text, _ROOT, with_root(view, digest))


def with_root(view: Snapshot, root: Digest) -> list[int]:
    """The artifacts that have an OMS root, of so many as `LIMITS.alias_artifacts`."""
    ids, _ = manifests.newest(view.connection, LIMITS.alias_artifacts, LIMITS.alias_files)
    each = manifests.entries(view.connection, ids)
    return [node for node, entries in each if entries and Manifest(entries).oms_root == root]


def start(view: Snapshot, store: Store, text: str, direction: Direction) -> int | Origin:
    """Where a trace of an alias starts: with all that it may mean. Raises NotFound, BadDigest."""
    tree = _tree(text)
    if tree is None:
        return resolve(view, store, text).node
    found = trees.search(view, store, tree)
    named = query.node_id(view.connection, tree)
    nodes = [*([named] if named is not None else []), *(node for node, _ in found.nodes)]
    if not nodes:
        return _said(view, text, found).node
    if len(nodes) == 1:
        return nodes[0]
    down = direction is Direction.DOWN
    ends = ((ORIGIN, node) if down else (node, ORIGIN) for node in nodes)
    return Origin(text, "tree", tuple(TraceEdge(*pair, RELATION) for pair in ends))


def known(view: Snapshot, store: Store | None, node: int) -> Known:
    """Which aliases of an artifact the catalogue has as nodes: somebody spoke of it by those.

    Without a store, those that follow from the manifest.
    """
    own, shared = dict[Digest, str](), dict[Digest, str]()
    ((_, entries),) = manifests.entries(view.connection, [node])
    if not entries:
        return Known(own, shared)
    root = Manifest(entries).oms_root
    if query.node_id(view.connection, root) is not None and not _is_bytes(view, root):
        others = [other for other in with_root(view, root) if other != node]
        if others:
            shared[root] = labels(view, {others[0]})[others[0]]
        else:
            own[root] = _ROOT
    for tree in trees.aliases(view, store, node, entries):
        if query.node_id(view.connection, tree) is not None:
            own[tree] = "Git tree"
    return Known(own, shared)


def _one(view: Snapshot, text: str, what: str, nodes: Iterable[int]) -> Resolved | None:
    """The one artifact that an alias means. Raises BadDigest where it means several."""
    found = sorted(set(nodes))
    if not found:
        return None
    called = labels(view, set(found))
    if len(found) > 1:
        each = ", ".join(sorted(called.values())[:5])
        raise BadDigest(f"{text} is the {what} of {len(found)} artifacts; say which: {each}")
    digest = query.digests(view.connection, found)[found[0]]
    return Resolved(found[0], digest, None, called[found[0]])


def _said(view: Snapshot, text: str, found: trees.Found) -> Resolved:
    """What statements call by that tree. Raises NotFound, saying how far was looked."""
    try:
        return reference.resolve(view, text)
    except NotFound as error:
        rest = "; some were left out, the limits are named ones" if found.cut else ""
        raise NotFound(
            f"no artifact has the {text[:20]} and no statement speaks of it "
            f"(looked at: {found.looked_at}{rest})"
        ) from error


def _tree(text: str) -> Digest | None:
    digest = _whole(text)
    return digest if digest is not None and digest.algorithm == "gitTree" else None


def _whole(text: str) -> Digest | None:
    algorithm, _, value = text.partition(":")
    if len(value) not in LENGTHS.get(algorithm, ()):
        return None
    return Digest.parse(text)


def _is_bytes(view: Snapshot, digest: Digest) -> bool:
    """Whether it is the digest of an artifact or of a file of one."""
    node = query.node_id(view.connection, digest)
    if node is None:
        return False
    return bool(query.artifacts(view.connection, [node]) or query.is_file(view.connection, node))
