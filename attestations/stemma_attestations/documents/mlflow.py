"""MLflow runs, as its REST interface answers: dataset inputs, model outputs, the Git commit.

https://mlflow.org/docs/latest/rest-api.html : `runs/search`, `runs/get`. The digests that MLflow
writes are eight digits of an MD5, and identify nothing: they are part of a name.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.documents.reading import Reading, load, member, objects
from stemma_attestations.errors import BadDigest, BadDocument, BadJSON, BadName
from stemma_attestations.named import hugging_face

SOURCE = "mlflow"
SCOPE = "mlflow"
_EVALUATION = frozenset({"eval", "evaluation", "test", "testing"})
_ADDRESSED = frozenset({"s3", "gs", "http", "https", "abfss", "wasbs", "hdfs", "dbfs"})


def read(raw: bytes, limit: int) -> Reading:
    """What exported runs say: an answer of the interface, or a list of runs. Raises BadDocument."""
    value = load(raw, "the runs", limit)
    if isinstance(value, dict):
        value = [value["run"]] if "run" in value else value.get("runs")
    if not isinstance(value, list) or not all(_run_id(run) for run in value):
        raise BadDocument("runs of MLflow have an `info` with a `run_id`")
    reading = Reading()
    for run in value:
        _run(reading, run)
    return reading


def _run_id(run: object) -> str | None:
    found = member(run, "info", "run_id") or member(run, "info", "run_uuid")
    return found if isinstance(found, str) else None


def _run(reading: Reading, run: dict[str, Any]) -> None:
    tags = _pairs(member(run, "data", "tags"))
    inputs: list[tuple[str, Digest]] = []
    for used in objects(member(run, "inputs", "dataset_inputs")):
        context = _pairs(used.get("tags")).get("mlflow.data.context", "").lower()
        thing = _dataset(reading, used.get("dataset"))
        if thing is not None:
            inputs.append(("evaluated-on" if context in _EVALUATION else "trained-on", thing))
    for model in objects(member(run, "inputs", "model_inputs")):
        thing = _model(reading, model)
        if thing is not None:
            inputs.append(("derived-from", thing))
    with contextlib.suppress(BadDigest, KeyError):  # a run may be from outside a checkout
        inputs.append(("built-from", Digest("gitCommit", tags["mlflow.source.git.commit"])))
    outputs = _outputs(reading, run, tags)
    reading.cross(outputs, [one for one in inputs if one[1] not in outputs])


def _outputs(reading: Reading, run: dict[str, Any], tags: dict[str, str]) -> list[Digest]:
    """The models of a run, by their ids and by where they lie; else the run itself."""
    found = [_model(reading, one) for one in objects(member(run, "outputs", "model_outputs"))]
    run_id = _run_id(run) or ""
    for logged in _history(reading, tags.get("mlflow.log-model.history")):
        path = logged.get("artifact_path")
        if isinstance(path, str) and path:
            found.append(reading.scoped("name", SCOPE, f"runs/{run_id}/{path}"))
    things = [one for one in found if one is not None]
    if not things:
        whole = reading.scoped("name", SCOPE, f"runs/{run_id}")
        things = [whole] if whole else []
    return list(dict.fromkeys(things))


def _history(reading: Reading, text: str | None) -> Iterable[dict[str, Any]]:
    if text is None:
        return ()
    try:
        return objects(json_strict.loads(text.encode()))
    except BadJSON:
        reading.note("a mlflow.log-model.history that is no JSON")
        return ()


def _model(reading: Reading, one: dict[str, Any]) -> Digest | None:
    name = one.get("model_id")
    return reading.scoped("name", SCOPE, f"models/{name}") if isinstance(name, str) else None


def _dataset(reading: Reading, dataset: object) -> Digest | None:
    """A dataset by where it came from, where that means something elsewhere; else by its name."""
    kind, name = member(dataset, "source_type"), member(dataset, "name")
    source = _source(member(dataset, "source"))
    if kind == "hugging_face" and isinstance(source.get("path"), str):
        revision = source.get("revision")
        try:
            said = revision if isinstance(revision, str) else None
            return hugging_face(source["path"], "datasets/", said)
        except BadName as error:
            reading.note(str(error))
    address = source.get("uri", source.get("url"))
    if isinstance(address, str) and address.partition("://")[0].lower() in _ADDRESSED:
        return reading.named(address)
    if not isinstance(name, str):
        reading.note("a dataset without a name")
        return None
    digest = member(dataset, "digest")
    at = f"@{digest}" if isinstance(digest, str) else ""
    return reading.scoped("name", SCOPE, f"datasets/{name}{at}")


def _source(text: object) -> dict[str, Any]:
    """The JSON that stands as text in a dataset."""
    try:
        value = json_strict.loads(text.encode()) if isinstance(text, str) else {}
    except (BadJSON, UnicodeEncodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _pairs(value: object) -> dict[str, str]:
    found = ((one.get("key"), one.get("value")) for one in objects(value))
    return {key: said for key, said in found if isinstance(key, str) and isinstance(said, str)}


def whole(runs: list[Any]) -> bytes:
    """Runs that were asked for page by page, as one document."""
    return json.dumps({"runs": runs}, ensure_ascii=False, sort_keys=True).encode()
