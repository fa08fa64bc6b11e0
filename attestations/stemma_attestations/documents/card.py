"""Model and dataset cards of the Hugging Face Hub: the YAML that a README.md begins with.

https://huggingface.co/docs/hub/model-cards , https://huggingface.co/docs/hub/datasets-cards
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stemma_attestations import yaml_strict
from stemma_attestations.digest import Digest
from stemma_attestations.documents.reading import Reading, member, objects
from stemma_attestations.errors import BadDocument, BadName
from stemma_attestations.named import hugging_face

SOURCE = "hugging-face-card"
_FRONT = re.compile(
    rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_RELATIONS: Mapping[str, str] = {
    "finetune": "fine-tuned-from",
    "adapter": "adapter-of",
    "merge": "merged-from",
    "quantized": "quantized-from",
}
DATASETS = "datasets/"


def read(raw: bytes, output: Digest) -> Reading:
    """What a card says about `output`, whose card it is. Raises BadDocument."""
    match = _FRONT.match(raw)
    if match is None:
        raise BadDocument("the card does not begin with YAML between two lines of ---")
    said = yaml_strict.load(match[1], BadDocument)
    if not isinstance(said, dict):
        raise BadDocument("the YAML of a card is a mapping")
    reading = Reading()
    bases = _texts(said.get("base_model"))
    for base in bases:
        _claim(reading, output, _relation(said, len(bases)), base, "")
    for name in _texts(said.get("datasets")):
        _claim(reading, output, "trained-on", name, DATASETS)
    for name in _texts(said.get("source_datasets")):
        if name != "original":
            _claim(reading, output, "derived-from", name.removeprefix("extended|"), DATASETS)
    for entry in objects(said.get("model-index")):
        for result in objects(entry.get("results")):
            name = member(result, "dataset", "type")
            if isinstance(name, str):
                _claim(reading, output, "evaluated-on", name, DATASETS)
    return reading


def _relation(said: Mapping[str, Any], count: int) -> str:
    """The relation to the base models; what the Hub would tell where the card does not say."""
    word = said.get("base_model_relation")
    if isinstance(word, str):
        return _RELATIONS.get(word, "derived-from")
    if said.get("library_name") == "peft":
        return _RELATIONS["adapter"]
    return _RELATIONS["merge" if count > 1 else "finetune"]


def _claim(reading: Reading, output: Digest, relation: str, name: str, kind: str) -> None:
    """One edge by a Hub name, or by an address."""
    try:
        thing = reading.named(name) if "://" in name else hugging_face(name, kind)
    except BadName:
        reading.note(f"{relation} {name!r:.60}: not a name of the Hub")
        return
    reading.claim(output, relation, thing, "exact")


def _texts(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one.strip() for one in listed if isinstance(one, str) and one.strip()]
