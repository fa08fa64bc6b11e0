"""OpenLineage run events, one JSON document or one a line.

https://openlineage.io/docs/spec/object-model , https://openlineage.io/docs/spec/naming
Events of one run belong together: its inputs may stand in the first and its outputs in the last.
"""

from __future__ import annotations

import re
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.documents.reading import Reading, load, member, objects
from stemma_attestations.errors import BadDigest, BadDocument

SOURCE = "openlineage"
# Namespaces that make an address together with the name.
_ADDRESS = re.compile(r"(?:s3a?|gs|gcs|abfss?|wasbs?|hdfs|dbfs|hf|https?)://")


def read(raw: bytes, limit: int) -> Reading:
    """What the events say. Raises BadDocument."""
    runs: dict[str, tuple[dict[Digest, None], dict[Digest, None]]] = {}
    reading = Reading()
    for number, event in enumerate(_events(raw, limit), 1):
        run = member(event, "run", "runId")
        if not isinstance(run, str):
            if "job" in event and ("inputs" in event or "outputs" in event):
                run = f"event {number}"  # a job event, which is by itself
            else:
                continue  # a dataset event says nothing of where it came from
        inputs, outputs = runs.setdefault(run, ({}, {}))
        _add(reading, inputs, event.get("inputs"))
        _add(reading, outputs, event.get("outputs"))
        commit = _commit(event)
        if commit is not None:
            inputs.setdefault(commit)
    for inputs, outputs in runs.values():
        made_from = [(_relation(item), item) for item in inputs if item not in outputs]
        reading.cross(outputs, made_from)
    return reading


def _relation(item: Digest) -> str:
    return "built-from" if item.algorithm == "gitCommit" else "derived-from"


def _events(raw: bytes, limit: int) -> list[dict[str, Any]]:
    """The events of a file: one, a list, or one a line."""
    stripped = raw.strip()
    lines = [line for line in stripped.split(b"\n") if line.strip()]
    if len(lines) > 1 and all(
        one.strip()[:1] == b"{" and one.strip()[-1:] == b"}" for one in lines
    ):
        found = [load(one, f"line {n}", limit) for n, one in enumerate(lines, 1)]
    else:
        value = load(stripped, "the events", limit)
        found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(one, dict) and "eventTime" in one for one in found):
        raise BadDocument("every event of OpenLineage is an object with an eventTime")
    return found


def _add(reading: Reading, place: dict[Digest, None], datasets: object) -> None:
    for one in objects(datasets):
        namespace, name = one.get("namespace"), one.get("name")
        if not isinstance(namespace, str) or not isinstance(name, str):
            reading.note("a dataset without a namespace and a name")
            continue
        if _ADDRESS.match(namespace):
            thing = reading.named(f"{namespace.rstrip('/')}/{name.lstrip('/')}")
        else:
            thing = reading.scoped("name", namespace, name)
        if thing is not None:
            place.setdefault(thing)


def _commit(event: dict[str, Any]) -> Digest | None:
    """The commit that the job's code was of, where a facet says it in full."""
    facet = member(event, "job", "facets", "sourceCodeLocation")
    version = member(facet, "version")
    if member(facet, "type") != "git" or not isinstance(version, str):
        return None
    try:
        return Digest("gitCommit", version)
    except BadDigest:
        return None  # a branch, or a short id
