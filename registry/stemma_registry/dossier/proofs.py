"""That ledger entries lie below a head: RFC 6962 inclusion proofs, written and held."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import sha256
from stemma_attestations.errors import Malformed
from stemma_attestations.merkle import Proofs, leaf_hash, root_of_path
from stemma_registry.blobs.contract import Store
from stemma_registry.errors import BadDossier, LedgerBroken
from stemma_registry.ledger import segments
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head

FORMAT = "urn:stemma:dossier-proofs:v0.1"
_LONGEST = 64  # hashes of one proof


@dataclass(frozen=True)
class Excerpt:
    """Entries of a ledger by their numbers, its head `n` among them, and their proofs."""

    n: int
    entries: Mapping[int, LedgerEntry]
    proofs: bytes

    @property
    def head(self) -> LedgerEntry:
        """The entry that ends the ledger."""
        return self.entries[self.n]


def excerpt(store: Store, n: int, wanted: Collection[int]) -> Excerpt:
    """The wanted entries and entry `n`, from a walk over the ledger up to there.

    Raises LedgerBroken, Unavailable.
    """
    reader, head = segments.Reader(store), Head()
    leaves: list[bytes] = []
    found: dict[int, LedgerEntry] = {}
    while head.n < n:
        entry = reader.after(head)
        if entry is None:
            raise LedgerBroken(f"the ledger ends before entry {n}, which was read before")
        head.advance(entry)
        if entry.n < n:
            leaves.append(leaf_hash(entry.raw))
        if entry.n in wanted or entry.n == n:
            found[entry.n] = entry
    tree = Proofs(leaves)
    paths = [
        {"n": number, "path": [node.hex() for node in tree.path(number)]}
        for number in sorted(found)
        if number < n
    ]
    return Excerpt(n, found, canonical.dumps({"format": FORMAT, "size": n, "paths": paths}))


def check(head: LedgerEntry, entries: Mapping[int, LedgerEntry], raw: bytes) -> None:
    """Make sure that every entry lies below the head. Raises BadDossier."""
    paths = _parse(raw, head.n)
    if paths.keys() != entries.keys() - {head.n}:
        raise BadDossier("its proofs are not of its ledger entries")
    for n, path in paths.items():
        root = root_of_path(n, head.n, leaf_hash(entries[n].raw), path)
        if root is None or root.hex() != head.tree_root:
            raise BadDossier(f"ledger entry {n} is not proved to lie below entry {head.n}")


def _parse(raw: bytes, size: int) -> dict[int, list[bytes]]:
    try:
        document = json_strict.load_object(raw, max_bytes=len(raw))
        if document["format"] != FORMAT or document["size"] != size:
            raise BadDossier("its proofs are not of the ledger that it names")
        return dict(_path(item) for item in document["paths"])
    except (Malformed, KeyError, TypeError) as error:
        raise BadDossier(f"its proofs: {error!s:.100}") from error


def _path(item: Any) -> tuple[int, list[bytes]]:
    n, nodes = item["n"], item["path"]
    if type(n) is not int or not isinstance(nodes, list) or len(nodes) > _LONGEST:
        raise BadDossier("its proofs: {n, path} is expected")
    return n, [bytes.fromhex(sha256(node).value) for node in nodes]
