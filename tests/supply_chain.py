"""A supply chain for tests: a layout by an owner, functionaries, and the links of three steps.

Made with in_toto itself, classic or in envelopes: curate makes a dataset, train takes
exactly that and makes the model, evaluate takes the model and makes metrics.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from in_toto.models.layout import Layout, Step
from in_toto.models.link import Link
from in_toto.models.metadata import Envelope, Metablock
from securesystemslib.signer import CryptoSigner

from stemma_attestations.keys import PublicKey

DATA, MODEL, METRICS = b"clean rows\n", b"the weights\n", b'{"f1": 0.9}\n'
LATER, BEFORE = "2036-01-01T00:00:00Z", "2026-01-01T00:00:00Z"


def person(kind: str = "ecdsa") -> CryptoSigner:
    """A functionary's key."""
    if kind == "ecdsa":
        return CryptoSigner(ec.generate_private_key(ec.SECP256R1()))
    return CryptoSigner(ed25519.Ed25519PrivateKey.generate())


def pem(signer: CryptoSigner) -> bytes:
    """The public half."""
    return signer._private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public(signer: CryptoSigner) -> PublicKey:
    """The public half as Stemma has it."""
    return PublicKey.parse(pem(signer))


def key(signer: CryptoSigner) -> dict[str, Any]:
    """The public half as a layout has it."""
    return {**signer.public_key.to_dict(), "keyid": signer.public_key.keyid}


def hashed(files: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    return {path: {"sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()}


@dataclass
class Chain:
    """Who does what: `curator` (Ed25519) curates, `trainer` (ECDSA) trains and evaluates."""

    owner: CryptoSigner = field(default_factory=person)
    curator: CryptoSigner = field(default_factory=lambda: person("ed25519"))
    trainer: CryptoSigner = field(default_factory=person)
    dsse: bool = False

    def steps(self) -> list[Step]:
        curator, trainer = self.curator.public_key.keyid, self.trainer.public_key.keyid
        match = [["MATCH", "data/*", "WITH", "PRODUCTS", "FROM", "curate"], ["DISALLOW", "*"]]
        taken = [["MATCH", "*", "WITH", "PRODUCTS", "FROM", "train"], ["DISALLOW", "*"]]
        made = [["CREATE", "out/*"], ["DISALLOW", "*"]]
        return [
            Step(name="curate", pubkeys=[curator], expected_products=[["CREATE", "data/*"]]),
            Step(
                name="train",
                pubkeys=[trainer],
                expected_materials=match,
                expected_products=made,
            ),
            Step(name="evaluate", pubkeys=[trainer], expected_materials=taken),
        ]

    def layout(self, **changes: Any) -> Layout:
        fields: dict[str, Any] = {
            "expires": LATER,
            "keys": {s.public_key.keyid: key(s) for s in (self.curator, self.trainer)},
            "steps": self.steps(),
            "inspect": [],
        }
        return Layout(**{**fields, **changes})

    def signed(self, layout: Layout | None = None, *signers: CryptoSigner) -> bytes:
        """The layout's file, signed by the owner or by others."""
        return self.sealed(layout or self.layout(), *(signers or (self.owner,)))

    def sealed(self, what: Layout | Link, *signers: CryptoSigner) -> bytes:
        wrapped = Envelope.from_signable(what) if self.dsse else Metablock(signed=what)
        for signer in signers:
            wrapped.create_signature(signer)
        return json.dumps(wrapped.to_dict()).encode()

    def link(
        self,
        name: str,
        by: CryptoSigner,
        materials: Mapping[str, bytes],
        products: Mapping[str, bytes],
    ) -> bytes:
        link = Link(
            name=name,
            materials=hashed(materials),
            products=hashed(products),
            command=["python", f"{name}.py"],
            byproducts={"return-value": 0},
        )
        return self.sealed(link, by)

    def curate(self, by: CryptoSigner | None = None, data: bytes = DATA) -> bytes:
        return self.link("curate", by or self.curator, {}, {"data/a": data})

    def train(
        self, by: CryptoSigner | None = None, data: bytes = DATA, model: bytes = MODEL
    ) -> bytes:
        return self.link("train", by or self.trainer, {"data/a": data}, {"out/model.bin": model})

    def evaluate(self, by: CryptoSigner | None = None, model: bytes = MODEL) -> bytes:
        return self.link(
            "evaluate", by or self.trainer, {"out/model.bin": model}, {"metrics.json": METRICS}
        )

    def links(self) -> list[bytes]:
        return [self.curate(), self.train(), self.evaluate()]
