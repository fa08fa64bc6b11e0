"""The gate's walk against the same question as one recursive query in raw sqlite3."""

from __future__ import annotations

import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Ratio, pair, wall
from stemma_attestations.names import NameVersion
from stemma_registry import custody, signing
from stemma_registry.config import Home
from stemma_registry.lineage import status
from stemma_registry.publish import Push, publish
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry, initialise, snapshot
from stemma_registry.trust import file as trust_file

LENGTH = 60
QUESTION = """
WITH RECURSIVE up(id) AS (
  SELECT ? UNION SELECT input_id FROM edge JOIN up ON edge.output_id = up.id
) SELECT 1 FROM up JOIN subject ON subject.node_id = up.id
  JOIN status ON status.statement_id = subject.statement_id LIMIT 1
"""


def chain_ratios(folder: Path) -> list[Ratio]:
    """A chain of models, a bystander quarantined: is anything upstream of the last one stopped?"""
    home = Home(folder / "lineage-home")
    pem, public = signing.new_key("ecdsa-p256", None)
    signing.write_key(home.key, pem, public)
    trust = trust_file.add(home.trust, "bench", public)
    signer = signing.load_signer(f"key:{home.key}", lambda: None)
    registry = initialise(str(folder / "lineage"), home)
    checkout = folder / "checkout"
    checkout.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)

    def push(name: str, *inputs: tuple[str, str]) -> None:
        root = folder / name.replace(":", "-")
        root.mkdir()
        (root / "w").write_text(name)
        job = Push(root, NameVersion.parse(name), "model", inputs, {}, checkout)
        publish(registry, trust, signer, job, datetime.now(UTC))

    push("m0:1")
    for i in range(1, LENGTH):
        push(f"m{i}:1", ("fine-tuned-from", f"m{i - 1}:1"))
    push("bystander:1")
    now = datetime.now(UTC)
    with snapshot(registry, trust, now) as view:
        seen = custody.preview(view, "bystander:1", signer)
    custody.quarantine(registry, trust, signer, seen.targets, "bench", now)
    return [_ratio(registry, trust, f"m{LENGTH - 1}:1")]


def _ratio(registry: Registry, trust: trust_file.TrustRoot, last: str) -> Ratio:
    raw = sqlite3.connect(registry.catalogue.path)
    with snapshot(registry, trust, datetime.now(UTC)) as view:
        found = resolve(view, last)
        return pair(
            f"is an ancestor stopped? chain of {LENGTH} / raw recursive SQL",
            wall(lambda: status.view(view, found.node, found.name)),
            wall(lambda: raw.execute(QUESTION, (found.node,)).fetchone()),
            runs=21,
        )
