"""in-toto links that are attached as they came: who signed one, and what it says.

A link is no Statement v1, so nobody finds it under its subjects: what it gives are edges,
materials to products, in the words of the predicate that links have today.
"""

from __future__ import annotations

from collections.abc import Mapping

from stemma_attestations import foreign
from stemma_attestations.digest import Digest
from stemma_attestations.edges import Edge, crossed
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.foreign import Piece
from stemma_attestations.keys import PublicKey
from stemma_attestations.predicates.link import TYPE
from stemma_attestations.predicates.provenance import Input
from stemma_registry.foreign import links

__all__ = ["TYPE", "edges", "read", "signer"]


def read(raw: bytes) -> Piece | None:
    """The link in a document, if it is one and nothing else."""
    try:
        pieces = foreign.read(raw)
    except BadBundle:
        return None
    return pieces[0] if len(pieces) == 1 and pieces[0].link is not None else None


def signer(piece: Piece, keys: Mapping[str, PublicKey]) -> str | None:
    """The id of the key that signed it, if one of these did."""
    known = {key.id: key for key in keys.values()}
    return next((key.id for _, key in links.signers(piece, known)), None)


def edges(piece: Piece) -> list[Edge]:
    """What it says; what it only passed on was not made by it."""
    if piece.link is None:
        return []
    products = list(_things(piece.link.products))
    inputs = [thing for thing in _things(piece.link.materials) if thing not in set(products)]
    try:
        return crossed(products, [Input("derived-from", thing) for thing in inputs])
    except BadStatement:
        return []  # more than one statement may say


def _things(recorded: Mapping[str, tuple[Digest, ...]]) -> dict[Digest, None]:
    found = (digest for digests in recorded.values() for digest in digests)
    return dict.fromkeys(digest for digest in found if digest.algorithm in ("sha256", "gitCommit"))
