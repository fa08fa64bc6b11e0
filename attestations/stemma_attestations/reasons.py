"""Why a verdict is a no, for machines: which word speaks against it, whose, and by which edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest


@dataclass(frozen=True)
class Edge:
    """One edge of the lineage, as the statement in `bundle` says it.

    `output` and `input` are digests, with a label for people each. `contains` is an edge
    too: it follows from bytes, so it has no bundle, and `path` is the file.
    """

    output: Digest
    output_label: str
    relation: str
    input: Digest
    input_label: str
    assurance: str
    bundle: Digest | None = None
    signer: str | None = None
    path: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `--json` and the verification summary have it."""
        return {
            "output": str(self.output),
            "output_label": self.output_label,
            "relation": self.relation,
            "input": str(self.input),
            "input_label": self.input_label,
            "assurance": self.assurance,
            "bundle": _text(self.bundle),
            "signer": self.signer,
            "path": self.path,
        }


@dataclass(frozen=True)
class Reason:
    """One reason against.

    `code` is a word of docs/formats/verdict.md, `text` a line for people and `further` more
    of them. `about` is what fails: a file, or something upstream. `bundle` holds the statement
    that does not do, or that stops it; `key_id` signed it, who is `signer` to the trust
    root. `edges` lead from what is judged to what fails.
    """

    text: str
    code: str = ""
    about: str | None = None
    bundle: Digest | None = None
    signer: str | None = None
    key_id: str | None = None
    edges: tuple[Edge, ...] = ()
    further: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All that people read of it."""
        return (self.text, *self.further)

    def to_json(self) -> dict[str, Any]:
        """As `--json` and the verification summary have it."""
        return {
            "code": self.code,
            "text": self.text,
            "about": self.about,
            "bundle": _text(self.bundle),
            "signer": self.signer,
            "key_id": self.key_id,
            "edges": [edge.to_json() for edge in self.edges],
        }


def _text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)
