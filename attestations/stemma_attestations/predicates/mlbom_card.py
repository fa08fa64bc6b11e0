"""What the build parameters tell a model card: approach, task, architecture, metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stemma_attestations import canonical
from stemma_attestations.predicates.mlbom_parts import Input

# The values of `approach.type` in the schema.
_APPROACHES = frozenset(
    {
        "supervised",
        "unsupervised",
        "reinforcement-learning",
        "semi-supervised",
        "self-supervised",
    }
)
# Field of the model card -> the names of parameters that say it, first found.
_FIELDS: Mapping[str, Sequence[str]] = {
    "task": ("task",),
    "architectureFamily": ("architecture-family", "architecture_family"),
    "modelArchitecture": ("architecture", "model-architecture", "model_architecture"),
}
_SLICES = "train|training|val|valid|validation|dev|eval|evaluation|test|holdout"
_METRICS = (
    "accuracy|balanced_accuracy|top1_accuracy|top5_accuracy|precision|recall|specificity|sensitivity"
    "|f1|f1_score|f1_macro|f1_micro|f1_weighted|auc|roc_auc|pr_auc|average_precision|map|iou|dice|mcc"
    "|loss|perplexity|bits_per_byte|mse|rmse|mae|mape|r2|log_loss|brier|ece"
    "|bleu|rouge|rouge1|rouge2|rougel|meteor|chrf|wer|cer|exact_match|pass_at_1"
)
_METRIC = re.compile(rf"(?:({_SLICES})[_/.-])?({_METRICS})\Z", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)


def model_card(inputs: Sequence[Input], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The model card: what is known, and nothing about what is not."""
    card: dict[str, Any] = {}
    about = _model_parameters(parameters)
    datasets = [{"ref": item.ref} for item in inputs if item.is_data]
    if datasets:
        about["datasets"] = datasets
    if about:
        card["modelParameters"] = about
    metrics = _performance_metrics(parameters)
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card


def _model_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    approach = parameters.get("approach")
    if isinstance(approach, str) and approach in _APPROACHES:
        found["approach"] = {"type": approach}
    for field, names in _FIELDS.items():
        values = [parameters[n] for n in names if isinstance(parameters.get(n), str)]
        if values:
            found[field] = values[0]
    return found


def _performance_metrics(parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    found = []
    for key in sorted(parameters):
        match = _METRIC.match(key)
        if match is None or not _numeric(parameters[key]):
            continue
        metric = {"type": match[2], "value": as_text(parameters[key])}
        if match[1]:
            metric["slice"] = match[1]
        found.append(metric)
    return found


def _numeric(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_NUMBER.match(value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_text(value: Any) -> str:
    """A parameter's value as CycloneDX holds it: text as it is, all else as canonical JSON.

    Raises BadJSON for what is neither.
    """
    return value if isinstance(value, str) else canonical.dumps(value).decode("utf-8")


def build_parameters(parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every parameter, sorted, with its JSON type where it is not text."""
    found = []
    for name in sorted(parameters):
        value = parameters[name]
        parameter = {"name": name, "value": as_text(value)}
        if not isinstance(value, str):
            parameter["dataType"] = _json_type(value)
        found.append(parameter)
    return found


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "object" if isinstance(value, Mapping) else "array"
