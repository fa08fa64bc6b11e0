"""Kinds of artifact, kinds of build, and the relations between an output and an input."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

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


class Flow(StrEnum):
    """What of an input reaches the output along a relation."""

    WEIGHTS = "weights"  # numbers of the input are in the output
    DATA = "data"  # the output learned from it, or holds records of it
    CODE = "code"  # it ran, and made the output
    EVERYTHING = "everything"  # weights of a model, records of a dataset; or nobody knows what
    EVALUATION = "evaluation"  # the output was only looked at by it


# Relation of a build -> what flows along it.
RELATIONS: Mapping[str, Flow] = {
    "trained-on": Flow.DATA,
    "fine-tuned-from": Flow.WEIGHTS,
    "adapter-of": Flow.WEIGHTS,
    "merged-from": Flow.EVERYTHING,
    "quantized-from": Flow.WEIGHTS,
    "distilled-from": Flow.DATA,
    "converted-from": Flow.EVERYTHING,
    "evaluated-on": Flow.EVALUATION,
    "derived-from": Flow.EVERYTHING,
    "filtered-from": Flow.DATA,
    "sampled-from": Flow.DATA,
    "synthesized-by": Flow.DATA,
    "tokenized-by": Flow.CODE,
    "built-from": Flow.CODE,
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

# Both ends are one thing under two names. No build has it; whoever says it, says it of both.
SAME_AS = "same-as"
# What follows from bytes, and from nobody's word: a manifest and its files.
CONTAINS = "contains"


_SHOWN = frozenset(one for one, what in RELATIONS.items() if what is Flow.EVALUATION)


def flow(relation: str) -> Flow:
    """What flows along `relation`. Along an unknown one everything does."""
    return RELATIONS.get(relation, Flow.EVERYTHING)


def propagates(relation: str) -> bool:
    """Whether quarantine flows along `relation`: whenever anything of the input does."""
    return relation not in _SHOWN
