"""A policy can ask that nothing quarantined shares tensors undeclared: and on whose word."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_attestations import policy_file, policy_words
from stemma_attestations.errors import BadPolicy, NotVerified, Quarantined, Undecided
from stemma_attestations.verdict import Verdict
from stemma_registry import gate
from stemma_registry.gate import Terms
from tests.tensors import models
from tests.world import World

BASE = models.layers(1)
RULE = """\
format: urn:stemma:policy:v0.1
rules:
  - names: ["**"]
    provenance: none
    bom: none
    tensors:
      undeclared_quarantined: deny
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def one_file(tensors: models.Weights) -> dict[str, bytes]:
    return {"model.safetensors": models.safetensors(tensors)}


def judge(world: World, reference: str, rule: str = RULE) -> Verdict:
    policy = policy_file.parse(rule.encode(), "tensors")
    with world.view() as view:
        return gate.verify_reference(world.registry, view, reference, terms=Terms(policy))


def refused(world: World, reference: str, rule: str = RULE) -> type[Exception] | None:
    try:
        judge(world, reference, rule)
    except NotVerified as error:
        return type(error)
    return None


def test_a_frozen_layer_fine_tune_pushed_without_inputs_does_not_escape(world: World) -> None:
    world.push("models/base:1", one_file(BASE), kind="model")
    world.push("models/fine:1", models.sharded(models.tuned(BASE, 2, 7), 3), kind="model")
    world.push("models/other:1", one_file(models.layers(9)), kind="model")
    assert refused(world, "models/fine:1") is None
    world.quarantine("models/base:1")
    with pytest.raises(Quarantined) as raised:
        judge(world, "models/fine:1")
    text = str(raised.value)
    assert "12.5% of its tensors are those of models/base:1" in text
    assert refused(world, "models/fine:1", RULE + "      share: 0.2\n") is None
    assert refused(world, "models/fine:1", RULE + "      share: 0.125\n") is Quarantined
    assert refused(world, "models/other:1") is None
    world.release("models/base:1")
    assert refused(world, "models/fine:1") is None


def test_what_is_stopped_by_its_ancestors_counts(world: World) -> None:
    world.push("data/bad:1")
    world.push("models/base:1", one_file(BASE), "trained-on=data/bad:1", kind="model")
    world.push("models/copy:1", {"w.gguf": models.gguf(BASE)}, kind="model")
    world.quarantine("data/bad:1")
    assert refused(world, "models/copy:1") is Quarantined


def test_a_base_and_siblings_of_what_is_quarantined_stay(world: World) -> None:
    world.push("models/base:1", one_file(BASE), kind="model")
    for name, seed in (("bad", 2), ("good", 3)):
        tuned = one_file(models.tuned(BASE, seed, 2))
        world.push(f"models/{name}:1", tuned, "fine-tuned-from=models/base:1", kind="model")
    taken = {**models.tuned(BASE, 2, 2), **models.weights(7, "model.layers.0.weight")}
    world.push("models/took:1", one_file(taken), "fine-tuned-from=models/base:1", kind="model")
    world.quarantine("models/bad:1")
    assert refused(world, "models/base:1") is None
    assert refused(world, "models/good:1") is None
    assert refused(world, "models/took:1") is Quarantined


def test_a_stranger_neither_blocks_nor_unblocks(world: World) -> None:
    world.push("models/base:1", one_file(BASE), kind="model")
    world.push("models/fine:1", one_file(models.tuned(BASE, 2, 3)), kind="model")
    # A copy of somebody else's weights, quarantined by whoever may speak for the copy only.
    world.trust_also("guest", ["guest/**"])
    world.push("guest/copy:1", models.sharded(BASE, 2), kind="model", by="guest")
    world.quarantine("guest/copy:1", by="guest")
    assert refused(world, "models/base:1") is None
    # A stranger's table of something that is quarantined by somebody believed.
    world.push("fork/copy:1", models.sharded(BASE, 4), kind="model", by="stranger")
    world.quarantine("fork/copy:1")
    assert refused(world, "models/base:1") is None
    # And a stranger's edge does not make an undeclared copy a declared one.
    world.quarantine("models/base:1")
    assert refused(world, "models/fine:1") is Quarantined
    world.push(
        "fork/base:1",
        one_file(BASE),
        "fine-tuned-from=models/fine:1",
        kind="model",
        by="stranger",
    )
    assert refused(world, "models/fine:1") is Quarantined


def test_the_bytes_decide_and_not_what_was_said_of_them(world: World) -> None:
    """Pushed without digests, it is compared all the same; what cannot be read is no yes."""
    world.push("models/base:1", one_file(BASE), kind="model")
    world.push("models/copy:1", models.sharded(BASE, 2), kind="model", tensors=False)
    world.push("models/odd:1", {"w.gguf": b"GGUF" + b"\xff" * 5000}, kind="model")
    world.quarantine("models/base:1")
    assert refused(world, "models/copy:1") is Quarantined
    assert refused(world, "models/odd:1") is Undecided


def test_one_file_that_cannot_be_read_is_no_yes(world: World) -> None:
    """What it holds may be somebody's who is quarantined, whatever its neighbours hold."""
    files = models.sharded(BASE, 2)
    cut, whole = sorted(files)
    other = b"\xff" * 8 + files[cut][8:]  # called safetensors, and does not begin like one
    for number, bad in enumerate((files[cut][:-1], other)):
        world.push(f"models/bad{number}:1", {cut: bad, whole: files[whole]}, kind="model")
        assert refused(world, f"models/bad{number}:1") is Undecided
    world.push("models/base:1", files, kind="model")
    assert refused(world, "models/base:1") is None
    world.push("models/copy:1", one_file(BASE), kind="model")
    world.quarantine("models/copy:1")
    assert refused(world, "models/bad0:1") is Quarantined, "what is known comes first"


def test_the_rule_is_read_and_explained() -> None:
    (rule,) = policy_file.parse((RULE + "      share: 0.01\n").encode(), "p").rules
    assert rule.tensors is not None
    assert rule.tensors.share == 0.01
    assert any("1.00% of its bytes or more" in line for line in policy_words.words(rule))
    for bad in ("      share: 1.5\n", "      other: 1\n"):
        with pytest.raises(BadPolicy):
            policy_file.parse((RULE + bad).encode(), "p")
    with pytest.raises(BadPolicy):
        policy_file.parse(RULE.replace("deny", "allow").encode(), "p")
