"""Traces that are made up: any size, seeded, and hostile where it is asked for."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime

from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates.deployment import Spot
from stemma_attestations.times import Dated
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue.rows import Fact
from stemma_registry.lineage.deployments import Deployed, State
from stemma_registry.lineage.trace import Direction, Trace, TraceEdge, TraceNode
from stemma_registry.lineage.words import Word

TIME = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
# Each ends or begins something in at least one of the formats.
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    '=HYPERLINK("http://evil.example","x")',
    "%%{init: {'theme':'dark'}}%% `**x**` $$x$$",
    'a"]; click n1 "http://evil.example"',
    'x\\" , URL="http://evil.example" y &lt;b&gt; \\N',
    "a\r\nb,c\u202eexe.txt\u200b\ud800",
    "@@DATA@@ <!-- ]]> {{x}} ${x}",
    "@SUM(1)",
    "-1+1|cmd",
)


def digest(text: str) -> Digest:
    return Digest("sha256", hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def word(assurance: Assurance, signer: str, n: int, about: str = "models/m:1") -> Word:
    name, _, version = about.partition(":")
    dated = (Dated(TIME, digest("root")),)
    fact = Fact(
        digest(f"{signer}{n}{about}"),
        "https://slsa.dev/provenance/v1",
        "ab" * 32,
        n,
        name,
        version,
        dated,
    )
    return Word(assurance, signer, fact)


def node(number: int, label: str, kind: str | None, depth: int) -> TraceNode:
    named = (label,) if kind else ()
    return TraceNode(number, digest(label + str(number)), label, kind, named, depth, False)


def deployed(one: TraceNode, host: str, stage: str | None, believed: bool = True) -> Deployed:
    return Deployed(
        node=one.id,
        digest=one.digest,
        name=NameVersion.parse("models/m:1"),
        spot=Spot(host, "chat", stage),
        state=State.RUNNING,
        instance="i",
        since=TIME,
        said=TIME,
        until=TIME,
        by="gpu-agent",
        believed=believed,
        fact=word(Assurance.ATTESTED, "gpu-agent", 9).fact,
    )


def heavy(size: int, seed: int = 7, direction: Direction = Direction.DOWN) -> Trace:
    """A trace such as they are: few with many children, merges, words of every kind."""
    chance = random.Random(seed)
    nodes = {1: node(1, "data/web-crawl-2026:3", "dataset", 0)}
    depths, edges, popular = {1: 0}, [], [1]
    kinds = ("dataset", "model", "adapter", "model", "model", "tokenizer", "evaluation")
    for number in range(2, size + 1):
        parents = {chance.choice(popular) for _ in range(chance.choice((1, 1, 1, 1, 2, 3)))}
        parents = {p for p in parents if nodes[p].kind in ("dataset", "model")} or {1}
        kind = chance.choice(kinds)
        depth = 1 + min(depths[p] for p in parents)
        team = chance.choice(("qa", "chat", "ranker", "vision", "summaries"))
        nodes[number] = node(
            number,
            f"{kind}s/{team}-{number}-{chance.choice(('base', 'int8', 'sft', 'de'))}:{number % 7}",
            kind,
            depth,
        )
        depths[number] = depth
        popular += [number] + [max(parents)] * 2
        edges += [_edge(chance, p, number, nodes[p].kind, kind) for p in sorted(parents)]
    _mark(nodes, chance)
    if direction is Direction.UP:
        edges = [edge._replace(input=edge.output, output=edge.input) for edge in edges]
    return Trace(1, direction, nodes, tuple(edges), 4711)


def _edge(
    chance: random.Random, parent: int, child: int, above: str | None, kind: str
) -> TraceEdge:
    relation = "fine-tuned-from" if above == "model" else "trained-on"
    if kind == "evaluation":
        relation = "evaluated-on"
    elif kind == "dataset":
        relation = "filtered-from"
    worth = chance.choices(list(Assurance)[:3], (90, 6, 4))[0]
    signer = {"attested": "ci-trainer", "signed": "key 6a938656", "claimed": "nobody"}[worth]
    return TraceEdge(parent, child, relation, (word(worth, signer, child),))


def _mark(nodes: dict[int, TraceNode], chance: random.Random) -> None:
    nodes[1] = nodes[1]._replace(quarantined=True)
    models = [number for number, one in nodes.items() if one.kind in ("model", "adapter")]
    for number in chance.sample(models, max(1, len(models) // 25)):
        stage = chance.choice(("prod", "canary", None))
        hosts = [
            deployed(nodes[number], f"gpu-{number}-{i}", stage) for i in range(chance.randint(1, 9))
        ]
        nodes[number] = nodes[number]._replace(deployed=tuple(hosts))
    for number in chance.sample(models, max(1, len(models) // 60)):
        nodes[number] = nodes[number]._replace(quarantined=True)


def hostile() -> Trace:
    """Every text of others is hostile: labels, names, kinds, relations, paths, signers, hosts."""
    nodes = {1: node(1, HOSTILE[0], "dataset", 0)}
    edges = []
    for number, text in enumerate(HOSTILE, 2):
        one = node(number, text, text, 1)._replace(erased=(text,), quarantined=number == 3)
        nodes[number] = one._replace(deployed=(deployed(one, text, text, number % 2 == 0),))
        said = word(Assurance.SIGNED, text, number, f"{text}:1")
        edges += [
            TraceEdge(1, number, text, (said,)),
            TraceEdge(1, number, "contains", path=text),
        ]
    edges += [TraceEdge(3, 1, "trained-on", (word(Assurance.CLAIMED, "x", 3),))]  # a circle
    edges += [TraceEdge(3, 3, "trained-on", (word(Assurance.CLAIMED, "x", 3),))]  # and a loop
    return Trace(1, Direction.DOWN, nodes, tuple(edges), 5)
