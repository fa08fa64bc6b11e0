"""Kinds of artifact, kinds of build, and the relations between an output and an input."""

from __future__ import annotations

from collections.abc import Mapping

KINDS = (
    "model",
    "tokenizer",
    "config",
    "dataset",
    "prompt",
    "adapter",
    "code",
    "evaluation",
)

BUILDS = (
    "train",
    "fine-tune",
    "merge",
    "quantize",
    "distil",
    "convert",
    "filter",
    "tokenize",
    "import",
)

# Relation -> whether a poisoned input reaches the output along it.
RELATIONS: Mapping[str, bool] = {
    "trained-on": True,
    "fine-tuned-from": True,
    "adapter-of": True,
    "merged-from": True,
    "quantized-from": True,
    "distilled-from": True,
    "converted-from": True,
    "evaluated-on": False,
    "derived-from": True,
    "filtered-from": True,
    "sampled-from": True,
    "synthesized-by": True,
    "tokenized-by": True,
    "built-from": True,
}

# What a push with this relation most likely was, where the user does not say.
BUILD_OF: Mapping[str, str] = {
    "trained-on": "train",
    "fine-tuned-from": "fine-tune",
    "adapter-of": "fine-tune",
    "merged-from": "merge",
    "quantized-from": "quantize",
    "distilled-from": "distil",
    "converted-from": "convert",
    "derived-from": "convert",
    "filtered-from": "filter",
    "sampled-from": "filter",
    "synthesized-by": "filter",
    "tokenized-by": "tokenize",
}


def propagates(relation: str) -> bool:
    """Whether quarantine flows along `relation`. An unknown relation does: deny is the default."""
    return RELATIONS.get(relation, True)
