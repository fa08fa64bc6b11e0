"""A push whose statements are signed over other bytes: the key is right, the signature is not."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.config import Home
from stemma_registry.publish import Push, publish
from stemma_registry.registry import open_registry
from stemma_registry.signing import KeySigner, keyfile
from stemma_registry.trust import file as trust_file
from tests.gate.desk import WEIGHTS, Desk


@dataclass(frozen=True)
class Forger(KeySigner):
    """Puts the signature of one statement under another."""

    def sign(self, statement: Statement) -> Bundle:
        subject = ResourceDescriptor(name="x", digests=(Digest.of(b"x"),))
        true = json.loads(super().sign(statement).raw)
        other = json.loads(super().sign(Statement.build([subject], "urn:x", {})).raw)
        true["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
        return Bundle.parse(json.dumps(true).encode())


def push_forged(desk: Desk, name: str) -> None:
    """Push a model as the owner, with signatures that do not verify."""
    folder = desk.work / "forged"
    folder.mkdir()
    (folder / "m.safetensors").write_bytes(WEIGHTS + b"f")
    home = Home(desk.home)
    own = keyfile.load(str(home.key), lambda: None)
    job = Push(folder, NameVersion.parse(name), "model", [], {}, desk.work)
    with contextlib.closing(open_registry(str(desk.store), home)) as registry:
        trust = trust_file.load(home.trust, required=True)
        publish(registry, trust, Forger(own.private, own.public), job, datetime.now(UTC))
